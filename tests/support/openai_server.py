"""A real local HTTP server that speaks OpenAI's streaming protocol, and everything that can go wrong in it.

Each request takes the next scene that was told to `play`; the last one goes on for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Self

WAIT_S = 20.0
MODEL = "test-model"


class Exchange:
    """One request, and the way to answer it."""

    def __init__(self, server: OpenAIServer, writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
        self.server = server
        self.body = body
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def head(self, status: str, *headers: str) -> None:
        await self.send("\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode())

    async def whole(self, status: str, body: bytes, content_type: str, *headers: str) -> None:
        length = f"Content-Length: {len(body)}"
        await self.head(status, f"Content-Type: {content_type}", length, *headers)
        await self.send(body)

    async def begin_stream(self) -> None:
        await self.head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")

    async def part(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def event(self, value: Any) -> None:
        await self.part(b"data: %b\n\n" % (value if isinstance(value, bytes) else json.dumps(value).encode()))

    async def end_stream(self) -> None:
        await self.part(b"")


Scene = Callable[[Exchange], Awaitable[None]]


class HangUp(Exception):
    """The connection is to be closed as it is."""


class OpenAIServer:
    """See the module. A context manager; `url` is what RUNCAST_LLM_BASE_URL would be."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        """Bodies, in order; `headers` and `path` beside them."""
        self.connections = 0
        self._scenes: list[Scene] = [answer("Hello", ", ", "world.")]
        self._tasks: set[asyncio.Task[None]] = set()
        self._up = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="openai-server", daemon=True)
        self.left = threading.Event()
        """Set when a client has gone in the middle of an answer."""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def play(self, *scenes: Scene) -> None:
        self._scenes = list(scenes)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = server.sockets[0].getsockname()[1]
        self._up.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            async for path, headers, body in _requests(reader):
                self.requests.append({**body, "path": path, "headers": headers})
                scene = self._scenes.pop(0) if len(self._scenes) > 1 else self._scenes[0]
                await self._until_left(writer, reader, scene(Exchange(self, writer, body)))
        except (HangUp, asyncio.CancelledError):
            writer.transport.abort()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _until_left(
        self, writer: asyncio.StreamWriter, reader: asyncio.StreamReader, scene: Awaitable[None]
    ) -> None:
        """Play a scene, unless the client goes away: nothing else is to be heard from it meanwhile."""
        playing = asyncio.ensure_future(scene)
        while not playing.done():
            await asyncio.wait([playing], timeout=0.01)
            if (reader.at_eof() or writer.transport.is_closing()) and not playing.done():
                playing.cancel()
                self.left.set()
                raise HangUp
        await playing


async def _requests(
    reader: asyncio.StreamReader,
) -> AsyncIterator[tuple[str, dict[str, str], dict[str, Any]]]:
    while head := await reader.readuntil(b"\r\n\r\n"):
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines if line)
        headers = {name.lower(): value.strip() for name, _, value in fields}
        content = await reader.readexactly(int(headers.get("content-length", "0")))
        yield first.split()[1], headers, json.loads(content or b"{}")


# --- scenes ------------------------------------------------------------------------------------


def chunk(
    text: str | None = None, *, finish: str | None = None, model: str = MODEL, **more: Any
) -> dict[str, Any]:
    """A chunk as the API documents it; `more` goes into its delta."""
    delta = {"content": text, **more} if text is not None else {**more}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def usage_chunk(prompt: int = 11, completion: int = 7, *, model: str = MODEL) -> dict[str, Any]:
    """What `include_usage` adds at the end: no choices, and the count."""
    total = prompt + completion
    counted = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    return {**chunk(model=model), "choices": [], "usage": counted}


def answer(
    *pieces: str,
    usage: bool = True,
    reasoning: Sequence[str] = (),
    reasoning_name: str = "reasoning",
    finish: str = "stop",
    model: str = MODEL,
    gate: threading.Event | None = None,
) -> Scene:
    """A whole answer; after the first piece it waits for the gate, if there is one."""

    async def play(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.part(b": PROCESSING\n\n")
        await exchange.event(chunk("", role="assistant", model=model))
        for thought in reasoning:
            await exchange.event(chunk(model=model, **{reasoning_name: thought}))
        for number, piece in enumerate(pieces):
            await exchange.event(chunk(piece, model=model))
            if gate is not None and number == 0:
                await asyncio.to_thread(gate.wait, WAIT_S)
        await exchange.event(chunk(finish=finish, model=model))
        if usage and exchange.body.get("stream_options", {}).get("include_usage"):
            await exchange.event(usage_chunk(model=model))
        await exchange.event(b"[DONE]")
        await exchange.end_stream()

    return play


def refuse(status: str, body: Any = None, *headers: str) -> Scene:
    """An error as the API words it; `body` may also be bytes of something else."""

    async def play(exchange: Exchange) -> None:
        if isinstance(body, bytes):
            await exchange.whole(status, body, "text/html", *headers)
        else:
            await exchange.whole(status, json.dumps(body).encode(), "application/json", *headers)

    return play


def error(message: str, code: str | int | None = None) -> dict[str, Any]:
    """The API's error object."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def cut(*pieces: str, cleanly: bool = False) -> Scene:
    """An answer that ends before it is complete: the connection breaks, or (cleanly) the stream just ends."""

    async def play(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.event(chunk("", role="assistant"))
        for piece in pieces:
            await exchange.event(chunk(piece))
        if not cleanly:
            raise HangUp
        await exchange.end_stream()

    return play


def fail_in_stream(*pieces: str, code: int = 502) -> Scene:
    """An error in the midst of a stream, as OpenRouter sends it."""

    async def play(exchange: Exchange) -> None:
        await exchange.begin_stream()
        for piece in pieces:
            await exchange.event(chunk(piece))
        await exchange.event(
            {**chunk(finish="error"), "error": {"code": code, "message": "Provider disconnected"}}
        )
        await exchange.end_stream()

    return play


def silence(*pieces: str, comments: bool = False) -> Scene:
    """Some text, and then nothing for ever, or only comments that keep the connection open."""

    async def play(exchange: Exchange) -> None:
        await exchange.begin_stream()
        for piece in pieces:
            await exchange.event(chunk(piece))
        while True:
            await asyncio.sleep(0.01)
            if comments:
                await exchange.part(b": PROCESSING\n\n")

    return play


def hang() -> Scene:
    """The request is taken, and never answered."""

    async def play(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    return play


def stutter(*pieces: str, pause_s: float = 0.05) -> Scene:
    """A whole answer that comes slowly, torn into single bytes where that is hardest: in the middle of characters."""

    async def play(exchange: Exchange) -> None:
        await exchange.begin_stream()
        for piece in pieces:
            event = b"data: %b\n\n" % json.dumps(chunk(piece), ensure_ascii=False).encode()
            for start in range(0, len(event), 7):
                await exchange.part(event[start : start + 7])
            await asyncio.sleep(pause_s)
        await exchange.event(chunk(finish="stop"))
        await exchange.event(b"[DONE]")
        await exchange.end_stream()

    return play


def nonsense(*pieces: str) -> Scene:
    """Some text, then what is no chunk, in the midst of the stream."""

    async def play(exchange: Exchange) -> None:
        await exchange.begin_stream()
        for piece in pieces:
            await exchange.event(chunk(piece))
        await exchange.event(b'{"choices": [{"delta": ')
        await exchange.end_stream()

    return play


def garbage(body: bytes, content_type: str = "text/event-stream") -> Scene:
    """A success that is no stream of chunks."""

    async def play(exchange: Exchange) -> None:
        await exchange.whole("200 OK", body, content_type)

    return play


def hang_up() -> Scene:
    """The connection is closed without a word."""

    async def play(exchange: Exchange) -> None:
        raise HangUp

    return play
