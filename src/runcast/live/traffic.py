"""Counting what was delivered."""

from __future__ import annotations

from typing import NamedTuple


class Delivered(NamedTuple):
    """Totals of one stream's or one process's deliveries."""

    events: int
    bytes: int


class Traffic:
    """Adds up deliveries; one counter for a topic, one for the hub that owns it."""

    __slots__ = ("_parent", "bytes", "events", "since")

    def __init__(self, since: float, parent: Traffic | None = None) -> None:
        self.events = 0
        self.bytes = 0
        self.since = since
        """On the loop's clock."""
        self._parent = parent

    def add(self, events: int, size_bytes: int) -> None:
        """Count `events` deliveries of `size_bytes` in all."""
        self.events += events
        self.bytes += size_bytes
        if self._parent is not None:
            self._parent.add(events, size_bytes)

    def total(self) -> Delivered:
        """What was delivered so far."""
        return Delivered(self.events, self.bytes)
