"""Asking a language model, against a real server that speaks its protocol, well and badly."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from tests.support import openai_server as scenes
from tests.support.openai_server import OpenAIServer
from tests.support.process import free_port

from runcast.errors import ModelBusy, ModelError, ModelInterrupted, ModelUnavailable, ModelUnreachable
from runcast.runners import llm
from runcast.runners.llm import ChatModel, Delta, Message, Usage
from runcast.runners.llm_place import Endpoint

KEY = "sk-test-0123456789abcdef"
ASKED = [Message("system", "Be brief."), Message("user", "Hello?")]
MakeModel = Any


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow one another without pauses."""
    monkeypatch.setattr(llm, "FIRST_PAUSE_S", 0.001)


@pytest.fixture
async def make(server: OpenAIServer) -> AsyncIterator[MakeModel]:
    made: list[ChatModel] = []

    def make(timeout_s: float = 10.0, attempts: int = 3, **endpoint: Any) -> ChatModel:
        given = {"base_url": server.url, "api_key": KEY, "model": scenes.MODEL, **endpoint}
        made.append(ChatModel(Endpoint(**given), timeout_s=timeout_s, attempts=attempts))
        return made[-1]

    yield make
    for model in made:
        await model.close()


async def ask(model: ChatModel, **options: Any) -> tuple[str, Usage]:
    """The whole text, and what it has cost, which must be the last thing."""
    *deltas, usage = [item async for item in model.stream(ASKED, **options)]
    assert isinstance(usage, Usage)
    assert all(isinstance(delta, Delta) for delta in deltas)
    return "".join(delta.text for delta in deltas if isinstance(delta, Delta)), usage


async def failure(model: ChatModel, kind: type[ModelError]) -> tuple[str, str]:
    """What was handed out before it failed, and the sentence; it never has the key in it."""
    came: list[str] = []
    with pytest.raises(ModelError) as caught:
        async for item in model.stream(ASKED):
            assert isinstance(item, Delta)
            came.append(item.text)
    assert type(caught.value) is kind
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None
    return "".join(came), str(caught.value)


# --- what goes well ------------------------------------------------------------------------------


async def test_text_comes_with_what_it_has_cost(server: OpenAIServer, make: MakeModel) -> None:
    text, usage = await ask(make())
    assert text == "Hello, world."
    assert (usage.input_tokens, usage.output_tokens, usage.estimated, usage.truncated) == (
        11,
        7,
        False,
        False,
    )
    assert usage.model == f"127.0.0.1:{server.port}/{scenes.MODEL}"
    assert 0 < usage.latency_s < 10
    (request,) = server.requests
    assert request["path"] == "/v1/chat/completions"
    assert request["headers"]["authorization"] == f"Bearer {KEY}"
    assert request["messages"] == [{"role": m.role, "content": m.content} for m in ASKED]
    assert (request["model"], request["stream"]) == (scenes.MODEL, True)
    assert "max_tokens" not in request


async def test_the_first_text_is_there_while_the_rest_is_not_yet_sent(
    server: OpenAIServer, make: MakeModel
) -> None:
    gate = threading.Event()
    server.play(scenes.answer("first ", "second", gate=gate))
    async with aclosing(make().stream(ASKED)) as items:
        assert (await anext(items)).text == "first "
        gate.set()
        assert (await anext(items)).text == "second"


async def test_the_model_that_has_answered_is_told(server: OpenAIServer, make: MakeModel) -> None:
    server.play(scenes.answer("hi", model="vendor/large"))
    assert (await ask(make()))[1].model.endswith("/vendor/large")


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
async def test_reasoning_is_told_apart(server: OpenAIServer, make: MakeModel, name: str) -> None:
    server.play(scenes.answer("42", reasoning=("Let me ", "think."), reasoning_name=name))
    items = [item async for item in make().stream(ASKED)]
    told = [(item.text, item.reasoning) for item in items if isinstance(item, Delta)]
    assert told == [("", "Let me "), ("", "think."), ("42", "")]


async def test_without_a_count_it_is_estimated_and_marked(server: OpenAIServer, make: MakeModel) -> None:
    server.play(scenes.answer("12345678", "9", usage=False))
    _, usage = await ask(make())
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (3 + 2, 3, True)


async def test_an_api_that_does_not_count_is_asked_once_more(server: OpenAIServer, make: MakeModel) -> None:
    refusal = scenes.refuse("400 Bad Request", scenes.error("Unknown parameter: stream_options"))
    server.play(refusal, scenes.answer("ok"))
    model = make()
    assert (await ask(model))[0] == "ok"
    assert (await ask(model))[1].estimated
    assert ["stream_options" in request for request in server.requests] == [True, False, False]


async def test_a_limit_is_handed_on_and_what_it_cuts_is_told(server: OpenAIServer, make: MakeModel) -> None:
    server.play(scenes.answer("It is", finish="length"))
    _, usage = await ask(make(), max_tokens=2)
    assert usage.truncated
    assert server.requests[0]["max_tokens"] == 2


async def test_connections_are_used_again(server: OpenAIServer, make: MakeModel) -> None:
    model = make()
    for _ in range(5):
        await ask(model)
    assert (server.connections, len(server.requests)) == (1, 5)


async def test_many_answers_at_once(server: OpenAIServer, make: MakeModel) -> None:
    model = make()
    answers = await asyncio.gather(*(ask(model) for _ in range(20)))
    assert {text for text, _ in answers} == {"Hello, world."}


def test_a_model_works_in_one_loop_after_another(server: OpenAIServer) -> None:
    model = ChatModel(Endpoint(base_url=server.url, model="m"))

    async def once() -> str:
        text, _ = await ask(model)
        await model.close()
        return text

    assert asyncio.run(once()) == asyncio.run(once()) == "Hello, world."
    assert server.requests[0]["headers"]["authorization"] == "Bearer none"


async def test_who_stops_listening_ends_the_request(server: OpenAIServer, make: MakeModel) -> None:
    server.play(scenes.silence("one"))
    async with aclosing(make().stream(ASKED)) as items:
        assert (await anext(items)).text == "one"
    assert await asyncio.to_thread(server.left.wait, scenes.WAIT_S)


async def test_a_task_that_is_cancelled_ends_the_request(server: OpenAIServer, make: MakeModel) -> None:
    server.play(scenes.silence())
    model = make()
    task = asyncio.create_task(ask(model))
    while not server.requests:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.left.wait, scenes.WAIT_S)


# --- what may go well at the next attempt ----------------------------------------------------------


@pytest.mark.parametrize(
    "flaw",
    [
        scenes.refuse("429 Too Many Requests", scenes.error("Slow down"), "Retry-After: 0.01"),
        scenes.refuse("500 Internal Server Error", b"<html>oops</html>"),
        scenes.refuse("503 Service Unavailable", scenes.error("overloaded")),
        scenes.hang_up(),
        scenes.cut(),
        scenes.cut(cleanly=True),
        scenes.fail_in_stream(),
    ],
    ids=["429", "500", "503", "hung up", "cut", "ended", "failed in the stream"],
)
async def test_before_the_first_text_it_is_tried_again(
    server: OpenAIServer, make: MakeModel, flaw: Any
) -> None:
    server.play(flaw, flaw, scenes.answer("at last"))
    assert (await ask(make()))[0] == "at last"
    assert len(server.requests) == 3


async def test_it_waits_as_long_as_it_is_asked_to(
    server: OpenAIServer, make: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    real = asyncio.sleep

    async def sleep(delay_s: float, *_: object) -> None:
        pauses.append(delay_s)
        await real(0)

    monkeypatch.setattr(llm.asyncio, "sleep", sleep)
    busy = scenes.refuse("429 Too Many Requests", scenes.error("Slow down"), "Retry-After: 3")
    server.play(busy, scenes.answer("ok"))
    assert (await ask(make()))[0] == "ok"
    assert 3 in pauses


async def test_longer_than_anybody_waits_is_told_at_once(server: OpenAIServer, make: MakeModel) -> None:
    server.play(scenes.refuse("429 Too Many Requests", scenes.error("Daily limit"), "Retry-After: 3600"))
    with pytest.raises(ModelBusy, match="asks to wait 3600 s") as caught:
        await ask(make())
    assert caught.value.retry_after_s == 3600
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("flaw", "kind", "words"),
    [
        (
            scenes.refuse("429 Too Many Requests", scenes.error("Slow down")),
            ModelBusy,
            'requests: "Slow down"',
        ),
        (
            scenes.refuse("500 Internal Server Error", b"<html>oops</html>"),
            ModelBusy,
            "answers 500: it fails",
        ),
        (scenes.hang_up(), ModelUnreachable, "closed the connection without an answer"),
        (
            scenes.fail_in_stream(code=503),
            ModelBusy,
            'answers 503: it fails or is overloaded: "Provider disc',
        ),
    ],
)
async def test_after_all_attempts_it_says_why(
    server: OpenAIServer, make: MakeModel, flaw: Any, kind: type[ModelError], words: str
) -> None:
    server.play(flaw)
    text, said = await failure(make(), kind)
    assert words in said
    assert not text
    assert len(server.requests) == 3


@pytest.mark.parametrize("comments", [False, True], ids=["nothing", "comments"])
async def test_silence_before_the_first_text(server: OpenAIServer, make: MakeModel, comments: bool) -> None:
    server.play(scenes.silence(comments=comments))
    _, said = await failure(make(timeout_s=0.5, attempts=2), ModelBusy)
    assert "was silent for 0.5 s" in said
    assert "RUNCAST_LLM_TIMEOUT_S" in said
    assert len(server.requests) == 2


# --- what broke off in the middle is never begun anew ----------------------------------------------


@pytest.mark.parametrize(
    ("flaw", "words"),
    [
        (scenes.cut("Half of "), "broke off in the middle"),
        (scenes.cut("Half of ", cleanly=True), "broke off in the middle"),
        (scenes.fail_in_stream("Half of "), "Provider disconnected"),
        (scenes.silence("Half of "), "was silent"),
        (scenes.silence("Half of ", comments=True), "was silent"),
    ],
    ids=["cut", "ended", "failed", "silent", "comments"],
)
async def test_a_cut_answer_says_so(server: OpenAIServer, make: MakeModel, flaw: Any, words: str) -> None:
    server.play(flaw, scenes.answer("Half of it all."))
    text, said = await failure(make(timeout_s=1.0), ModelInterrupted)
    assert text == "Half of "
    assert words in said
    assert "not complete" in said
    assert len(server.requests) == 1


async def test_garbage_in_the_middle(server: OpenAIServer, make: MakeModel) -> None:
    good = b'data: {"choices":[{"delta":{"content":"Half"}}]}\n\n'
    server.play(scenes.garbage(good + b"data: {nonsense\n\n"))
    text, _ = await failure(make(), ModelInterrupted)
    assert text == "Half"


# --- what does not get better by trying again ------------------------------------------------------

REFUSALS = (
    *("key", "forbidden", "credit", "quota", "model", "ollama", "id", "page"),
    *("context", "html", "nonsense", "list", "choices", "bytes", "empty", "filter"),
)


@pytest.mark.parametrize(
    ("flaw", "kind", "words"),
    [
        (
            scenes.refuse("401 Unauthorized", scenes.error(f"Incorrect API key provided: {KEY}")),
            ModelUnavailable,
            "Set RUNCAST_LLM_API_KEY to one that is valid there",
        ),
        (
            scenes.refuse("403 Forbidden", scenes.error("no")),
            ModelUnavailable,
            "The key in RUNCAST_LLM_API_KEY may not use test-model",
        ),
        (
            scenes.refuse("402 Payment Required", scenes.error("Insufficient credits")),
            ModelUnavailable,
            "has no credit left",
        ),
        (
            scenes.refuse(
                "429 Too Many Requests", scenes.error("You exceeded your current quota", "insufficient_quota")
            ),
            ModelUnavailable,
            "has no credit left",
        ),
        (
            scenes.refuse("404 Not Found", scenes.error("The model `test-model` does not exist")),
            ModelUnavailable,
            "Set RUNCAST_LLM_MODEL to one that it has",
        ),
        (
            scenes.refuse("404 Not Found", {"error": "model 'test-model' not found"}),
            ModelUnavailable,
            "has no model test-model",
        ),
        (
            scenes.refuse("400 Bad Request", scenes.error("test-model is not a valid model ID")),
            ModelUnavailable,
            "Set RUNCAST_LLM_MODEL",
        ),
        (
            scenes.refuse("404 Not Found", b"<html>nothing here</html>"),
            ModelUnavailable,
            "Is RUNCAST_LLM_BASE_URL right? It often ends in /v1",
        ),
        (
            scenes.refuse("400 Bad Request", scenes.error("maximum context length is 8192 tokens")),
            ModelError,
            'refuses the request (400): "maximum context length is 8192 tokens"',
        ),
        (scenes.garbage(b"<html>Welcome</html>", "text/html"), ModelError, "not as an OpenAI-compatible API"),
        (scenes.garbage(b"data: {nonsense\n\n"), ModelError, "not as an OpenAI-compatible API"),
        (scenes.garbage(b"data: [1, 2]\n\n"), ModelError, "not as an OpenAI-compatible API"),
        (scenes.garbage(b'data: {"choices": 7}\n\n'), ModelError, "not as an OpenAI-compatible API"),
        (scenes.garbage(b"data: \xff\xfe\n\n"), ModelError, "not as an OpenAI-compatible API"),
        (scenes.garbage(b""), ModelError, "not as an OpenAI-compatible API"),
        (scenes.answer(finish="content_filter"), ModelError, "content filter"),
    ],
    ids=[*REFUSALS],
)
async def test_a_refusal_names_what_to_set(
    server: OpenAIServer, make: MakeModel, flaw: Any, kind: type[ModelError], words: str
) -> None:
    server.play(flaw)
    text, said = await failure(make(), kind)
    assert words in said
    assert not text
    assert len(server.requests) == 1


async def test_an_api_that_wants_a_key_and_got_none(server: OpenAIServer, make: MakeModel) -> None:
    server.play(scenes.refuse("401 Unauthorized", scenes.error("No key")))
    _, said = await failure(make(api_key="", key_variable="OPENROUTER_API_KEY"), ModelUnavailable)
    assert said.endswith("wants a key. Set OPENROUTER_API_KEY.")


async def test_what_a_provider_says_is_short_and_clean(server: OpenAIServer, make: MakeModel) -> None:
    words = f"bad\nthing \x1b[31m with {KEY} and sk-other-99999999 " + "x" * 5_000
    server.play(scenes.refuse("400 Bad Request", scenes.error(words)))
    _, said = await failure(make(), ModelError)
    assert "sk-" not in said
    assert said.isprintable()
    assert len(said) < 400


async def test_nobody_listens(make: MakeModel) -> None:
    _, said = await failure(make(base_url=f"http://u:secret@127.0.0.1:{free_port()}/v1"), ModelUnreachable)
    assert "Nobody answers at http://127.0.0.1:" in said
    assert "RUNCAST_LLM_BASE_URL" in said
    assert "secret" not in said


async def test_a_missing_extra_is_one_sentence(make: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    _, said = await failure(make(), ModelUnavailable)
    assert "pip install 'runcast[llm]'" in said
