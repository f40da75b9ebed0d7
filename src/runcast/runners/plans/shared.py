"""What the runs of all plans in a process share: threads and their slots, functions, the model, knowledge."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from runcast.live.bus import Bus
from runcast.runners.plans.attempt import StepAttempt
from runcast.runners.plans.context import Resources
from runcast.runners.plans.doing import Functions
from runcast.runners.plans.figures import LoopLag


class Threads(Protocol):
    """Where steps are done."""

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        """Begin `work`; the future has what it returns."""
        ...


class Slots:
    """How many steps may be at work at once, in all plans of a process. For the event loop."""

    def __init__(self, limit: int) -> None:
        self.free = limit
        self._waiting: dict[Callable[[], None], None] = {}

    def take(self) -> bool:
        """Take one, if one is free."""
        if self.free <= 0:
            return False
        self.free -= 1
        return True

    def give(self) -> None:
        """Give one back; who has waited longest is told."""
        self.free += 1
        self.tell_next()

    def wait(self, wake: Callable[[], None]) -> None:
        """Call `wake`, once, when one may be free. Whoever wants none then calls `tell_next`."""
        self._waiting.setdefault(wake)

    def forget(self, wake: Callable[[], None]) -> None:
        """Wait no longer."""
        if wake in self._waiting:
            del self._waiting[wake]
        else:
            self.tell_next()  # it may have been told, and not have looked yet

    def tell_next(self) -> None:
        """Something may be free: tell who waits."""
        if self.free > 0 and self._waiting:
            wake = next(iter(self._waiting))
            del self._waiting[wake]
            wake()


class Shared:
    """One per process. `attempts` are those whose threads are at work, by stream and step, whether they still count or not."""

    def __init__(
        self, bus: Bus, threads: Threads, slots: Slots, resources: Resources, functions: Functions
    ) -> None:
        self.bus = bus
        self.threads = threads
        self.slots = slots
        self.resources = resources
        self.functions = functions
        self.lag = LoopLag()
        self.attempts: dict[tuple[str, str], StepAttempt] = {}
