"""Following a firehose in Python without reading from the log what was just announced."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runcast.core.event import ANY_TAG, Cursor, Event
from runcast.core.page import PAGE_MAX_EVENTS, Record
from runcast.core.scope import Scope

if TYPE_CHECKING:
    from runcast.live.bus import Bus

RING_BYTES = 4 * 1024 * 1024
"""What is kept for a reader that is behind; one that is further behind reads from the log."""


class Follower:
    """The events of a firehose after a position, in order, each once. For one task, made by `follow`."""

    def __init__(self, bus: Bus, scope: Scope) -> None:
        self.position = 0
        """All up to here was given out, or need not be."""
        self._bus = bus
        self._scope = scope
        self._ring: deque[Event] = deque()
        self._bytes = 0
        self._lost = 0  # the position of the newest event that found no room

    def hear(self, records: list[Record]) -> None:
        """Take what was announced."""
        for record in records:
            if isinstance(record, Event):
                self._ring.append(record)
                self._bytes += record.size_bytes
        while self._bytes > RING_BYTES:
            self._lost = self._forget().position

    def take(self) -> list[Event]:
        """What is there without waiting, if that is all there is; empty otherwise."""
        while self._ring and self._ring[0].position <= self.position:
            self._forget()
        if self._lost > self.position or not self._ring:
            return []
        taken = [self._forget() for _ in range(min(len(self._ring), PAGE_MAX_EVENTS))]
        self.position = taken[-1].position
        return taken

    async def read(self) -> list[Event]:
        """The next events: at most 256, at least one. Cancellation-safe.

        Raises:
            LogError: the log could not be read, or was closed.
        """
        with self._bus.hub.bells.hang(self._scope) as bell:
            while not (events := self.take()):
                if self._lost > self.position:
                    after = Cursor(self._bus.log_epoch(), self.position, ANY_TAG)
                    page = await self._bus.read_all(self._scope.kind, after)
                    self.position = page.last
                    if page.events:
                        return page.events
                    continue
                await bell.wait()
                if not self._ring:
                    await self._bus.head()  # rung without news: the bus may have been closed
                bell.clear()
        return events

    def _forget(self) -> Event:
        event = self._ring.popleft()
        self._bytes -= event.size_bytes
        return event


@contextmanager
def follow(bus: Bus, scope: Scope) -> Generator[Follower]:
    """A follower that hears of everything that is committed from now on; set its `position` before reading."""
    follower, name = Follower(bus, scope), str(scope)
    taps = bus.hub.taps
    taps.setdefault(name, set()).add(follower.hear)
    try:
        yield follower
    finally:
        taps[name].discard(follower.hear)
        if not taps[name]:
            del taps[name]
