"""People who chat: WebSockets in one process of its own, which ask, and time every token by what stands in it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

STAMP = re.compile(rb"<([0-9.]+)>")
TOKEN = re.compile(rb'"token":"([^"]*)"')
_CONTEXT = get_context("spawn")
WAIT_S = 30.0


@dataclass
class Heard:
    """What all of them heard. Times in milliseconds."""

    latencies_ms: list[float] = field(default_factory=list[float])
    first_ms: list[float] = field(default_factory=list[float])
    """From the question to the first token of its answer, less the time until the model gave it."""
    whole_first_ms: list[float] = field(default_factory=list[float])
    """From the question to the first token of its answer."""
    cancel_ms: list[float] = field(default_factory=list[float])
    all_from_s: float = inf
    """When all had asked, until the first answer came to its end: then all are being answered at once, …"""
    all_until_s: float = 0.0
    tokens_of_all: int = 0
    """… and so many tokens came."""
    frames: int = 0
    byte_count: int = 0
    completed: int = 0
    errors: list[str] = field(default_factory=list[str])


class Chatters:
    """One person per path, connected and known; then they do what they are told."""

    def __init__(self, port: int, paths: Sequence[str], core: int | None = None) -> None:
        self._pipe, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_main, args=(port, list(paths), core, theirs), daemon=True)
        self._process.start()

    def wait_ready(self) -> None:
        """Until all are known."""
        self._pipe.recv()

    def ask(self, text: str, over_s: float, wait_s: float) -> Heard:
        """All ask, spread over `over_s` seconds; what they heard when all answers have come, or time is over."""
        return self._do("ask", text, over_s, wait_s)

    def take_turns(self, text: str, times: int, *, cancel: bool) -> Heard:
        """The first one asks so many times, one after the other, and cancels each answer at its first token if told."""
        return self._do("turns", text, times, cancel)

    def leave(self) -> None:
        """All close their connections."""
        self._pipe.send(None)
        self._process.join(10)

    def _do(self, *order: Any) -> Heard:
        self._pipe.send(order)
        return self._pipe.recv()


class _Chatter(asyncio.Protocol):
    """One WebSocket; the frames of a server are neither masked nor fragmented here (RFC 6455 §5.2)."""

    def __init__(self, path: str, heard: Callable[[], Heard]) -> None:
        self._path, self._heard = path, heard
        self._buffer = b""
        self._is_open = False
        self._transport: Any = None
        self.known = asyncio.get_running_loop().create_future()
        self.done = asyncio.Event()
        self.began_s = 0.0
        self.cancels = False
        self._cancelled_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def say(self, frame: dict[str, Any]) -> None:
        """Send a text frame; the mask is of zeros, so it changes nothing (RFC 6455 §5.3 allows any)."""
        payload = json.dumps(frame).encode()
        size = len(payload)
        head = bytes([0x81, 0x80 | size]) if size < 126 else bytes([0x81, 0xFE]) + size.to_bytes(2, "big")
        self._transport.write(head + b"\0\0\0\0" + payload)

    def ask(self, text: str) -> None:
        self.done.clear()
        self.began_s = time.monotonic()
        self.say({"type": "message", "message": text})

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self._buffer += data
        if not self._is_open:
            _, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            self._is_open, self._buffer = True, rest
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
        heard = self._heard()
        if opcode == 9:
            self._transport.write(b"\x8a\x80\0\0\0\0")
        if opcode != 1:
            return
        heard.frames += 1
        heard.byte_count += len(payload)
        if payload.startswith(b'{"type":"token"'):
            self._take_token(heard, payload, now)
        elif payload.startswith(b'{"type":"complete"'):
            heard.completed += 1
            if self._cancelled_s:
                heard.cancel_ms.append((now - self._cancelled_s) * 1000)
                self._cancelled_s = 0.0
            self.done.set()
        elif payload.startswith((b'{"type":"error"', b'{"type":"auth_error"')):
            heard.errors.append(payload.decode()[:200])
            self.done.set()
        elif payload.startswith(b'{"type":"auth_success"'):
            self.known.set_result(None)

    def _take_token(self, heard: Heard, payload: bytes, now: float) -> None:
        found = TOKEN.search(payload)
        stamps = [float(stamp) for stamp in STAMP.findall(found[1])] if found else []
        heard.latencies_ms += [(now - stamp) * 1000 for stamp in stamps]
        if now >= heard.all_from_s and not heard.completed:
            heard.tokens_of_all += len(stamps)
            heard.all_until_s = now
        if self.began_s and stamps:
            heard.whole_first_ms.append((now - self.began_s) * 1000)
            heard.first_ms.append((now - stamps[0]) * 1000)
            self.began_s = 0.0
            if self.cancels:
                self._cancelled_s = time.monotonic()
                self.say({"type": "cancel"})


def _main(port: int, paths: list[str], core: int | None, pipe: Connection) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})
    asyncio.run(_chat(port, paths, pipe))


async def _chat(port: int, paths: list[str], pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    heard = [Heard()]
    chatters: list[_Chatter] = []
    for path in paths:
        _, chatter = await loop.create_connection(
            lambda path=path: _Chatter(path, lambda: heard[0]), "127.0.0.1", port
        )
        await asyncio.wait_for(chatter.known, WAIT_S)
        chatters.append(chatter)
    pipe.send("ready")
    while (order := await asyncio.to_thread(pipe.recv)) is not None:
        heard[0] = Heard()
        if order[0] == "ask":
            await _ask_all(chatters, heard[0], *order[1:])
        else:
            await _take_turns(chatters[0], *order[1:])
        pipe.send(heard[0])


async def _ask_all(chatters: list[_Chatter], heard: Heard, text: str, over_s: float, wait_s: float) -> None:
    until_s = time.monotonic() + wait_s
    for chatter in chatters:
        chatter.ask(text)
        await asyncio.sleep(over_s / len(chatters))
    heard.all_from_s = time.monotonic()
    for chatter in chatters:
        try:
            await asyncio.wait_for(chatter.done.wait(), max(0.0, until_s - time.monotonic()))
        except TimeoutError:
            return


async def _take_turns(chatter: _Chatter, text: str, times: int, cancel: bool) -> None:
    chatter.cancels = cancel
    for _ in range(times):
        chatter.ask(text)
        await asyncio.wait_for(chatter.done.wait(), WAIT_S)
        await asyncio.sleep(0.02)
    chatter.cancels = False
