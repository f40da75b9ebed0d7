"""Reads the files of one session as one: line by line, in the order of the times that the lines have.

A session's subagents write files of their own. Read one after the other, their events would go back in time again
and again; merged, they come as they happened. What is kept of each file meanwhile is a piece of it, however long it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Final

from runcast.sources.claude_code.reading import Reading, tell_unreadable

MERGED_BYTES: Final = 4 * 1024 * 1024
"""What is held of all files of a session together, unless they are so many that each has the least piece."""
LEAST_BYTES: Final = 8 * 1024


class Merge:
    """Some readings on their way to their ends. Blocking; making one looks at the first line of each.

    A line without a time goes with the one before it in its file. Of lines of the same time, those of an earlier
    reading come first: the same files always give the same order.
    """

    def __init__(self, readings: Sequence[Reading]) -> None:
        self.readings = {reading.path: reading for reading in readings}
        self._order = list(readings)
        self._chunk_bytes = max(LEAST_BYTES, MERGED_BYTES // max(1, len(readings)))
        self._heads: list[tuple[int, int]] = []
        self._ended: list[str] = []
        for rank in range(len(self._order)):
            self._look(rank)

    @property
    def has_more(self) -> bool:
        """Whether a line is left in any file."""
        return bool(self._heads)

    def step(self, take: Callable[[Reading], object]) -> None:
        """Let `take` have the next line of the reading where that is the oldest one."""
        _, rank = heappop(self._heads)
        take(self._order[rank])
        self._look(rank)

    def pop_ended(self) -> list[str]:
        """The files that have come to their ends since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def _look(self, rank: int) -> None:
        reading = self._order[rank]
        try:
            time_us = reading.peek(self._chunk_bytes)
        except OSError as error:
            tell_unreadable(reading.path, error)
            time_us = None
        if time_us is None:
            self._ended.append(reading.path)
        else:
            heappush(self._heads, (time_us, rank))
