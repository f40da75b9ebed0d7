"""The writer's thread: what waits is taken together into one script call (group commit).

When that is done, and only then, the watchers are told and the callers get their answers, in this order.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

from runcast.core.event import Event
from runcast.errors import LogError, LogUnavailable
from runcast.log.base import Appended, LogStatistics
from runcast.log.queue import JobQueue
from runcast.log.redis.announce import Announcer
from runcast.log.redis.jobs import Job
from runcast.log.redis.options import Options
from runcast.log.redis.store import Outcome, Store

_logger = logging.getLogger("runcast.log")


class Writer:
    """One thread that stores what is submitted; it begins with the first job.

    Args:
        store: stores what is submitted.
        announcer: is told of every commit.
        options: of the log.
        owner: lives as long as the thread, so that it is there to be closed when the process ends.
    """

    def __init__(self, store: Store, announcer: Announcer, options: Options, owner: object) -> None:
        self._owner = owner
        self._store = store
        self._announcer = announcer
        self._options = options
        self._queue = JobQueue[Job](options)
        self._starting = threading.Lock()
        self._committing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_down = False
        self._appended = self._duplicates = self._commits = 0

    def submit(self, job: Job) -> Future[list[Appended]]:
        """Queue `job`; its future has the answer once that is stored.

        Raises:
            Busy: too many bytes wait.
            LogClosed: after `close`.
        """
        self._queue.put(job)
        if self._thread is None:
            self._start()
        return job.future

    def do_now(self, job: Job) -> list[Appended]:
        """Store `job` and wait for it: in this thread if nothing else is under way, which spares two switches.

        Raises:
            As `EventLog.append`.
        """
        if not self._queue.claim(job):
            return self.submit(job).result()
        try:
            self._do([job])
        finally:
            self._queue.done([job])
        return job.future.result()

    def catch_up(self) -> None:
        """Wait until all that was submitted before is stored or refused.

        Raises:
            Busy, LogClosed: as `submit`.
            LogError: Redis does not answer.
        """
        if self._queue.bytes:
            self.submit(Job((), None)).result()

    def close(self) -> None:
        """Finish what is queued, then end the thread. Idempotent."""
        self._queue.close()
        if self._thread is not None:
            self._thread.join()
        with self._committing:  # who stores in its own thread has finished, too
            pass

    def statistics(self) -> LogStatistics:
        """The counters since the log was opened."""
        return LogStatistics(
            appended_events=self._appended,
            duplicate_events=self._duplicates,
            commits=self._commits,
            queued_events=self._queue.events,
            queued_bytes=self._queue.bytes,
            foreign_events=self._announcer.foreign_events,
        )

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="runcast-log-writer", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (group := self._queue.take()) is not None:
            if group:
                self._do(group)
            self._queue.done(group)

    def _do(self, jobs: list[Job]) -> None:
        with self._committing:
            self._do_together(jobs)

    def _do_together(self, jobs: list[Job]) -> None:
        wait_s = self._options.wait_s - (time.monotonic() - jobs[0].born)
        try:
            if self._is_down and wait_s < 0 < self._options.wait_s:
                raise LogUnavailable  # they have waited as long as others did that were tried
            outcome = self._store.store(jobs, wait_s)
            self._is_down = False
        except Exception as error:  # noqa: BLE001 - the thread's root; the callers get it
            self._is_down = isinstance(error, LogUnavailable)
            if isinstance(error, LogError) or len(jobs) == 1:
                for job in jobs:
                    job.future.set_exception(error)
                return
            for job in jobs:  # one of them is to blame, and fails alone
                self._do_together([job])
            return
        self._count(outcome)
        try:
            self._announcer.committed(outcome)
        except Exception as error:  # noqa: BLE001 - it is stored, whoever hears of it when
            _logger.warning("Watchers are told later: %s.", error)
        finally:
            _answer(jobs, outcome.results)

    def _count(self, outcome: Outcome) -> None:
        stored = sum(isinstance(record, Event) for record in outcome.records)
        answered = sum(len(result) for result in outcome.results if isinstance(result, list))
        self._appended += stored
        self._duplicates += max(0, answered - stored)
        self._commits += bool(outcome.records)


def _answer(jobs: Sequence[Job], results: Sequence[list[Appended] | LogError]) -> None:
    for job, result in zip(jobs, results, strict=True):
        if isinstance(result, LogError):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)
