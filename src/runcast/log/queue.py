"""What waits to be stored: bounded in bytes, and taken in groups that are committed together."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Final, Generic, Protocol, TypeVar

from runcast.core.event import NewEvent
from runcast.errors import Busy, LogClosed

JOB_BYTES: Final = 1_000
"""About what a job takes beside its events; so a queue of empty ones is bounded, too."""


class Limits(Protocol):
    """How much may wait, and how much is taken at once."""

    @property
    def queue_bytes(self) -> int:
        """Of all that waits or is under way."""
        ...

    @property
    def commit_events(self) -> int:
        """Of a group, unless its first job has more."""
        ...

    @property
    def commit_bytes(self) -> int:
        """The same in bytes."""
        ...


class Job(Protocol):
    """What is queued: its events, if it has any, and whatever else."""

    @property
    def events(self) -> Sequence[NewEvent]:
        """What it stores."""
        ...

    @property
    def size_bytes(self) -> int:
        """What it takes while it waits; 0 for a job that is not counted."""
        ...

    @property
    def future(self) -> Future[Any]:
        """Its outcome."""
        ...


J = TypeVar("J", bound=Job)

Grouping = Callable[[J], bool]
"""Is told of the jobs of a group one after the other, and says whether each may go with those before it."""


def _any_goes() -> Grouping[Any]:
    return lambda _: True


class JobQueue(Generic[J]):
    """Jobs in the order in which they came. Any thread puts them, the writer's takes them.

    Args:
        limits: are looked at whenever they count.
        begin_group: makes the rule for one group of jobs that are taken together.
    """

    def __init__(self, limits: Limits, begin_group: Callable[[], Grouping[J]] = _any_goes) -> None:
        self.events = 0
        self.bytes = 0
        """Of what waits, and of what was taken but is not yet `done`."""
        self._limits = limits
        self._begin_group = begin_group
        self._wake = threading.Condition()
        self._jobs: deque[J] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: J, *, first: bool = False) -> None:
        """Add `job` at the end, or in front of all.

        Raises:
            Busy: there would be too many bytes. A job that is too large by itself goes in when nothing waits, and one
                that is not counted at any time: somebody waits for each, so they are as few as threads.
            LogClosed: after `close`.
        """
        with self._wake:
            if self._closed:
                raise LogClosed
            if job.size_bytes and self.bytes and self.bytes + job.size_bytes > self._limits.queue_bytes:
                raise Busy
            (self._jobs.appendleft if first else self._jobs.append)(job)
            self._count(job, 1)
            self._wake.notify()

    def claim(self, job: J) -> bool:
        """Count `job` as taken already, if nothing else waits or is under way; its caller does it, and says `done`.

        Raises:
            LogClosed: after `close`.
        """
        with self._wake:
            if self._closed:
                raise LogClosed
            if self.bytes:
                return False
            self._count(job, 1)
            return True

    def take(self, timeout_s: float | None = None) -> list[J] | None:
        """What is committed next: as many jobs as go together and there is room for.

        Empty if nothing has come for `timeout_s` seconds, or all was cancelled; None after `close`, once all is
        taken.
        """
        with self._wake:
            self._wake.wait_for(lambda: self._jobs or self._closed, timeout_s)
            if not self._jobs:
                return None if self._closed else []
            running: list[J] = []
            for job in self._pop_group():
                if job.future.set_running_or_notify_cancel():
                    running.append(job)
                else:
                    self._count(job, -1)
            return running

    def done(self, jobs: Iterable[J]) -> None:
        """Make room where `jobs` were."""
        with self._wake:
            for job in jobs:
                self._count(job, -1)

    def close(self) -> None:
        """Take nothing new. What waits is still to be taken."""
        with self._wake:
            self._closed = True
            self._wake.notify()

    def _pop_group(self) -> list[J]:
        group: list[J] = []
        events = size = 0
        goes = self._begin_group()
        while self._jobs and goes(self._jobs[0]):
            events += len(self._jobs[0].events)
            size += self._jobs[0].size_bytes
            if group and (events > self._limits.commit_events or size > self._limits.commit_bytes):
                break
            group.append(self._jobs.popleft())
        return group

    def _count(self, job: J, sign: int) -> None:
        self.events += sign * len(job.events)
        self.bytes += sign * job.size_bytes
