"""How long the calls of a tool take: counted in buckets, so that percentiles stay cheap however many there were."""

from __future__ import annotations

import math
from typing import Final

import msgspec

LEAST_S: Final = 0.001
"""What is shorter counts as this long."""
RATIO: Final = 1.1
"""Each bucket reaches to so many times the one before: a percentile is right to 5 %."""
BUCKETS: Final = 200
"""The last one begins at about 47 hours, and has all that is longer."""

_LOG_LEAST: Final = math.log(LEAST_S)
_LOG_RATIO: Final = math.log(RATIO)


class Durations(msgspec.Struct):
    """How many durations fell into which bucket, by its number; the shortest and the longest of them exactly."""

    counts: dict[int, int] = {}
    shortest: float | None = None
    longest: float | None = None

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.shortest = seconds if self.shortest is None else min(self.shortest, seconds)
        self.longest = seconds if self.longest is None else max(self.longest, seconds)
        index = _bucket(seconds)
        self.counts[index] = self.counts.get(index, 0) + 1

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    def percentile(self, percent: float) -> float | None:
        """The duration in seconds that so many percent do not exceed, to 5 %; None if there is none.

        It is never less than the shortest or more than the longest one: of a single one it is that one exactly.
        """
        wanted = math.ceil(self.total * percent / 100)
        below = 0
        for index in sorted(self.counts):
            below += self.counts[index]
            if below >= wanted:
                return self._within(LEAST_S * RATIO ** (index + 0.5))
        return None

    def _within(self, seconds: float) -> float:
        low, high = self.shortest, self.longest
        return seconds if low is None or high is None else min(max(seconds, low), high)

    def longer_than(self, seconds: float) -> int:
        """How many took longer, to the bucket."""
        index = _bucket(seconds)
        return sum(count for bucket, count in self.counts.items() if bucket > index)


def _bucket(seconds: float) -> int:
    if seconds <= LEAST_S:
        return 0
    return min(int((math.log(seconds) - _LOG_LEAST) / _LOG_RATIO), BUCKETS - 1)
