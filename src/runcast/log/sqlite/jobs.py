"""What the writer's thread is given to do, and what of it goes into one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from runcast.core.event import NewEvent
from runcast.log.base import Lease
from runcast.log.ledger import Ledger
from runcast.log.queue import JOB_BYTES


@dataclass(slots=True, eq=False)
class StreamJob:
    """A change of streams. Many go together into one transaction."""

    act: Callable[[Ledger], Any]
    streams: Collection[str]
    events: Sequence[NewEvent] = ()
    lease: Lease | None = None
    size_bytes: int = JOB_BYTES
    future: Future[Any] = field(default_factory=Future[Any])


@dataclass(slots=True, eq=False)
class TableJob:
    """What lies beside the streams; it goes into the transaction of what is taken with it, after changes of streams.

    `lease` names one that may change hands: what is appended under it, and was queued later, is not taken with it.
    """

    act: Callable[[sqlite3.Connection], Any]
    lease: str = ""
    events: Sequence[NewEvent] = ()
    size_bytes: int = 0
    future: Future[Any] = field(default_factory=Future[Any])


@dataclass(slots=True, eq=False)
class LoneJob:
    """Anything else that the writer's thread does by itself: in a transaction of its own, or without any.

    It may change streams behind the ledger's back, of which nothing is taken for granted after a transaction of it.
    """

    act: Callable[[sqlite3.Connection], Any]
    transaction: bool = True
    events: Sequence[NewEvent] = ()
    size_bytes: int = 0
    future: Future[Any] = field(default_factory=Future[Any])


Job = StreamJob | TableJob | LoneJob


class Together:
    """The rule for the jobs of one transaction: whether the next one may go with those before it."""

    def __init__(self) -> None:
        self._is_first = True
        self._is_full = False
        self._leases: set[str] = set()

    def __call__(self, job: Job) -> bool:
        """Say so, and take it."""
        is_first, self._is_first = self._is_first, False
        if isinstance(job, LoneJob):
            goes, self._is_full = is_first, True
            return goes
        if isinstance(job, TableJob):
            self._leases.add(job.lease)
        elif job.lease is not None and job.lease.name in self._leases:
            return False
        return not self._is_full
