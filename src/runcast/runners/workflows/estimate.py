"""How far a run is and how long it may still take, from what its finished steps took. Pure: it is told the time."""

from __future__ import annotations


class Estimate:
    """Counts steps: one is an agent, or several at once. Times are in seconds."""

    def __init__(self) -> None:
        self.expected = 0
        self._finished = 0
        self._took_s = 0.0
        self._agents = self._agents_done = 0
        self._began_s = 0.0
        self._kept_s = 0.0
        self._percent = 0.0

    def begin_step(self, agents: int, now_s: float) -> None:
        """A step with so many agents (at least one) begins."""
        self._agents, self._agents_done, self._began_s, self._kept_s = agents, 0, now_s, 0.0

    def finish_agent(self, now_s: float, kept_s: float = 0.0) -> None:
        """One agent of the step has finished, the step with its last one.

        `kept_s` is what it took when it was run, if that was earlier.
        """
        self._agents_done += 1
        self._kept_s = max(self._kept_s, kept_s)
        if self._agents_done == self._agents:
            self._finished += 1
            self._took_s += max(now_s - self._began_s, self._kept_s)
            self._agents = self._agents_done = 0

    def percent(self) -> float:
        """How much is done of what is expected, never less than before; below 100, as the end is another event."""
        if self.expected:
            part = self._agents_done / self._agents if self._agents else 0.0
            self.at_least(min(100 * (self._finished + part) / self.expected, 99.0))
        return round(self._percent, 1)

    def at_least(self, percent: float) -> None:
        """It was said to be so far."""
        self._percent = max(self._percent, percent)

    def eta_s(self, now_s: float) -> float | None:
        """The time left; None while no step has finished."""
        if not self._finished:
            return None
        mean_s = self._took_s / self._finished
        if self.expected:
            running_s = min(now_s - self._began_s, mean_s) if self._agents else 0.0
            left = max(self.expected - self._finished, 0)
            return round(max(left * mean_s - running_s, 0.0), 1)
        if 0 < self._percent <= 100:
            return round(self._took_s * (100 - self._percent) / self._percent, 1)
        return None
