"""When the next flush is due: at once when idle, and about as seldom as flushing is expensive under load."""

from __future__ import annotations


class Pacing:
    """The adaptive batching of one cohort.

    The first event after a pause goes out at once. After a flush that took `d` seconds the next one waits as
    long again, at most `window_s`: so at most about half of the time goes into writing, and batches grow by
    themselves exactly when that keeps latency low. With `interval_s`, flushes are at least that far apart.

    All times are in seconds of one monotonic clock, given by the caller.
    """

    __slots__ = ("_not_before", "interval_s", "window_s")

    def __init__(self, window_s: float, interval_s: float = 0.0) -> None:
        self.window_s = window_s
        self.interval_s = interval_s
        self._not_before = float("-inf")

    @property
    def not_before(self) -> float:
        """When the next flush is due at the earliest."""
        return self._not_before

    def delay(self, now: float) -> float:
        """How many seconds from `now` the next flush should wait; 0 if it is due."""
        return max(0.0, self._not_before - now)

    def flushed(self, began: float, ended: float) -> None:
        """A flush ran from `began` to `ended`."""
        rest = min(ended - began, self.window_s)
        self._not_before = ended + rest if rest > 0.0 else ended
        if self.interval_s:
            self._not_before = max(self._not_before, began + self.interval_s)


def limit_rate(batch_size: int, interval_s: float, max_rate: int) -> tuple[int, float]:
    """The batch size and the interval that keep a client's events per second within `max_rate` (0: any number).

    Batches become smaller before they become rarer than ten times a second.
    """
    if not max_rate:
        return batch_size, interval_s
    batch_size = min(batch_size, max(1, int(max_rate * max(interval_s, 0.1))))
    return batch_size, max(interval_s, batch_size / max_rate)
