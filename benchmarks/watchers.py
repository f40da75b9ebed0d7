"""Watchers of many streams: WebSockets in one process of its own, which time every event by its field `sent`.

In Python: what the feeds' storms deliver is some ten thousand events a second, not millions.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import uvloop

SENT = re.compile(rb'"sent":([0-9.]+)')
_CONTEXT = get_context("spawn")


@dataclass
class Seen:
    """What all watchers but the silent ones received."""

    latencies_ms: list[float] = field(default_factory=list[float])
    messages: int = 0
    finished: int = 0
    """Watchers whose socket the server has closed by 1000."""


class Watchers:
    """Connects to `paths` (silent ones read nothing after their handshake) and listens until told to stop."""

    def __init__(
        self, port: int, paths: Sequence[str], silent: Sequence[str] = (), core: int | None = None
    ) -> None:
        self._pipe, theirs = _CONTEXT.Pipe()
        arguments = (port, list(paths), list(silent), core, theirs)
        self._process = _CONTEXT.Process(target=_main, args=arguments, daemon=True)
        self._process.start()

    def wait_ready(self) -> None:
        """Until all are connected."""
        self._pipe.recv()

    def finish(self, wait_s: float) -> Seen:
        """What was seen; waits at most so long for the server to close all sockets."""
        self._pipe.send(wait_s)
        seen: Seen = self._pipe.recv()
        self._process.join(10)
        return seen


class _Watcher(asyncio.Protocol):
    """One WebSocket; the frames of a server are neither masked nor fragmented here (RFC 6455 §5.2)."""

    def __init__(self, path: str, seen: Seen, ready: asyncio.Future[None], *, silent: bool) -> None:
        self._path, self._seen, self._ready, self._silent = path, seen, ready, silent
        self._buffer = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self._buffer += data
        if not self._ready.done():
            head, found, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            self._ready.set_result(None)
            if self._silent:
                self._transport.pause_reading()
                return
        self._take_frames(now)

    def _take_frames(self, now: float) -> None:
        buffer = self._buffer
        while len(buffer) >= 2:
            length, start = buffer[1] & 127, 2
            if length == 126:
                length, start = int.from_bytes(buffer[2:4], "big"), 4
            elif length == 127:
                length, start = int.from_bytes(buffer[2:10], "big"), 10
            if len(buffer) < start + length:
                break
            payload, opcode, buffer = buffer[start : start + length], buffer[0] & 15, buffer[start + length :]
            self._take(opcode, payload, now)
        self._buffer = buffer

    def _take(self, opcode: int, payload: bytes, now: float) -> None:
        if opcode == 1:
            self._seen.messages += 1
            self._seen.latencies_ms += [(now - float(sent)) * 1000 for sent in SENT.findall(payload)]
        elif opcode == 8:
            self._seen.finished += payload[:2] == b"\x03\xe8"
            self._transport.close()


def _main(port: int, paths: list[str], silent: list[str], core: int | None, pipe: Connection) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})
    uvloop.run(_watch(port, paths, silent, pipe))


async def _watch(port: int, paths: list[str], silent: list[str], pipe: Connection) -> None:
    loop, seen = asyncio.get_running_loop(), Seen()
    for path, is_silent in [*((path, False) for path in paths), *((path, True) for path in silent)]:
        ready: asyncio.Future[None] = loop.create_future()
        await loop.create_connection(
            lambda path=path, ready=ready, is_silent=is_silent: _Watcher(path, seen, ready, silent=is_silent),
            "127.0.0.1",
            port,
        )
        await ready
    pipe.send("ready")
    wait_s: float = await asyncio.to_thread(pipe.recv)
    deadline = time.monotonic() + wait_s
    while seen.finished < len(paths) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    pipe.send(seen)
