"""Before a process ends: no answer is begun in it any more, and those on their way may come to their ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final

SHARE: Final = 0.8
"""Of the time that there is: in the rest, it is told that an answer broke off."""
GOODBYE_S: Final = 2.0
"""Beyond that time, for a log that is slow."""


class Draining:
    """What is on its way in this process, and whether more is begun. Belongs to the event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        """The one that ends: a bus may be started anew in another one."""
        self._until_s = 0.0
        self._answers: set[Callable[[], None]] = set()
        self._is_idle = asyncio.Event()

    @property
    def is_on(self) -> bool:
        """Whether nothing is begun here any more."""
        return self._loop is not None and self._loop is asyncio.get_running_loop()

    def begin(self, over_s: float) -> None:
        """What is on its way has most of `over_s` seconds from now; then it is broken off. The first call counts."""
        if not self.is_on:
            loop = self._loop = asyncio.get_running_loop()
            self._until_s = loop.time() + over_s + GOODBYE_S
            loop.call_later(SHARE * over_s, self._break_off)

    async def end(self) -> None:
        """Wait until nothing is on its way any more, or that takes too long. Cancellation-safe."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._until_s):
                while self._answers:
                    self._is_idle.clear()
                    await self._is_idle.wait()

    @contextmanager
    def answering(self, break_off: Callable[[], None]) -> Generator[None]:
        """One answer is on its way meanwhile; `break_off` is called when its time is up."""
        self._answers.add(break_off)
        try:
            yield
        finally:
            self._answers.discard(break_off)
            if not self._answers:
                self._is_idle.set()

    def _break_off(self) -> None:
        for break_off in list(self._answers):
            break_off()
