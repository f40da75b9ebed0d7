"""A sink for transports that only know `await send(...)`: one bounded sender per client."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from runcast.core.closing import TRY_AGAIN_LATER
from runcast.live.codec import Chunk
from runcast.live.sink import Pressure

CLOSE_GRACE_S = 10.0

Send = Callable[[bytes | str], Awaitable[None]]
Close = Callable[[int, str], Awaitable[None]]


def ending(scope: asyncio.Timeout) -> Callable[[], None]:
    """What ends `scope` at once when it is called; it does nothing if that has come to an end by itself."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        with suppress(RuntimeError):  # it is over, or about to be
            scope.reschedule(loop.time())

    return end


class SenderSink:
    """Sends what is written, in order, from one task: the owner runs `run` in its task group.

    Over `limit_bytes` it tells the pressure that the client is blocked, and that it has drained at a quarter
    of that.
    """

    def __init__(self, send: Send, close: Close, limit_bytes: int) -> None:
        self._send = send
        self._close = close
        self._limit_bytes = limit_bytes
        self._pressure: Pressure | None = None
        self._give_up: Callable[[], None] = lambda: None
        self._queue: deque[bytes | str] = deque()
        self._filled = asyncio.Event()
        self._buffered = 0
        self._blocked = False
        self._goodbye: tuple[int, str] | None = None
        self._stopped = False

    def attach(self, pressure: Pressure, give_up: Callable[[], None]) -> None:
        """Tell `pressure` how writing goes from now on; `give_up` ends a client that takes nothing."""
        self._pressure = pressure
        self._give_up = give_up

    def write(self, chunk: Chunk) -> None:
        """See `Sink.write`."""
        if self._goodbye is not None or self._stopped:
            return
        items = (chunk.data,) if isinstance(chunk.data, bytes) else chunk.data
        self._queue.extend(items)
        self._buffered += sum(map(len, items))
        self._filled.set()
        if self._buffered > self._limit_bytes and not self._blocked and self._pressure is not None:
            self._blocked = True
            self._pressure.blocked()

    def stop(self) -> None:
        """Send nothing more and say no goodbye: what it sends to belongs to somebody else. Idempotent."""
        self._stopped = True
        self._queue.clear()
        self._filled.set()

    def buffered_bytes(self) -> int:
        """See `Sink.buffered_bytes`; texts count by their characters."""
        return self._buffered

    def close(self, code: int, reason: str) -> None:
        """See `Sink.close`."""
        if self._goodbye is None and not self._stopped:
            self._goodbye = (code, reason)
            self._filled.set()
            if self._buffered:  # what is written may still go out, the last of a stream for instance
                grace_s = 0.0 if code == TRY_AGAIN_LATER else CLOSE_GRACE_S
                asyncio.get_running_loop().call_later(grace_s, self._give_up)

    async def run(self) -> None:
        """Send until closed, the goodbye last, until stopped, or until the client is gone.

        Cancel it to give the client up.
        """
        with suppress(OSError):  # gone: whoever reads from the client is told
            while not self._stopped and (self._queue or self._goodbye is None):
                if self._queue:
                    await self._send_one(self._queue.popleft())
                else:
                    self._filled.clear()
                    await self._filled.wait()
            if self._goodbye is not None:
                await self._close(*self._goodbye)

    async def _send_one(self, data: bytes | str) -> None:
        await self._send(data)
        self._buffered -= len(data)
        if self._blocked and self._buffered <= self._limit_bytes // 4:
            self._blocked = False
            if self._pressure is not None:
                self._pressure.drained()
