"""The writer's thread: all that changes the log, and all that is told of it, goes through here.

What waits is taken together into one transaction (group commit). After its COMMIT, and only then, the watchers
are told and the callers get their answers, in this order.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from runcast.errors import LogError, LogReadOnly
from runcast.log.base import LogStatistics
from runcast.log.queue import JobQueue
from runcast.log.sqlite.announce import Announcer
from runcast.log.sqlite.append import Appender, Outcome
from runcast.log.sqlite.checkpoint import Checkpointer
from runcast.log.sqlite.errors import is_busy, log_error
from runcast.log.sqlite.files import Limits, LogFile, pause
from runcast.log.sqlite.jobs import Job, LoneJob, StreamJob, TableJob, Together

_logger = logging.getLogger("runcast.log")

COMPETING_S = 0.1
"""After a commit of another process we leave it a chance between ours for so long."""
_OF_VALUES = (sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.IntegrityError)
"""Errors about what was to be stored, not about the file."""


class Writer:
    """One thread that writes to `file`; it begins with the first job.

    Args:
        file: the log's file.
        limits: the bounds of the queue and of a transaction.
        clock: the time in microseconds.
        owner: lives as long as the thread, so that it is there to be closed when the process ends.
    """

    def __init__(self, file: LogFile, limits: Limits, clock: Callable[[], int], owner: object) -> None:
        self._owner = owner
        self._file = file
        self._limits = limits
        self._checkpointer = Checkpointer(file, limits)
        self.announcer = Announcer(file, self._checkpointer.committed)
        self._appender = Appender(clock)
        self._queue = JobQueue[Job](limits, Together)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._competing_until = 0.0
        self._appended = self._duplicates = self._commits = 0

    # --- for any thread ----------------------------------------------------------------------

    def submit(self, job: Job, *, first: bool = False) -> Future[Any]:
        """Queue `job`, behind all others or in front; its future has the answer once that is committed.

        Raises:
            Busy: too many bytes wait.
            LogClosed: after `close`.
            LogReadOnly: the file may not be written.
        """
        if self._file.read_only and not (isinstance(job, LoneJob) and not job.transaction):
            raise LogReadOnly(f"{self._file.path} may only be read by this process.")
        self._queue.put(job, first=first)
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
            foreign_events=self.announcer.foreign_events,
        )

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="runcast-log-writer", daemon=True)
                self._thread.start()

    # --- in the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        while (group := self._queue.take(self._poll_s)) is not None:
            try:
                self._do(group)
            except Exception:
                _logger.exception("The log's writer met a fault of its own, and goes on.")
            self._queue.done(group)
            if self._checkpointer.due(idle=not self._queue):
                self._checkpoint()
            if self._queue and time.monotonic() < self._competing_until:
                pause()
        if self._checkpointer.overdue():
            self._checkpoint()

    def _do(self, group: list[Job]) -> None:
        if not group:
            self.announcer.listen()
        elif isinstance(group[0], LoneJob):
            self._do_alone(group[0])
        else:
            self._do_together(
                [job for job in group if isinstance(job, StreamJob)],
                [job for job in group if isinstance(job, TableJob)],
            )

    @property
    def _poll_s(self) -> float | None:
        return self._limits.poll_ms / 1000 if self.announcer.watchers else None

    def _do_alone(self, job: LoneJob) -> None:
        try:
            if job.transaction:
                with self._transaction() as connection:
                    answer = job.act(connection)
                self._appender.forget()
            else:
                with self._file.writer() as connection:
                    answer = job.act(connection)
        except Exception as error:  # noqa: BLE001 - the thread's root; the caller gets it
            job.future.set_exception(self._explained(error))
        else:
            job.future.set_result(answer)

    def _do_together(self, of_streams: list[StreamJob], of_tables: list[TableJob]) -> None:
        jobs = [*of_streams, *of_tables]
        try:
            with self._transaction() as connection:
                outcome = self._appender.apply(connection, of_streams) if of_streams else None
                answers = [job.act(connection) for job in of_tables]
        except Exception as error:  # noqa: BLE001 - the thread's root; the callers get it
            explained = self._explained(error)
            if isinstance(explained, LogError) or len(jobs) == 1:
                _answer(jobs, [explained] * len(jobs))
                return
            for job in of_streams:  # one of them is to blame, and fails alone
                self._do_together([job], [])
            for job in of_tables:
                self._do_together([], [job])
        else:
            try:
                if outcome is not None:
                    self._committed(of_streams, outcome)
            finally:
                _answer(jobs, [*(outcome.results if outcome else ()), *answers])

    def _committed(self, jobs: list[StreamJob], outcome: Outcome) -> None:
        ledger = outcome.ledger
        if outcome.foreign:
            self._competing_until = time.monotonic() + COMPETING_S
        if ledger.entries:
            self._commits += 1
            self._appended += ledger.stored
            self._checkpointer.committed(sum(job.size_bytes for job in jobs))
            self.announcer.committed(outcome.before, ledger.position, ledger.records)
        self._duplicates += ledger.repeated

    def _checkpoint(self) -> None:
        try:
            with self._transaction():
                self._checkpointer.run()
        except sqlite3.Error as error:
            _logger.warning("The log's WAL could not be moved into its file, and grows: %s.", error)

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """A transaction with the write lock, committed in the end.

        While another process has the lock, its commits are told of, and it is asked for again and again: in
        SQLite's own way of waiting a process can starve beside a busy one.
        """
        deadline = time.monotonic() + self._limits.busy_deadline_s
        next_poll = time.monotonic() + self._limits.poll_ms / 1000
        while True:
            with self._file.writer() as connection:
                self._file.check_there()
                if _begin(connection, last_try=time.monotonic() >= deadline):
                    with self._committing(connection):
                        yield connection
                    return
            pause()
            if time.monotonic() >= next_poll:
                self.announcer.listen()
                next_poll = time.monotonic() + self._limits.poll_ms / 1000

    @contextmanager
    def _committing(self, connection: sqlite3.Connection) -> Generator[None]:
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            self._appender.forget()
            if connection.in_transaction:  # after some errors SQLite has rolled back already
                connection.execute("ROLLBACK")
            raise

    def _explained(self, error: Exception) -> Exception:
        """The error as the callers get it. A value that SQLite does not take is no fault of the log's."""
        if not isinstance(error, sqlite3.Error) or isinstance(error, _OF_VALUES):
            return error
        explained = log_error(error, self._file.path)
        explained.__cause__ = error
        return explained


def _begin(connection: sqlite3.Connection, *, last_try: bool) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if last_try or not is_busy(error):
            raise
        return False
    return True


def _answer(jobs: Iterable[StreamJob | TableJob], results: Iterable[Any]) -> None:
    for job, result in zip(jobs, results, strict=True):
        if isinstance(result, BaseException):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)
