"""What happened when: events, errors and tokens of a session, in at most 240 stretches of equal length."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from runcast.core.event import MICROSECONDS, format_time
from runcast.kinds.session_fields import MAX_COUNT

MAX_BUCKETS: Final = 240


class Timeline(msgspec.Struct):
    """Sums by stretches of `width_s` seconds, a power of two: the least that covers the session.

    The first one begins at `first * width_s` seconds after the Unix epoch. So the same events give the same
    timeline, in whatever order they come. `api_tokens` are what requests to the model told.
    """

    width_s: int = 1
    first: int = 0
    events: list[int] = []
    errors: list[int] = []
    tokens: list[int] = []
    api_tokens: list[int] = []

    def add(self, time_us: int, *, error: bool, tokens: int, api_tokens: int) -> None:
        """Count one event."""
        index = self._index(time_us)
        if not 0 <= index < len(self.events):
            self._reach(time_us)
            index = self._index(time_us)
        self.events[index] += 1
        self.errors[index] += error
        self.tokens[index] = min(self.tokens[index] + tokens, MAX_COUNT)
        self.api_tokens[index] = min(self.api_tokens[index] + api_tokens, MAX_COUNT)

    def document(self, *, by_api: bool) -> dict[str, Any] | None:
        """The timeline as it is shown, with the tokens of one of the two accounts; None before the first event."""
        if not self.events:
            return None
        return {
            "start": format_time(self.first * self.width_s * MICROSECONDS),
            "width_seconds": self.width_s,
            "events": self.events,
            "errors": self.errors,
            "tokens": self.api_tokens if by_api else self.tokens,
        }

    def _index(self, time_us: int) -> int:
        return time_us // (self.width_s * MICROSECONDS) - self.first

    def _reach(self, time_us: int) -> None:
        """Have a stretch for `time_us`: add some in front or behind, and make them wider until they are few."""
        if not self.events:
            self.first = time_us // (self.width_s * MICROSECONDS)
        while True:
            index = self._index(time_us)
            if max(index + 1, len(self.events)) - min(index, 0) <= MAX_BUCKETS:
                break
            self._widen()
        front, behind = max(-index, 0), max(index + 1 - len(self.events), 0)
        self.first -= front
        for sums in (self.events, self.errors, self.tokens, self.api_tokens):
            sums[:0] = [0] * front
            sums.extend([0] * behind)

    def _widen(self) -> None:
        odd = self.first % 2
        for sums in (self.events, self.errors, self.tokens, self.api_tokens):
            padded = [0] * odd + sums + [0] * ((odd + len(sums)) % 2)
            pairs = zip(padded[::2], padded[1::2], strict=True)
            sums[:] = [min(one + other, MAX_COUNT) for one, other in pairs]
        self.first //= 2
        self.width_s *= 2
