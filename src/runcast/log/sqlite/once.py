"""One append by a process that ends right after: no thread, no queue, no watchers.

It begins in a few milliseconds, where the whole log (`log`) takes tens to import. What it writes, it writes as the
log does: the same transaction by the same ledger, durable when `append` returns.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from runcast.core.event import NewEvent
from runcast.errors import Busy, LogReadOnly, RuncastError
from runcast.log.base import Appended, Lease
from runcast.log.ledger import Ledger
from runcast.log.sqlite.append import Appender
from runcast.log.sqlite.errors import is_busy, translated
from runcast.log.sqlite.files import Limits, LogFile, pause

LONG_WAL_BYTES = 1024 * 1024
"""Whoever leaves a longer write-ahead log behind should `close`, which moves it into the file."""


class LogOnce:
    """The log at `path`, made if it is not there, for one append.

    Nothing has to be closed before the process ends by `os._exit`: what was committed stays, and the next one to
    open the file finds it. A process that goes on must `close`.

    Args:
        path: the log's file.
        patience_s: how long to try while another process has the file locked.

    Raises:
        LogError: or one of its children: the file cannot be used; says why.
        Busy: another process is opening it, and does not come to an end.
    """

    def __init__(self, path: Path, patience_s: float) -> None:
        self._deadline = time.monotonic() + patience_s
        self._file = LogFile(path, Limits(busy_deadline_s=patience_s))
        self._file.open(keep=True)

    def append(self, events: Sequence[NewEvent]) -> list[Appended]:
        """Store `events` durably, in order, all or none; one whose id is taken is not stored again.

        Raises:
            Busy: another process keeps the file locked.
            LogFull, LogReadOnly, LogError: by the disk. Nothing was stored.
        """
        if self._file.read_only:
            raise LogReadOnly(f"{self._file.path} may only be read by this process.")
        job = _Append(lambda ledger: ledger.append(events), {event.stream for event in events}, events)
        with translated(self._file.path), self._file.writer() as connection:
            self._begin(connection)
            try:
                result = Appender(_now_us).apply(connection, [job]).results[0]
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # after some errors SQLite has rolled back already
                    connection.execute("ROLLBACK")
                raise
        if isinstance(result, RuncastError):
            raise result
        return result

    @property
    def is_long(self) -> bool:
        """Whether so much waits in the write-ahead log that it is time to `close`."""
        try:
            return self._file.wal.stat().st_size > LONG_WAL_BYTES
        except OSError:
            return False

    def close(self) -> None:
        """Close the file; the last one to do so moves the write-ahead log into it. Idempotent."""
        self._file.close()

    def _begin(self, connection: sqlite3.Connection) -> None:
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
                if time.monotonic() >= self._deadline:
                    raise Busy(f"{self._file.path} stays locked by another process.") from error
            pause()


class _Append(msgspec.Struct):
    """The one job of the one transaction."""

    act: Callable[[Ledger], Any]
    streams: set[str]
    events: Sequence[NewEvent]
    lease: Lease | None = None


def _now_us() -> int:
    return time.time_ns() // 1000
