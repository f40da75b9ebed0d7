"""The embedded log: one SQLite file, written by any number of processes of one machine."""

from __future__ import annotations

import atexit
import logging
import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from runcast.core.event import Cursor, NewEvent
from runcast.log.base import (
    PAGE_MAX_EVENTS,
    Appended,
    Lease,
    LogStatistics,
    Page,
    Snapshot,
    StreamInfo,
)
from runcast.log.ledger import Ledger
from runcast.log.pages import NEWEST
from runcast.log.queue import JOB_BYTES
from runcast.log.rules import STREAMS_MAX, check_keep, check_limit, ttl_us
from runcast.log.sqlite import reads, sweep, tables
from runcast.log.sqlite.files import Limits, LogFile
from runcast.log.sqlite.jobs import Job, LoneJob, StreamJob, TableJob
from runcast.log.sqlite.writer import Writer
from runcast.log.watchers import Callback

_FORK_WAIT_S = 10.0


class SqliteLog:
    """An `EventLog` in the file at `path`, which is made, with its folder, if it is not there.

    Every commit is on the disk before it is answered or seen (`synchronous=FULL`). Threads begin when they are
    first needed: a process that only reads has none. A file that may not be written can still be read.

    Args:
        path: the file. Beside it lie `-wal` and `-shm` while it is open.
        clock: the time in microseconds since the Unix epoch; the wall clock if not given.
        limits: by name, the settings of `runcast.log.sqlite.files.Limits`, for example `queue_bytes`.

    Raises:
        LogTooNew, LogCorrupt, LogReadOnly, LogError: the file cannot be used; says why.
        Busy: another process is opening it, and does not come to an end.
    """

    blocking = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], int] | None = None,
        **limits: Any,
    ) -> None:
        self.path = Path(path).absolute()
        self.url = f"sqlite:///{self.path}"
        self._clock = clock or (lambda: time.time_ns() // 1000)
        self._limits = Limits(**limits)
        self._file = LogFile(self.path, self._limits)
        self._writer = Writer(self._file, self._limits, self._clock, self)
        _open_logs.add(self)  # before anything is open, should another thread fork just now
        self.epoch = self._file.open()

    # --- writing -----------------------------------------------------------------------------

    def append(self, events: Sequence[NewEvent], *, lease: Lease | None = None) -> list[Appended]:
        return self.append_soon(events, lease=lease).result()

    def append_soon(
        self, events: Sequence[NewEvent], *, lease: Lease | None = None
    ) -> Future[list[Appended]]:
        batch = tuple(events)  # the caller may change its list as soon as we return
        size = JOB_BYTES + sum(event.size_bytes for event in batch)
        streams = {event.stream for event in batch}
        return self._writer.submit(
            StreamJob(lambda ledger: ledger.append(batch), streams, batch, lease, size_bytes=size)
        )

    def end(self, stream: str) -> StreamInfo:
        return self._change(stream, lambda ledger: ledger.end(stream))

    def clear(self, stream: str) -> StreamInfo:
        return self._change(stream, lambda ledger: ledger.clear(stream))

    def trim(self, stream: str, *, keep: int) -> StreamInfo:
        check_keep(keep)
        return self._change(stream, lambda ledger: ledger.trim(stream, keep))

    def sweep(self, *, idle_since: int, limit: int = 1_000) -> int:
        def step(left: int) -> int:
            return self._submit(LoneJob(lambda connection: sweep.sweep(connection, idle_since, left)))

        swept = step(limit)
        if swept < limit and self._drop_idle(idle_since, limit):
            swept += step(limit - swept)
        return swept

    def _drop_idle(self, idle_since: int, limit: int) -> bool:
        with self._file.reader() as connection:
            runs, streams = sweep.find_idle(connection, idle_since, limit)
        if streams:  # whoever reads there is told first
            self._submit(StreamJob(lambda ledger: ledger.end_idle(streams, idle_since), streams))
        if runs:
            self._submit(LoneJob(lambda connection: sweep.drop_idle(connection, runs, idle_since)))
        return bool(runs)

    def _change(self, stream: str, act: Callable[[Ledger], StreamInfo]) -> StreamInfo:
        return self._submit(StreamJob(act, (stream,)))

    def _submit(self, job: Job) -> Any:
        return self._writer.submit(job).result()

    # --- reading -----------------------------------------------------------------------------

    def read(
        self,
        stream: str,
        after: Cursor | None = None,
        *,
        limit: int = PAGE_MAX_EVENTS,
        until: int | None = None,
    ) -> Page:
        check_limit(limit)
        until = NEWEST if until is None else until
        with self._file.reader() as connection:
            return reads.read(connection, stream, after, limit=limit, until=until)

    def read_all(
        self,
        kind: str | None = None,
        after: Cursor | None = None,
        *,
        limit: int = PAGE_MAX_EVENTS,
        until: int | None = None,
    ) -> Page:
        check_limit(limit)
        until = NEWEST if until is None else until
        with self._file.reader() as connection:
            return reads.read_all(connection, self.epoch, kind, after, limit=limit, until=until)

    def info(self, stream: str) -> StreamInfo:
        with self._file.reader() as connection:
            return reads.info(connection, stream)

    def head(self) -> Cursor:
        with self._file.reader() as connection:
            return reads.head(connection, self.epoch)

    def streams(self, kind: str | None = None, after: str = "", limit: int = 100) -> list[StreamInfo]:
        check_limit(limit, STREAMS_MAX)
        with self._file.reader() as connection:
            return reads.streams(connection, kind, after, limit)

    def recent(
        self, kind: str | None = None, before: int | None = None, limit: int = 100
    ) -> list[StreamInfo]:
        check_limit(limit, STREAMS_MAX)
        with self._file.reader() as connection:
            return reads.recent(connection, kind, NEWEST if before is None else before, limit)

    # --- the rest ----------------------------------------------------------------------------

    def watch(self, callback: Callback) -> Callable[[], None]:
        watch = self._writer.announcer.watch
        job = LoneJob(lambda connection: watch(connection, callback), transaction=False)
        return self._writer.submit(job, first=True).result()

    def acquire(self, name: str, owner: str, ttl_s: float) -> Lease | None:
        ttl = ttl_us(ttl_s)
        return self._submit(
            TableJob(lambda connection: tables.acquire(connection, name, owner, ttl, self._clock()), name)
        )

    def renew(self, leases: Sequence[Lease], ttl_s: float) -> list[bool]:
        """See `RenewsMany`."""
        ttl = ttl_us(ttl_s)
        return self._submit(TableJob(lambda connection: tables.renew(connection, leases, ttl, self._clock())))

    def release(self, lease: Lease) -> None:
        self._submit(TableJob(lambda connection: tables.release(connection, lease), lease.name))

    def load_snapshot(self, stream: str, fold: str, version: int) -> Snapshot | None:
        with self._file.reader() as connection:
            return tables.load_snapshot(connection, stream, fold, version)

    def save_snapshot(self, stream: str, fold: str, version: int, snapshot: Snapshot) -> None:
        self._submit(
            TableJob(lambda connection: tables.save_snapshot(connection, stream, fold, version, snapshot))
        )

    def load_snapshots(self, streams: Sequence[str], fold: str, version: int) -> dict[str, Snapshot]:
        with self._file.reader() as connection:
            return tables.load_snapshots(connection, streams, fold, version)

    def save_snapshots(self, fold: str, version: int, snapshots: Mapping[str, Snapshot]) -> None:
        def save(connection: sqlite3.Connection) -> None:
            for stream, snapshot in snapshots.items():
                tables.save_snapshot(connection, stream, fold, version, snapshot)

        if snapshots:
            self._submit(TableJob(save))

    def statistics(self) -> LogStatistics:
        return self._writer.statistics()

    def close(self) -> None:
        self._writer.close()
        self._file.close()
        _open_logs.discard(self)

    # --- forks and the end of the process ----------------------------------------------------

    def before_fork(self) -> None:
        """Close the files, so that the child inherits none that is open; see `LogFile`."""
        if not self._file.shut(_FORK_WAIT_S):
            _logger.warning(
                "%s is still in use while the process forks; the child must not use it.", self.path
            )

    def after_fork_in_parent(self) -> None:
        """Go on as before."""
        self._file.reopen()

    def after_fork_in_child(self) -> None:
        """Begin anew: the parent's threads are not here, and what it had queued is its own business."""
        self._file.begin_anew()
        self._writer = Writer(self._file, self._limits, self._clock, self)


_logger = logging.getLogger("runcast.log")
_open_logs: weakref.WeakSet[SqliteLog] = weakref.WeakSet()


def _each_open_log(act: Callable[[SqliteLog], None]) -> Callable[[], None]:
    def on_each() -> None:
        for log in list(_open_logs):
            act(log)

    return on_each


if hasattr(os, "register_at_fork"):  # where there are forks
    os.register_at_fork(
        before=_each_open_log(SqliteLog.before_fork),
        after_in_parent=_each_open_log(SqliteLog.after_fork_in_parent),
        after_in_child=_each_open_log(SqliteLog.after_fork_in_child),
    )
atexit.register(_each_open_log(SqliteLog.close))
