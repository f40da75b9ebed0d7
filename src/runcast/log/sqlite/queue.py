"""What waits for the writer: bounded in bytes, and taken in groups that go into one transaction."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from runcast.core.event import NewEvent
from runcast.errors import Busy, LogClosed
from runcast.log.base import Lease
from runcast.log.ledger import Ledger
from runcast.log.sqlite.files import Limits

JOB_BYTES = 1_000
"""About what a job takes beside its events; so a queue of empty ones is bounded, too."""


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
    future: Future[Any] = field(default_factory=Future[Any])


@dataclass(slots=True, eq=False)
class LoneJob:
    """Anything else that the writer's thread does by itself: in a transaction of its own, or without any.

    It may change streams behind the ledger's back, of which nothing is taken for granted after a transaction of it.
    """

    act: Callable[[sqlite3.Connection], Any]
    transaction: bool = True
    future: Future[Any] = field(default_factory=Future[Any])


Job = StreamJob | TableJob | LoneJob


class JobQueue:
    """Jobs in the order in which they came. Any thread puts them, the writer's takes them."""

    def __init__(self, limits: Limits) -> None:
        self.events = 0
        self.bytes = 0
        """Of what waits, and of what was taken but is not yet `done`."""
        self._limits = limits
        self._wake = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._closed = False

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def put(self, job: Job, *, first: bool = False) -> None:
        """Add `job` at the end, or in front of all.

        Raises:
            Busy: there would be too many bytes. A job that is too large by itself goes in when nothing waits, and
                others at any time: somebody waits for each, so they are as few as threads.
            LogClosed: after `close`.
        """
        with self._wake:
            if self._closed:
                raise LogClosed
            if (
                isinstance(job, StreamJob)
                and self.bytes
                and self.bytes + job.size_bytes > self._limits.queue_bytes
            ):
                raise Busy
            (self._jobs.appendleft if first else self._jobs.append)(job)
            self._count(job, 1)
            self._wake.notify()

    def take(self, timeout_s: float | None) -> list[Job] | None:
        """What goes into the next transaction: one `LoneJob`, or as many of the others as there is room for.

        Empty if nothing has come for `timeout_s` seconds, or all was cancelled; None after `close`, once all is
        taken.
        """
        with self._wake:
            if not self._jobs and not self._closed:
                self._wake.wait(timeout_s)
            if not self._jobs:
                return None if self._closed else []
            group = self._pop_group()
            running: list[Job] = []
            for job in group:
                if job.future.set_running_or_notify_cancel():
                    running.append(job)
                else:
                    self._count(job, -1)
            return running

    def done(self, jobs: Iterable[Job]) -> None:
        """Make room where `jobs` were."""
        with self._wake:
            for job in jobs:
                self._count(job, -1)

    def close(self) -> None:
        """Take nothing new. What waits is still to be taken."""
        with self._wake:
            self._closed = True
            self._wake.notify()

    def _pop_group(self) -> list[Job]:
        group = [self._jobs.popleft()]
        if isinstance(group[0], LoneJob):
            return group
        events, size = _events(group[0]), _bytes(group[0])
        leases = {group[0].lease} if isinstance(group[0], TableJob) else set[str]()
        while self._jobs and not isinstance(job := self._jobs[0], LoneJob):
            events += _events(job)
            size += _bytes(job)
            if events > self._limits.commit_events or size > self._limits.commit_bytes:
                break
            if isinstance(job, TableJob):
                leases.add(job.lease)
            elif job.lease and job.lease.name in leases:
                break
            group.append(self._jobs.popleft())
        return group

    def _count(self, job: Job, sign: int) -> None:
        self.events += sign * _events(job)
        self.bytes += sign * _bytes(job)


def _events(job: Job) -> int:
    return len(job.events) if isinstance(job, StreamJob) else 0


def _bytes(job: Job) -> int:
    return job.size_bytes if isinstance(job, StreamJob) else 0
