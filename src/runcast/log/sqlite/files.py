"""Who has the log's file open: one connection that writes, one for checkpoints, a few that read."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from runcast.errors import LogClosed, LogError, LogGone, LogReadOnly
from runcast.log.sqlite import format as file_format
from runcast.log.sqlite.errors import is_busy, translated
from runcast.log.sqlite.mounts import refuse_network

MIB = 1024 * 1024
OLDEST_SQLITE = (3, 31)
"""Has all that our statements use; see `checkpoint` for a fault that later ones still had."""

_NEVER_WAIT = ("busy_timeout = 0",)
_READ_ONLY = ("query_only = ON",)
_PRAGMAS = ["synchronous = FULL", "wal_autocheckpoint = 0"]  # checkpoints are the checkpointer's business
if sys.platform == "darwin":  # where fsync alone leaves the data in the disk's own cache
    _PRAGMAS += ["fullfsync = ON", "checkpoint_fullfsync = ON"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of an SQLite log."""

    queue_bytes: int = 64 * MIB
    """What may wait for its commit, before `Busy` is raised."""
    commit_events: int = 1_000
    """How many events go into one transaction; a batch is not divided."""
    commit_bytes: int = 4 * MIB
    """How many bytes go into one transaction; a batch is not divided."""
    poll_ms: float = 8
    """How often to look for commits of other processes, while somebody watches."""
    busy_deadline_s: float = 5
    """How long to try while another process keeps the file locked, before `Busy` is raised."""
    checkpoint_bytes: int = 4 * MIB
    """How long the WAL grows before it is moved into the file."""
    readers: int = 4
    """How many reads run at once; more wait."""


class LogFile:
    """The connections to one file, each opened when it is first needed.

    They are lent out for one transaction at a time, so that all can be closed at a moment when none is in use.
    That must happen before a fork: SQLite keeps its locks by process, and a child that inherits an open file
    believes that it holds locks which it does not; its commits would be lost when the parent closes.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.wal = path.with_name(f"{path.name}-wal")
        self.read_only = False
        self._immutable = False
        self._identity: tuple[int, int] | None = None
        self._limits = limits
        self._closed = False
        self._connections: set[sqlite3.Connection] = set()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Have nothing open and nothing lent, as it is in the child after a fork."""
        _inherited.extend(self._connections)
        self._connections = set()
        self._writer: sqlite3.Connection | None = None
        self._checkpointer: sqlite3.Connection | None = None
        self._idle_readers: list[sqlite3.Connection] = []
        self._reading = threading.BoundedSemaphore(self._limits.readers)
        self._turn = threading.Condition()
        self._lent: dict[object, bool] = {}  # whether it is to a reader
        self._shut = False

    # --- lending connections -----------------------------------------------------------------

    @contextmanager
    def writer(self) -> Generator[sqlite3.Connection]:
        """The connection of the writer's thread. It never waits for a lock by itself."""
        with self._using():
            self._writer = self._writer or self._connect(*_NEVER_WAIT)
            yield self._writer

    @contextmanager
    def reader(self) -> Generator[sqlite3.Connection]:
        """A connection in a read transaction: all that is read through it is of one moment.

        Waits while as many as are allowed are lent.

        Raises:
            LogError: whatever SQLite complains of meanwhile.
        """
        self.check_there()
        with self._using(reading=True), self._reading, translated(self.path):
            connection = self._idle_reader() or self._connect(*_READ_ONLY)
            try:
                connection.execute("BEGIN")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                self._disconnect(connection)
                raise
            self._idle_readers.append(connection)

    def check_there(self) -> None:
        """Make sure that the file we have open is the one that lies there: only that can be read later.

        Raises:
            LogGone: it was removed, or replaced by another.
        """
        if self._identity is not None and _identity(self.path) != self._identity:
            raise LogGone(
                f"{self.path} was removed or replaced while it was open; nothing was stored. "
                "Restart whatever uses it."
            )

    def _idle_reader(self) -> sqlite3.Connection | None:
        try:
            return self._idle_readers.pop()
        except IndexError:
            return None

    @contextmanager
    def _using(self, *, reading: bool = False) -> Generator[None]:
        ticket = object()
        with self._turn:
            while self._shut:
                self._turn.wait()
            if self._closed:
                raise LogClosed
            self._lent[ticket] = reading
        try:
            yield
        finally:
            with self._turn:
                del self._lent[ticket]
                self._turn.notify_all()

    # --- the WAL -----------------------------------------------------------------------------

    def checkpoint(self) -> None:
        """Move the WAL into the file, as far as no reader needs it, while `writer` is lent and has the write lock.

        Raises:
            sqlite3.Error: it failed.
        """
        self._checkpointer = self._checkpointer or self._connect(*_NEVER_WAIT)
        self._checkpointer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def wait_for_readers(self, timeout_s: float) -> None:
        """Wait until every read that is under way now has ended. Others may begin meanwhile."""
        with self._turn:
            readers = {ticket for ticket, reading in self._lent.items() if reading}
            self._turn.wait_for(lambda: readers.isdisjoint(self._lent), timeout_s)

    # --- all at once -------------------------------------------------------------------------

    def shut(self, timeout_s: float) -> bool:
        """Close every connection, and lend none until `reopen`; False if one stayed lent for too long."""
        with self._turn:
            self._shut = True
            idle = self._turn.wait_for(lambda: not self._lent, timeout_s)
            if idle:
                self._disconnect_all()
            return idle

    def reopen(self) -> None:
        """Lend connections again."""
        with self._turn:
            self._shut = False
            self._turn.notify_all()

    def close(self) -> None:
        """Close every connection for good, as soon as none is lent. Idempotent."""
        with self._turn:
            self._closed = True
            self._turn.wait_for(lambda: not self._lent)
            self._disconnect_all()

    def _disconnect_all(self) -> None:
        for connection in list(self._connections):
            self._disconnect(connection)
        self._writer = self._checkpointer = None
        self._idle_readers = []

    # --- opening -----------------------------------------------------------------------------

    def open(self, *, keep: bool = False) -> str:
        """Make sure that the file is a log of the newest format, and return its epoch.

        With `keep`, the connection that does so stays open, for the writer.

        Raises:
            LogError: or one of its children: it cannot be one; says why.
        """
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise LogError(f"SQLite {sqlite3.sqlite_version} is too old for a log; 3.31 is needed.")
        refuse_network(self.path)
        _make_folder(self.path)
        self.read_only = not _writable(self.path)
        _make_private(self.path)
        with self._using(), translated(self.path):
            epoch = self._read_epoch_only() if self.read_only else self._prepare(keep=keep)
        self._identity = _identity(self.path)
        return epoch

    def _prepare(self, *, keep: bool) -> str:
        connection = self._connect()
        try:
            patiently(lambda: file_format.prepare(connection, self.path), self._limits.busy_deadline_s)
            epoch = file_format.read_epoch(connection, self.path)
            if keep:
                for pragma in _NEVER_WAIT:
                    connection.execute(f"PRAGMA {pragma}")
                self._writer = connection
            return epoch
        finally:
            if self._writer is not connection:
                self._disconnect(connection)

    def _read_epoch_only(self) -> str:
        try:
            return self._read_epoch()
        except sqlite3.OperationalError as error:
            if self.wal.exists() or not _on_read_only_disk(self.path):
                raise LogReadOnly(
                    f"{self.path} may only be read, and cannot be read without files beside it ({error})."
                ) from error
        # Nobody can change the file, and nothing waits in a WAL: it is all there is.
        self._immutable = True
        return self._read_epoch()

    def _read_epoch(self) -> str:
        connection = self._connect(*_READ_ONLY)
        try:
            file_format.check(connection, self.path)
            return file_format.read_epoch(connection, self.path)
        finally:
            self._disconnect(connection)

    def _connect(self, *pragmas: str) -> sqlite3.Connection:
        mode = ("ro&immutable=1" if self._immutable else "ro") if self.read_only else "rwc"
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=self._limits.busy_deadline_s,  # somebody who has just closed the file may have locked it
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            for pragma in (*_PRAGMAS, f"journal_size_limit = {self._limits.checkpoint_bytes}", *pragmas):
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.Error:
            connection.close()
            raise
        self._connections.add(connection)
        return connection

    def _disconnect(self, connection: sqlite3.Connection) -> None:
        self._connections.discard(connection)
        connection.close()


_inherited: list[sqlite3.Connection] = []
"""Open when the process was forked, against our will: closing them would give up locks of the parent's."""


def patiently(act: Callable[[], None], deadline_s: float) -> None:
    """Call `act` until nobody else has the lock it wants; SQLite's own waiting is none for some of them."""
    deadline = time.monotonic() + deadline_s
    while True:
        try:
            return act()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
        pause()


def pause() -> None:
    """Wait about 0.3 ms for a lock, never in step with others who wait for it."""
    from runcast.chance import CHANCE  # noqa: PLC0415 - a process that appends once seldom waits

    time.sleep(CHANCE.uniform(0.000_1, 0.000_5))


def _make_private(path: Path) -> None:
    """Make an empty file that only its owner may read, if there is none: conversations lie in it.

    SQLite gives the files beside it the same permissions.
    """
    with suppress(OSError):  # it is there, or cannot be made: SQLite says why
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - every commit asks, and pathlib takes longer
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LogReadOnly(f"The folder {path.parent} cannot be made ({error.strerror}).") from error
    if path.is_dir():
        raise LogError(f"{path} is a folder; a log is a file.")


def _on_read_only_disk(path: Path) -> bool:
    return hasattr(os, "statvfs") and bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _writable(path: Path) -> bool:
    """Whether the file may be written, and files beside it.

    Raises:
        LogReadOnly: it may not, and there is nothing to read either.
    """
    writable = os.access(path.parent, os.W_OK | os.X_OK)
    if path.exists():
        return writable and os.access(path, os.W_OK)
    if not writable:
        raise LogReadOnly(f"{path} cannot be made: the folder {path.parent} may not be written.")
    return True
