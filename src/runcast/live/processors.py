"""User functions that see each event once, before it is stored."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points

from runcast.kinds.base import Publish

logger = logging.getLogger("runcast.processors")

ENTRY_POINT_GROUP = "runcast.processors"

Processor = Callable[[Publish], Publish | None]
"""Gets an event it may change or replace; returns the event to store, or None to drop it."""


class Processors:
    """The chain of processors, in the order in which they were added.

    One that raises is counted in `failures` and logged, and the event passes it unchanged.
    """

    def __init__(self) -> None:
        self._chain: list[Processor] = []
        self.failures: Counter[str] = Counter()
        self.dropped = 0

    def add(self, processor: Processor) -> None:
        """Let `processor` see every event from now on. It runs where the event is published, mostly in the event loop, so it must be quick."""
        self._chain.append(processor)

    def load_entry_points(self) -> None:
        """Add what installed packages offer under the entry point group `runcast.processors`."""
        for point in entry_points(group=ENTRY_POINT_GROUP):
            self.add(point.load())

    def apply(self, publish: Publish) -> Publish | None:
        """The event as it should be stored, or None if it was dropped."""
        for processor in self._chain:
            result = self._call(processor, publish)
            if result is None:
                self.dropped += 1
                return None
            publish = result
        return publish

    def apply_all(self, publishes: Iterable[Publish]) -> list[Publish]:
        """Those that are left, in order."""
        if not self._chain:
            return list(publishes)
        return [kept for publish in publishes if (kept := self.apply(publish)) is not None]

    def _call(self, processor: Processor, publish: Publish) -> Publish | None:
        try:
            result = processor(copy.deepcopy(publish))
            if result is not None and not isinstance(result, Publish):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"a processor returns a Publish or None, not {type(result).__name__}")
            return result
        except Exception:  # the processor's root: it is the user's code, and must not cost an event
            name = getattr(processor, "__qualname__", repr(processor))
            self.failures[name] += 1
            logger.exception("the processor %s failed; the event passes unchanged", name)
            return publish
