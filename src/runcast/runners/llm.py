"""Language models behind an OpenAI-compatible API, and which model this server asks. The one place that imports openai."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from runcast.client.addresses import is_local
from runcast.client.backoff import delays
from runcast.config import Settings
from runcast.errors import ModelBusy, ModelError, ModelInterrupted, ModelUnavailable
from runcast.runners import llm_problems as problems
from runcast.runners.extractive import ExtractiveModel
from runcast.runners.knowledge import KnowledgeBase
from runcast.runners.llm_place import Endpoint, find_endpoint
from runcast.runners.model import Delta, LanguageModel, Message, Usage, estimate_tokens

if TYPE_CHECKING:
    import openai

__all__ = ["ChatModel", "Delta", "LanguageModel", "Message", "Usage", "estimate_tokens", "make_model"]

CONNECT_S = 10.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0


def make_model(
    settings: Settings, knowledge: KnowledgeBase, environ: Mapping[str, str] | None = None
) -> LanguageModel:
    """The model that is configured, or the built-in extractive one over the knowledge base. Connects to nothing.

    Raises:
        ConfigError: the configuration is incomplete or cannot be; says which variable to set.
    """
    endpoint = find_endpoint(settings, os.environ if environ is None else environ)
    if endpoint is None:
        return ExtractiveModel(knowledge)
    return ChatModel(endpoint, timeout_s=settings.llm_timeout_s, attempts=settings.llm_attempts)


class ChatModel:
    """A model behind the chat completions API of OpenAI, which OpenRouter, vLLM, Ollama and LM Studio have, too.

    Its connections are pooled, and belong to the event loop that it is used in.

    Args:
        endpoint: the API, the key and the model.
        timeout_s: how long it may be silent, between two deltas as before the first.
        attempts: how often a request is tried before its first delta.
    """

    def __init__(self, endpoint: Endpoint, *, timeout_s: float = 60.0, attempts: int = 3) -> None:
        self.name = endpoint.name_of(endpoint.model)
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._opened: tuple[asyncio.AbstractEventLoop, openai.AsyncOpenAI] | None = None
        self._counts_usage = True
        """Whether the API takes the request to say what an answer has cost."""

    def prepare(self) -> None:
        """Import what asking takes, so that the first question need not wait for it. For any thread; idempotent.

        Raises:
            ModelUnavailable: the extra is not installed.
        """
        _import_openai()

    async def close(self) -> None:
        """Let go of the connections. Idempotent."""
        opened, self._opened = self._opened, None
        if opened is not None and opened[0] is asyncio.get_running_loop():
            await opened[1].close()

    async def stream(
        self, messages: Sequence[Message], *, max_tokens: int | None = None
    ) -> AsyncIterator[Delta | Usage]:
        """See `LanguageModel`. A failure before the first delta is tried again, as the API asks and with pauses.

        Raises:
            ModelUnavailable: it cannot be asked like this: the key, the model, the address, the extra.
            ModelUnreachable, ModelBusy: it could not be had in all attempts.
            ModelInterrupted: the answer broke off; what came of it is not complete.
            ModelError: it refused the request, or is no such API.
        """
        now = asyncio.get_running_loop().time
        answer = _Answer(self._endpoint, began_s=now())
        pauses = delays(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        for attempt in range(1, self._attempts + 1):
            try:
                async with aclosing(self._attempt(messages, max_tokens, answer)) as deltas:
                    async for delta in deltas:
                        yield delta
                break
            except ModelError as error:
                pause_s = _pause_s(error, next(pauses))
                if (
                    answer.has_text
                    or not error.retryable
                    or pause_s > self._timeout_s
                    or attempt == self._attempts
                ):
                    raise
            await asyncio.sleep(pause_s)
        yield answer.usage(messages)

    async def _attempt(
        self, messages: Sequence[Message], max_tokens: int | None, answer: _Answer
    ) -> AsyncGenerator[Delta]:
        """One request; its failures as errors of ours."""
        openai = _import_openai() if "openai" in sys.modules else await asyncio.to_thread(_import_openai)
        try:
            async with aclosing(self._deltas(openai, messages, max_tokens, answer)) as deltas:
                async for delta in deltas:
                    yield delta
        except openai.APIStatusError as error:
            raise problems.of_status(
                self._endpoint, error.status_code, error.body, error.response.headers
            ) from None
        except (openai.APITimeoutError, TimeoutError):
            raise answer.broken(problems.silent(self._endpoint, self._timeout_s)) from None
        except openai.APIConnectionError as error:
            connected = "Connect" not in type(error.__cause__).__name__
            raise answer.broken(
                problems.unreachable(self._endpoint, connected=connected), cut=connected
            ) from None
        except openai.APIError as error:  # in the midst of a stream
            raise answer.broken(problems.of_error_in_stream(self._endpoint, error.body)) from None
        except (
            ValueError,
            openai.OpenAIError,
        ):  # no JSON, or not of this shape; msgspec's errors are ValueErrors
            raise answer.broken(problems.foreign(self._endpoint)) from None

    async def _deltas(
        self, openai: Any, messages: Sequence[Message], max_tokens: int | None, answer: _Answer
    ) -> AsyncGenerator[Delta]:
        now = asyncio.get_running_loop().time
        client = self._client(openai)  # making it takes longer than a request does
        async with asyncio.timeout(self._timeout_s):
            stream = await self._request(client, messages, max_tokens)
        async with stream:
            chunks = aiter(stream)
            silent_at_s = now() + self._timeout_s
            while True:
                async with asyncio.timeout_at(silent_at_s):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    break
                delta = answer.take(chunk)
                if delta is not None:
                    answer.note_delta(now())
                    yield delta
                    silent_at_s = now() + self._timeout_s  # what the reader took is not the model's time
        answer.check_end()

    async def _request(
        self, client: openai.AsyncOpenAI, messages: Sequence[Message], max_tokens: int | None
    ) -> Any:
        """Begin an answer; once more without asking for its cost, if that is what an older API refuses."""
        create: Any = client.chat.completions.create
        wanted: dict[str, Any] = {
            "model": self._endpoint.model,
            "messages": [msgspec.to_builtins(message) for message in messages],
            "stream": True,
        }
        if max_tokens is not None:
            wanted["max_completion_tokens" if self._endpoint.is_openai else "max_tokens"] = max_tokens
        if self._counts_usage:
            try:
                return await create(**wanted, stream_options={"include_usage": True})
            except _import_openai().APIStatusError as error:
                if error.status_code not in {400, 422} or "stream_options" not in str(error):
                    raise
                self._counts_usage = False
        return await create(**wanted)

    def _client(self, openai: Any) -> openai.AsyncOpenAI:
        loop = asyncio.get_running_loop()
        if self._opened is None or self._opened[0] is not loop:
            timeout = openai.Timeout(self._timeout_s, connect=min(CONNECT_S, self._timeout_s))
            # a proxy of the environment is not for this machine
            http = openai.DefaultAsyncHttpxClient(
                trust_env=not is_local(self._endpoint.base_url), timeout=timeout
            )
            client = openai.AsyncOpenAI(
                base_url=self._endpoint.base_url,
                api_key=self._endpoint.api_key
                or "none",  # the SDK wants one; a local API does not look at it
                max_retries=0,  # ours: they never double text, and end when a person would give up
                timeout=timeout,
                http_client=http,
            )
            self._opened = (loop, client)
        return self._opened[1]


class _Given(msgspec.Struct):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    """The same by the name that vLLM and DeepSeek gave it."""


class _Choice(msgspec.Struct):
    delta: _Given | None = None
    finish_reason: str | None = None


class _Counted(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chunk(msgspec.Struct):
    """What is read of a chunk; all of it may be missing, and more may be there."""

    choices: list[_Choice] | None = None
    model: str | None = None
    usage: _Counted | None = None


class _Answer:
    """What has come of an answer so far."""

    def __init__(self, endpoint: Endpoint, began_s: float) -> None:
        self.has_text = False
        """Whether something was handed out: then nothing is tried again."""
        self._endpoint = endpoint
        self._began_s = began_s
        self._latency_s = 0.0
        self._chars = self._chunks = 0
        self._model = endpoint.model
        self._finish = ""
        self._counted: _Counted | None = None

    def take(self, chunk: Any) -> Delta | None:
        """The text of a chunk, if it has any.

        Raises:
            ValueError: it has another shape than chunks have.
        """
        raw = chunk.to_dict(warnings=False) if hasattr(chunk, "to_dict") else chunk
        read = msgspec.convert(raw, _Chunk)
        self._chunks += 1
        self._model = read.model or self._model
        self._counted = read.usage or self._counted
        choice = read.choices[0] if read.choices else _Choice()
        self._finish = choice.finish_reason or self._finish
        given = choice.delta or _Given()
        delta = Delta(given.content or "", given.reasoning or given.reasoning_content or "")
        self._chars += len(delta.text) + len(delta.reasoning)
        return delta if delta.text or delta.reasoning else None

    def note_delta(self, now_s: float) -> None:
        """A delta is about to be handed out."""
        if not self.has_text:
            self.has_text = True
            self._latency_s = now_s - self._began_s

    def check_end(self) -> None:
        """See whether the end of the stream is the end of the answer: that is said by a reason to finish.

        Raises:
            ModelInterrupted: it is cut.
            ModelError: there was no stream at all, or the answer is withheld.
        """
        if self._finish == "content_filter" and not self.has_text:
            raise ModelError(f"{self._endpoint.shown} withholds the answer: its content filter objects.")
        if self._finish or self._counted:
            return
        raise problems.interrupted(self._endpoint) if self._chunks else problems.foreign(self._endpoint)

    def broken(self, reason: ModelError, *, cut: bool = False) -> ModelError:
        """The error for a stream that failed: once something was handed out, the answer is what broke off."""
        if isinstance(reason, ModelInterrupted) or not self.has_text:
            return reason
        return problems.interrupted(self._endpoint, None if cut else reason)

    def usage(self, messages: Sequence[Message]) -> Usage:
        """What it has cost."""
        counted = self._counted
        return Usage(
            input_tokens=counted.prompt_tokens
            if counted
            else sum(estimate_tokens(m.content) for m in messages),
            output_tokens=counted.completion_tokens if counted else estimate_tokens("x" * self._chars),
            model=self._endpoint.name_of(self._model),
            latency_s=self._latency_s,
            estimated=counted is None,
            truncated=self._finish == "length",
        )


def _pause_s(error: ModelError, ours_s: float) -> float:
    """How long to wait before the next attempt: as long as was asked for, or as we think."""
    return max(error.retry_after_s, ours_s) if isinstance(error, ModelBusy) else ours_s


def _import_openai() -> Any:
    try:
        # half a second, and not always installed; the second one it would load at the first request
        import openai  # noqa: PLC0415
        import openai.resources.chat  # noqa: PLC0415 # pyright: ignore[reportUnusedImport]
    except ImportError:
        raise ModelUnavailable(
            "Asking a language model needs an extra: pip install 'runcast[llm]'. Without RUNCAST_LLM_… and "
            "OPENROUTER_API_KEY, the built-in extractive model answers."
        ) from None
    return openai
