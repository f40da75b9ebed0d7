"""The writer's thread: what waits is taken together into one script call (group commit).

When that is done, and only then, the watchers are told and the callers get their answers, in this order.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from runcast.errors import LogError, StaleToken
from runcast.log.base import Appended, LogStatistics
from runcast.log.redis.announce import Announcer
from runcast.log.redis.commit import Batch, Commit, Stored
from runcast.log.redis.queue import Job, JobQueue
from runcast.log.redis.server import Server

_logger = logging.getLogger("runcast.log")


class Writer:
    """One thread that stores what is submitted; it begins with the first job.

    Args:
        server: where to.
        announcer: is told of every commit.
        clock: the time in microseconds; 0 is Redis' own.
        owner: lives as long as the thread, so that it is there to be closed when the process ends.
    """

    def __init__(self, server: Server, announcer: Announcer, clock: Callable[[], int], owner: object) -> None:
        self._owner = owner
        self._server = server
        self._announcer = announcer
        self._clock = clock
        self._queue = JobQueue(server.options)
        self._name = secrets.token_hex(8)
        self._number = 0
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
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

    def close(self) -> None:
        """Finish what is queued, then end the thread. Idempotent."""
        self._queue.close()
        if self._thread is not None:
            self._thread.join()

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
        try:
            stored = self._store(jobs)
        except Exception as error:  # noqa: BLE001 - the thread's root; the callers get it
            if isinstance(error, LogError) or len(jobs) == 1:
                for job in jobs:
                    job.future.set_exception(error)
                return
            for job in jobs:  # one of them is to blame, and fails alone
                self._do([job])
            return
        try:
            self._announcer.committed(stored.before, stored.position, stored.generation, stored.records)
        except Exception as error:  # noqa: BLE001 - it is stored, whoever hears of it when
            _logger.warning("Watchers are told later: %s.", error)
        finally:
            _answer(jobs, stored.appended)

    def _store(self, jobs: list[Job]) -> Stored:
        commit = Commit([Batch(job.events, job.lease) for job in jobs])
        options = self._server.options
        self._number += 1
        arguments = (
            self._clock(),
            self._server.wake_command,
            self._name,
            self._number,
            0,
            0,
            options.id_window,
            options.max_events,
            *commit.arguments(),
        )
        waited_s = time.monotonic() - jobs[0].born
        answer = self._server.patiently(
            lambda: self._server.call_replicated("append", 0, *arguments), options.wait_s - waited_s
        )
        stored = commit.read(answer)
        self._duplicates += stored.repeated
        if stored.position > stored.before:
            self._commits += 1
            self._appended += sum(len(each) for each in stored.appended if each) - stored.repeated
        return stored


def _answer(jobs: Sequence[Job], appended: Sequence[list[Appended] | None]) -> None:
    for job, own in zip(jobs, appended, strict=True):
        if own is None:
            job.future.set_exception(StaleToken())
        else:
            job.future.set_result(own)
