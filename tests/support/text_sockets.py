"""WebSockets as a user's own app may have them: nothing but `async send_text(str)`, or a little more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from tests.support.server import WAIT_S

POLL_S = 0.002


class BareSocket:
    """Nothing but `async send_text(str)`; takes what it gets, unless it is told to wait or to fail."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.free = asyncio.Event()
        self.free.set()
        self._came = asyncio.Event()

    async def send_text(self, data: str) -> None:
        await self.free.wait()
        if self.error is not None:
            raise self.error
        self.frames.append(json.loads(data))
        self._came.set()

    @property
    def types(self) -> list[str]:
        return [frame["type"] for frame in self.frames]

    async def until(self, done: Callable[[], bool], *, polling: bool = False) -> None:
        """Wait until it has got what it takes; with `polling`, also for what nothing here tells of."""
        async with asyncio.timeout(WAIT_S):
            while not done():
                self._came.clear()
                if polling:
                    await asyncio.sleep(POLL_S)
                else:
                    await self._came.wait()


class ClosingSocket(BareSocket):
    """One that can be closed, too."""

    def __init__(self) -> None:
        super().__init__()
        self.closed: tuple[int, str] | None = None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed = (code, reason)
        self._came.set()
