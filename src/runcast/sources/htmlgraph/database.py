"""Reading an HtmlGraph database that others write: nothing of it is changed, and no file is left beside it.

Each look has a connection of its own. One that stays open would keep SQLite from putting the write-ahead log back
into the database when the last writer closes it (https://www.sqlite.org/wal.html), and whoever copies or commits the
file would miss what is in there. So a change is noticed by the files' times and sizes, not by
`PRAGMA data_version`, which needs such a connection.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

BUSY_S: Final = 1.0
"""How long a read waits for a writer that has locked the file."""

SETTLED_NS: Final = 20_000_000
"""Times of files tick every few milliseconds: one that was written as lately as this may be written again without
looking different."""

_ROWID: Final = "runcast_rowid"
_ATTEMPTS: Final = 6
_BESIDE: Final = ("-wal", "-journal")

Look = tuple[int, int, int, int]
"""Device, number, time of the last change in nanoseconds, and size of a file."""

Row = dict[str, Any]
T = TypeVar("T")


class Changed(Exception):
    """The file was written while it was read as if nobody did; what was read is worth nothing."""


class Files(msgspec.Struct, frozen=True):
    """How the database looks from outside, and the files that SQLite keeps beside it."""

    database: Look
    beside: tuple[Look | None, ...]

    @property
    def identity(self) -> tuple[int, int]:
        """Which file it is: another one after it was replaced."""
        return self.database[:2]

    @property
    def alone(self) -> bool:
        """Whether all content is in the database itself: nobody is writing it, or left something unfinished."""
        return not any(file and file[3] for file in self.beside)

    def settled(self) -> bool:
        """Whether the next change will show."""
        latest = max(file[2] for file in (self.database, *self.beside) if file)
        return time.time_ns() - latest > SETTLED_NS


def look_at(path: Path) -> Files:
    """How the files look now. Costs four system calls.

    Raises:
        OSError: there is no such database, or it cannot be looked at.
    """
    real = path.resolve() if path.is_symlink() else path  # SQLite has its files beside the real one
    return Files(_look(real), tuple(_look_beside(real, ending) for ending in _BESIDE))


def is_htmlgraph(path: Path) -> bool:
    """Whether there is a database with a table `agent_events`; False for whatever cannot be read."""
    for attempt in range(_ATTEMPTS):
        try:
            return read(path, _has_table, patient=attempt < _ATTEMPTS - 1)
        except (OSError, sqlite3.Error):
            return False
        except Changed:
            time.sleep(SETTLED_NS / 1e9)
    return False


def read_rows(path: Path, after: int, limit: int, *, patient: bool = True) -> list[tuple[int, Row]]:
    """Up to `limit` rows in the order of their rowids, the first ones over `after`, each with its rowid.

    Raises:
        OSError, sqlite3.Error: it cannot be read (now); also while there is no table `agent_events` yet.
        Changed: try again.
    """

    def act(connection: sqlite3.Connection) -> list[tuple[int, Row]]:
        cursor = connection.execute(
            f"SELECT rowid AS {_ROWID}, * FROM agent_events WHERE rowid > ? ORDER BY rowid LIMIT ?",  # noqa: S608
            (after, limit),
        )
        names = [column[0] for column in cursor.description[1:]]
        return [(row[0], dict(zip(names, row[1:], strict=True))) for row in cursor]

    return read(path, act, patient=patient)


def has_row(path: Path, rowid: int, event_id: str, *, patient: bool = True) -> bool:
    """Whether that row is still where it was: not after VACUUM has numbered the rows anew.

    Raises:
        As `read_rows`.
    """
    question = "SELECT 1 FROM agent_events WHERE rowid = ? AND event_id = ?"
    return read(
        path, lambda connection: connection.execute(question, (rowid, event_id)).fetchone() is not None
    )


def read(path: Path, act: Callable[[sqlite3.Connection], T], *, patient: bool = True) -> T:
    """What `act` reads, through a connection that cannot write.

    SQLite would make files beside a database with a write-ahead log, also for one who only reads, and leave them
    there. So while the database is alone it is read as if it could not change, and the times of the files tell
    whether that was so. Not `patient`, it is read in SQLite's own way.

    Raises:
        As `read_rows`, and whatever `act` does.
    """
    before = look_at(path)
    if not (patient and before.alone):
        with closing(_connect(path, "mode=ro")) as connection:
            return act(connection)
    if not before.settled():
        raise Changed
    try:
        with closing(_connect(path, "mode=ro&immutable=1")) as connection:
            found = act(connection)
    except sqlite3.Error:
        if look_at(path) != before:
            raise Changed from None
        raise
    if look_at(path) != before:
        raise Changed
    return found


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=BUSY_S)
    connection.text_factory = _as_text
    return connection


def _as_text(value: bytes) -> str:
    return value.decode("utf-8", "replace")  # one flawed text must not hide its row


def _has_table(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA table_info(agent_events)").fetchall())


def _look_beside(path: Path, ending: str) -> Look | None:
    try:
        return _look(path.with_name(path.name + ending))
    except FileNotFoundError:
        return None


def _look(path: Path) -> Look:
    # Never by opening it: closing a file gives up the locks that this process may have on it (SQLite, "How To
    # Corrupt An SQLite Database File" §2.2).
    there = path.stat()
    return there.st_dev, there.st_ino, there.st_mtime_ns, there.st_size
