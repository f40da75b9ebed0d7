"""The format of a log's file: telling what a file is, making a new one, and bringing an old one up to date."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from runcast.core.event import new_epoch
from runcast.errors import LogCorrupt, LogError, LogReadOnly, LogTooNew

APPLICATION_ID = 0x52_43_4C_47
"""`RCLG`: written in each file's header, so that no other program's database is taken for a log."""

Migration = Callable[[sqlite3.Connection], None]

MIGRATIONS: Sequence[Migration] = ()
"""The first makes format 2 of format 1, and so on. They run in one transaction, and must not end it."""


def newest_format() -> int:
    """The format that this version writes."""
    return 1 + len(MIGRATIONS)


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the file a log of the newest format. Another process may be doing the same at this moment.

    Raises:
        LogTooNew: a newer version of Runcast wrote it.
        LogCorrupt: it is a database of another program.
        LogError: it cannot have a write-ahead log.
    """
    found, newest = read_format(connection, path), newest_format()
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise LogError(f"{path} cannot have a write-ahead log (journal mode {mode}).")
    if found == newest:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        _bring_up_to_date(connection, read_format(connection, path))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that a file which may only be read is a log of the newest format.

    Raises:
        LogTooNew, LogCorrupt: as `prepare`.
        LogReadOnly: it is empty, or of an older format.
    """
    found, newest = read_format(connection, path), newest_format()
    if found != newest:
        raise LogReadOnly(f"{path} must be brought from format {found} to {newest}, and may only be read.")


def read_format(connection: sqlite3.Connection, path: Path) -> int:
    """The format of the file, 0 if it is empty.

    Raises:
        LogTooNew: the format is over the newest that is known here.
        LogCorrupt: it is a database of another program.
    """
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application or found or tables:
            raise LogCorrupt(f"{path} is a database of another program, not a Runcast log.")
        return 0
    if found > newest_format():
        raise LogTooNew(
            f"{path} has format {found}, and this version of Runcast knows formats up to {newest_format()}; "
            "please upgrade."
        )
    return found


def read_epoch(connection: sqlite3.Connection, path: Path) -> str:
    """The identity of the log.

    Raises:
        LogCorrupt: it has none.
    """
    row = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
    if row is None:
        raise LogCorrupt(f"{path} has lost its identity.")
    return row[0]


def _bring_up_to_date(connection: sqlite3.Connection, found: int) -> None:
    if found == 0:
        # importlib.resources would take longer to import than all the rest of this
        schema = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
        for statement in statements(schema):
            connection.execute(statement)
        epoch = new_epoch("*", int.from_bytes(os.urandom(5)))
        connection.execute("INSERT INTO meta VALUES ('epoch', ?)", (epoch,))
    else:
        for migrate in MIGRATIONS[found - 1 :]:
            migrate(connection)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {newest_format()}")


def statements(script: str) -> Iterator[str]:
    """The statements of an SQL script one by one; `executescript` would commit what is open."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
