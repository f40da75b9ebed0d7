"""What this process is at: connections, traffic, CPU, memory, runs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from runcast.core.event import split_stream
from runcast.kinds.system_nodes import NodeLoad
from runcast.live.bus import Bus
from runcast.runners.workflows.meter import memory_bytes

SHORTEST_S: Final = 0.5
"""Rates over less say nothing."""

Runs = Callable[[], Iterable[str]]
"""The streams that this process runs now."""


class _Totals(NamedTuple):
    at_s: float
    cpu_s: float
    deliveries: int
    delivered_bytes: int
    published: int


class LoadMeter:
    """Measures since the last `mark`. Belongs to the event loop."""

    def __init__(self, bus: Bus, runs: Runs) -> None:
        self._bus = bus
        self._runs = runs
        self._before = self._marked = self._totals()

    def mark(self) -> None:
        """Measure from now on."""
        self._before, self._marked = self._marked, self._totals()

    def read(self) -> NodeLoad:
        """What it is at now; the rates are the mean since the last mark, or since the one before if that was just now."""
        now = self._totals()
        since = self._marked if now.at_s - self._marked.at_s >= SHORTEST_S else self._before
        passed_s = max(now.at_s - since.at_s, 1e-3)
        return NodeLoad(
            connections=self._bus.live_statistics().connections,
            subscriptions=subscriptions(self._bus),
            deliveries_per_s=round((now.deliveries - since.deliveries) / passed_s, 1),
            delivered_bytes_per_s=round((now.delivered_bytes - since.delivered_bytes) / passed_s, 1),
            published_per_s=round((now.published - since.published) / passed_s, 1),
            cpu_percent=round(100 * (now.cpu_s - since.cpu_s) / passed_s, 1),
            memory_mb=round(memory_bytes() / 2**20, 1),
            runs=runs_by_kind(self._runs()),
        )

    def _totals(self) -> _Totals:
        traffic = self._bus.traffic()
        published = self._bus.log.statistics().appended_events
        return _Totals(time.monotonic(), time.process_time(), traffic.events, traffic.bytes, published)


def subscriptions(bus: Bus) -> int:
    """How many there are in this process; a client may have several. Needs no running loop."""
    return sum(len(topic.subscribers) for topic in bus.topics())


def runs_by_kind(streams: Iterable[str]) -> dict[str, int]:
    """How many of each kind."""
    return dict(Counter(split_stream(stream)[0] for stream in streams))
