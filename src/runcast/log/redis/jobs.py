"""What is stored together, by whoever publishes it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from runcast.core.event import NewEvent
from runcast.log.base import Appended, Lease
from runcast.log.queue import JOB_BYTES


@dataclass(slots=True, eq=False)
class Job:
    """Events that are stored together, or not at all."""

    events: Sequence[NewEvent]
    lease: Lease | None
    size_bytes: int = 0
    future: Future[list[Appended]] = field(default_factory=Future[list[Appended]])
    born: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.size_bytes = JOB_BYTES + sum(event.size_bytes for event in self.events)
