"""When something is too late: one timer for many deadlines, one after the other, since each request has one or two."""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from typing import Final

from runcast.chance import CHANCE

JITTER: Final = 0.1
"""By up to such a part a deadline is later than said: connections that were made together do not end together."""
CLOCK_S: Final = 0.002
"""By so much a timer may be early."""


class Deadline:
    """At most one deadline at a time. Belongs to the loop's thread."""

    __slots__ = ("_act", "_loop", "_timer", "at_s")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._act: Callable[[], None] | None = None
        self._timer: TimerHandle | None = None  # it may be for an earlier deadline
        self.at_s: float | None = None
        """On the loop's clock; None if there is none."""

    def set(self, after_s: float, act: Callable[[], None]) -> None:
        """Call `act` then, in place of what was to be done before."""
        self.at_s = self._loop.time() + after_s * (1 + JITTER * CHANCE.random())
        self._act = act
        if self._timer is not None and self._timer.when() > self.at_s:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self.at_s, self._look)

    def forget(self) -> None:
        """Let nothing be late; the timer may go on for the next one."""
        self.at_s = None

    def close(self) -> None:
        """Let go of the timer, too."""
        self.at_s = self._act = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self.at_s is None or self._act is None:
            return
        if self._loop.time() < self.at_s - CLOCK_S:
            self._timer = self._loop.call_at(self.at_s, self._look)
        else:
            self.at_s = None
            self._act()
