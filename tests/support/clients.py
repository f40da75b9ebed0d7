"""Clients for tests: the `websockets` library's, one that reads only when it is told to, and one for SSE."""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.sync.client import ClientConnection, connect
from websockets.uri import parse_uri

WAIT_S = 20.0

Frames = list[dict[str, Any]]


def open_ws(url: str, **options: Any) -> ClientConnection:
    """The `websockets` client with its own defaults, but for patience; never through a proxy."""
    return connect(url, proxy=None, open_timeout=WAIT_S, **options)


def receive(ws: ClientConnection, timeout_s: float = WAIT_S) -> dict[str, Any]:
    """The next message, decoded."""
    return json.loads(ws.recv(timeout=timeout_s))


def take(ws: ClientConnection, count: int) -> Frames:
    """Messages until they hold `count` events; fails if they hold more."""
    return take_until(ws, lambda frames: len(events_of(frames)) >= count, count)


def take_at_least(ws: ClientConnection, count: int) -> Frames:
    """Messages until they hold `count` events or more."""
    return take_until(ws, lambda frames: len(events_of(frames)) >= count)


def take_until(ws: ClientConnection, done: Callable[[Frames], bool], exactly: int | None = None) -> Frames:
    """Messages until the condition holds for all of them together."""
    frames: Frames = []
    while not done(frames):
        frames.append(receive(ws))
    assert exactly is None or len(events_of(frames)) == exactly
    return frames


def events_of(frames: Frames) -> list[dict[str, Any]]:
    """The events of batches and of single frames, in order."""
    events: list[dict[str, Any]] = []
    for frame in frames:
        events.extend([frame] if frame["type"] == "event" else frame["events"])
    return events


def ids_of(frames: Frames) -> list[str]:
    return [event["event_id"] for event in events_of(frames)]


def rest_of(ws: ClientConnection) -> tuple[Frames, int, str]:
    """All that comes until the server closes, its close code and its reason."""
    frames: Frames = []
    try:
        while True:
            frames.append(receive(ws))
    except ConnectionClosed as closed:
        goodbye = closed.rcvd
        return (frames, goodbye.code, goodbye.reason) if goodbye else (frames, 1006, "")


def ping_pong(ws: ClientConnection) -> Frames:
    """Everything that came before the answer to a ping: whatever was sent before it is here after it."""
    ws.send('{"type": "ping"}')
    return take_until(ws, lambda frames: bool(frames) and frames[-1]["type"] == "pong")[:-1]


class RawClient:
    """A WebSocket client over a blocking socket. It reads from it only when it is asked for a message.

    Args:
        receive_buffer: the kernel's buffer for this socket; small ones fill soon.
        deflate: offer permessage-deflate.
        headers: more headers of the handshake, replacing those of the same name.
        wait: for the answer to the handshake; otherwise call `shake_hands` later.
    """

    def __init__(
        self,
        url: str,
        *,
        receive_buffer: int | None = None,
        deflate: bool = False,
        factory: ClientPerMessageDeflateFactory | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = WAIT_S,
        wait: bool = True,
    ) -> None:
        parts = urlsplit(url)
        self.socket = socket.socket()
        self.socket.settimeout(timeout_s)
        if receive_buffer:  # before connecting: the window is agreed then
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect((parts.hostname, parts.port))
        offered = factory or (ClientPerMessageDeflateFactory() if deflate else None)
        self._protocol = ClientProtocol(
            parse_uri(url), extensions=[offered] if offered else None, max_size=None
        )
        request = self._protocol.connect()
        for name, value in (headers or {}).items():
            if name in request.headers:
                del request.headers[name]
            request.headers[name] = value
        self._protocol.send_request(request)
        self._inbox: deque[tuple[dict[str, Any] | str, int]] = deque()
        self._parts: list[bytes] = []
        self.pings = 0
        self.response: Response | None = None
        self._flush()
        if wait:
            self.shake_hands()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def shake_hands(self) -> None:
        """Wait for the answer to the handshake."""
        while self.response is None:
            assert self._read_some(), "closed"

    @property
    def close_code(self) -> int | None:
        received = self._protocol.close_rcvd
        return received.code if received else None

    def send_text(self, text: str) -> None:
        self._protocol.send_text(text.encode())
        self._flush()

    def send_frame(self, opcode: Opcode, data: bytes) -> None:
        """Any frame whatever, even one that no client should send."""
        frame = Frame(opcode, data)
        self.socket.sendall(frame.serialize(mask=True))

    def messages(self) -> Iterator[dict[str, Any]]:
        """Messages as they come, until the server closes."""
        while True:
            while self._inbox:
                yield json.loads(self._inbox.popleft()[0])  # pyright: ignore[reportArgumentType]
            at_end = self._protocol.state is State.CLOSED or not self._read_some()
            if at_end and not self._inbox:
                return

    def sizes(self, count: int) -> list[tuple[dict[str, Any], int]]:
        """The next `count` messages with the bytes of their frame's payload on the wire."""
        while len(self._inbox) < count:
            assert self._read_some(), "closed"
        taken = [self._inbox.popleft() for _ in range(count)]
        return [(json.loads(text), size) for text, size in taken]  # pyright: ignore[reportArgumentType]

    def take(self, count: int) -> Frames:
        """Messages until they hold `count` events."""
        frames: Frames = []
        for message in self.messages():
            frames.append(message)
            if len(events_of(frames)) >= count:
                break
        return frames

    def read_pings(self, more: int) -> None:
        """Read, and answer, until so many more pings have come; a message meanwhile stays for later."""
        wanted = self.pings + more
        while self.pings < wanted:
            assert self._read_some(), "closed"

    def _read_some(self) -> bool:
        try:
            data = self.socket.recv(65_536)
        except ConnectionResetError:
            data = b""
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                self.response = event
            elif isinstance(event, Frame):
                self._take_frame(event)
        self._flush()
        return bool(data)

    def _take_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self.pings += 1
        if frame.opcode in {Opcode.TEXT, Opcode.CONT}:
            self._parts.append(bytes(frame.data))
            if frame.fin:
                text = b"".join(self._parts)
                self._parts.clear()
                self._inbox.append((text.decode(), len(text)))

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                try:
                    self.socket.sendall(data)
                except OSError:
                    return


class SseMessage(dict[str, str]):
    """The fields of one message of an event stream; `comment` for a comment alone."""

    @property
    def json(self) -> Any:
        return json.loads(self["data"])


@contextmanager
def open_sse(url: str, **headers: str) -> Iterator[tuple[httpx2.Response, Iterator[SseMessage]]]:
    """A stream of server-sent events: the response, and its messages as they come (WHATWG HTML §9.2.5)."""
    with httpx2.Client(timeout=WAIT_S) as client, client.stream("GET", url, headers=headers) as response:
        yield response, _sse_messages(response.iter_lines())


def _sse_messages(lines: Iterator[str]) -> Iterator[SseMessage]:
    message = SseMessage()
    for line in lines:
        if not line:
            if message:
                yield message
            message = SseMessage()
            continue
        name, _, value = line.partition(":")
        message[name or "comment"] = value.removeprefix(" ")
