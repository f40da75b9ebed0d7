"""What waits to be stored: bounded in bytes, and taken in groups that go into one script call."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from runcast.core.event import NewEvent
from runcast.errors import Busy, LogClosed
from runcast.log.base import Appended, Lease
from runcast.log.redis.options import Options

JOB_BYTES = 1_000
"""About what a job takes beside its events; so a queue of empty ones is bounded, too."""


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


class JobQueue:
    """Jobs in the order in which they came. Any thread puts them, the writer's takes them."""

    def __init__(self, options: Options) -> None:
        self.events = 0
        self.bytes = 0
        """Of what waits, and of what was taken but is not yet `done`."""
        self._options = options
        self._wake = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._closed = False

    def put(self, job: Job) -> None:
        """Add `job` at the end.

        Raises:
            Busy: there would be too many bytes. A job that is too large by itself goes in when nothing waits.
            LogClosed: after `close`.
        """
        with self._wake:
            if self._closed:
                raise LogClosed
            if self.bytes and self.bytes + job.size_bytes > self._options.queue_bytes:
                raise Busy
            self._jobs.append(job)
            self._count(job, 1)
            self._wake.notify()

    def claim(self, job: Job) -> bool:
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

    def take(self) -> list[Job] | None:
        """Wait for jobs, and take as many as there is room for; None after `close`, once all is taken.

        Empty if all that was taken had been cancelled.
        """
        with self._wake:
            self._wake.wait_for(lambda: self._jobs or self._closed)
            if not self._jobs:
                return None
            running: list[Job] = []
            for job in self._pop_group():
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
        events, size = len(group[0].events), group[0].size_bytes
        while self._jobs:
            events += len(self._jobs[0].events)
            size += self._jobs[0].size_bytes
            if events > self._options.commit_events or size > self._options.commit_bytes:
                break
            group.append(self._jobs.popleft())
        return group

    def _count(self, job: Job, sign: int) -> None:
        self.events += sign * len(job.events)
        self.bytes += sign * job.size_bytes
