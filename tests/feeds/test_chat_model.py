"""What somebody who chats sees of a language model: slow, failing, breaking off. A real server speaks its protocol."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from tests.support import openai_server as scenes
from tests.support.chat_server import ChatServer
from tests.support.chatting import ask, known, say, text_of, until
from tests.support.clients import open_ws
from tests.support.openai_server import OpenAIServer
from websockets.sync.client import ClientConnection


@pytest.fixture
def model() -> Iterator[OpenAIServer]:
    with OpenAIServer() as model:
        yield model


@contextmanager
def chatting(
    model: OpenAIServer, folder: Path, **settings: Any
) -> Iterator[tuple[ChatServer, ClientConnection]]:
    with (
        ChatServer(
            folder / "log.db",
            llm_base_url=model.url,
            llm_model="test-model",
            llm_api_key="sk-secret",
            **settings,
        ) as server,
        open_ws(server.chat("ann")) as ws,
    ):
        known(ws)
        yield server, ws


def test_tokens_come_as_the_model_gives_them(model: OpenAIServer, tmp_path: Path) -> None:
    gate = threading.Event()
    model.play(scenes.answer("132", " kW", ".", gate=gate))
    with chatting(model, tmp_path) as (_, ws):
        say(ws, type="message", message="What is the engine power?")
        frames = until(ws, "token")
        assert frames[-1]["token"] == "132"  # the rest is not there yet
        gate.set()
        frames += until(ws, "complete", "error")
    assert (text_of(frames), frames[-1]["response"]) == ("132 kW.", "132 kW.")
    metadata = frames[-1]["metadata"]
    assert metadata["model"].endswith("test-model")
    assert metadata["usage"] == {"input_tokens": 11, "output_tokens": 7, "estimated": False}
    (asked,) = model.requests
    system, question = asked["messages"]
    assert "specs agent" in system["content"]
    assert "What is the engine power?" in question["content"]
    assert 'source="specs.md' in question["content"]  # what was found goes with the question


def test_the_conversation_goes_with_the_next_question(model: OpenAIServer, tmp_path: Path) -> None:
    model.play(scenes.answer("132 kW."))
    with chatting(model, tmp_path) as (_, ws):
        ask(ws, "What is the engine power?")
        ask(ws, "And the torque?")
    roles = [one["role"] for one in model.requests[1]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert model.requests[1]["messages"][2]["content"] == "132 kW."


def test_of_a_question_that_says_nothing_the_model_is_asked_whose_it_is(
    model: OpenAIServer, tmp_path: Path
) -> None:
    model.play(scenes.answer("troubleshooting"), scenes.answer("Look at the fuse."))
    with chatting(model, tmp_path) as (_, ws):
        frames = ask(ws, "It went poof")
    assert frames[-1]["metadata"]["agent"] == "troubleshooting"
    assert text_of(frames) == "Look at the fuse."


def test_a_retry_doubles_no_text(model: OpenAIServer, tmp_path: Path) -> None:
    model.play(scenes.refuse("503 Service Unavailable", {}), scenes.hang_up(), scenes.answer("Once", " only"))
    with chatting(model, tmp_path) as (_, ws):
        frames = ask(ws, "What is the engine power?")
    assert (text_of(frames), frames[-1]["response"]) == ("Once only", "Once only")
    assert len(model.requests) == 3


@pytest.mark.parametrize("cleanly", [False, True])
def test_an_answer_that_breaks_off_is_said_to_and_asked_again_on_request(
    model: OpenAIServer, tmp_path: Path, cleanly: bool
) -> None:
    model.play(scenes.cut("The power", " is", cleanly=cleanly), scenes.answer("132 kW."))
    with chatting(model, tmp_path) as (server, ws):
        frames = ask(ws, "What is the engine power?", session_id="s")
        last = frames[-1]
        assert (last["type"], last["code"], text_of(frames)) == ("error", "PROCESSING_ERROR", "The power is")
        assert "broke off" in last["error"]
        say(ws, type="retry", session_id="s", message_id=last["message_id"])
        again = until(ws, "complete", "error")
        assert (text_of(again), again[-1]["response"]) == ("132 kW.", "132 kW.")
        turns = server.as_("ann", "GET", "/api/v1/chat/s").json()["messages"]
        assert [(one["role"], one["status"]) for one in turns] == [
            ("user", "complete"),
            ("assistant", "failed"),
            ("assistant", "complete"),
        ]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("401 Unauthorized", scenes.error("Incorrect API key provided: sk-secret", "invalid_api_key")),
        ("404 Not Found", scenes.error("The model test-model does not exist", "model_not_found")),
        ("500 Internal Server Error", b"<html>Traceback</html>"),
    ],
)
def test_what_the_api_says_is_not_shown(
    model: OpenAIServer, tmp_path: Path, status: str, body: object
) -> None:
    model.play(scenes.refuse(status, body))
    with chatting(model, tmp_path, llm_attempts=1) as (_, ws):
        last = ask(ws, "What is the engine power?")[-1]
    assert (last["type"], last["code"]) == ("error", "PROCESSING_ERROR")
    for secret in ("sk-", "Traceback", "test-model", "127.0.0.1", "RUNCAST"):
        assert secret not in last["error"]


WHOLE = scenes.answer("132", " kW.")
TRIES = {"llm_attempts": 2}
FAULTS: dict[str, tuple[list[Any], dict[str, Any], str, str]] = {
    # what the model does, how often it is asked, what is told of the answer, how that ends
    "slow, torn into bytes": ([scenes.stutter("Größe: ", "4 m ", "🚗")], {}, "Größe: 4 m 🚗", "complete"),
    "500, then an answer": ([scenes.refuse("500 Oops", {}), WHOLE], TRIES, "132 kW.", "complete"),
    "500 for ever": ([scenes.refuse("500 Oops", {})], TRIES, "", "too much to do"),
    "429 with a pause, then an answer": (
        [scenes.refuse("429 Slow Down", {}, "Retry-After: 0.6"), WHOLE],
        TRIES,
        "132 kW.",
        "complete",
    ),
    "429 for an hour": (
        [scenes.refuse("429 Slow Down", {}, "Retry-After: 3600")],
        TRIES,
        "",
        "too much to do",
    ),
    "no credit": (
        [scenes.refuse("429 No", scenes.error("You exceeded your current quota", "insufficient_quota"))],
        TRIES,
        "",
        "cannot be asked",
    ),
    "401": ([scenes.refuse("401 Unauthorized", {})], TRIES, "", "cannot be asked"),
    "a page of HTML": ([scenes.garbage(b"<html>", "text/html")], TRIES, "", "not answered as it should"),
    "no chunks": ([scenes.garbage(b"data: {\n\n")], TRIES, "", "not answered as it should"),
    "nonsense in mid-answer": ([scenes.nonsense("132", " k")], TRIES, "132 k", "broke off"),
    "an error in mid-answer": ([scenes.fail_in_stream("132", " k"), WHOLE], TRIES, "132 k", "broke off"),
    "an error before the first word": ([scenes.fail_in_stream(), WHOLE], TRIES, "132 kW.", "complete"),
    "cut off before the first word": ([scenes.cut(), WHOLE], TRIES, "132 kW.", "complete"),
    "cut off in mid-answer": ([scenes.cut("132", " k"), WHOLE], TRIES, "132 k", "broke off"),
    "hung up": ([scenes.hang_up(), WHOLE], TRIES, "132 kW.", "complete"),
    "never answers": ([scenes.hang()], {"llm_timeout_s": 0.3, "llm_attempts": 1}, "", "too much to do"),
    "silent in mid-answer": (
        [scenes.silence("132", comments=True)],
        {"llm_timeout_s": 0.3, "llm_attempts": 1},
        "132",
        "broke off",
    ),
    "withheld": ([scenes.answer(finish="content_filter")], TRIES, "", "not answered as it should"),
}


OFTEN: Final = {
    "slow, torn into bytes",
    "429 with a pause, then an answer",
    "429 for an hour",
    "no chunks",
    "nonsense in mid-answer",
    "an error in mid-answer",
    "an error before the first word",
    "never answers",
}
"""Those of the ordinary run; of the others, other tests have the gist."""


@pytest.mark.parametrize(
    "fault", [pytest.param(one, marks=[] if one in OFTEN else pytest.mark.soak) for one in FAULTS]
)
def test_what_the_user_sees(model: OpenAIServer, tmp_path: Path, fault: str) -> None:
    played, settings, text, end = FAULTS[fault]
    model.play(*played)
    with chatting(model, tmp_path, **settings) as (_, ws):
        frames = ask(ws, "What is the engine power?")
    last = frames[-1]
    print(f"\n  {fault}: ", " ".join(_short(frame) for frame in frames))
    assert text_of(frames) == text  # each piece of the answer once, however often the model was asked
    offsets = [frame["offset"] for frame in frames if frame["type"] == "token"]
    assert offsets == sorted(set(offsets))
    if end == "complete":
        assert (last["type"], last["response"]) == ("complete", text)
    else:
        assert (last["type"], last["code"]) == ("error", "PROCESSING_ERROR")
        assert end in last["error"]


def _short(frame: dict[str, Any]) -> str:
    told = frame.get("step") or frame.get("token") or frame.get("error") or frame.get("response")
    return f"{frame['type']}({told})" if told else str(frame["type"])


def test_a_model_that_falls_silent_is_given_up(model: OpenAIServer, tmp_path: Path) -> None:
    model.play(scenes.silence("The power"))
    with chatting(model, tmp_path, llm_timeout_s=0.3) as (_, ws):
        frames = ask(ws, "What is the engine power?")
    assert (frames[-1]["code"], text_of(frames)) == ("PROCESSING_ERROR", "The power")


def test_cancel_ends_the_request_at_the_model(model: OpenAIServer, tmp_path: Path) -> None:
    model.play(scenes.silence("The power", comments=True))
    with chatting(model, tmp_path) as (_, ws):
        say(ws, type="message", message="What is the engine power?")
        until(ws, "token")
        say(ws, type="cancel")
        last = until(ws, "complete", "error")[-1]
        assert (last["cancelled"], last["response"]) == (True, "The power")
        assert last["metadata"]["agent"] == "specs"
        assert model.left.wait(10)
