"""The file that keys, users, tickets and revocations live in: small, SQLite, beside the log, for this user only."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from runcast.auth.secrets import new_secret
from runcast.errors import ConfigError

FORMAT = 1
BUSY_S = 5.0
_MODE = 0o600


class AuthStore:
    """One connection to the file, for any thread, one at a time. Several processes may have it open.

    The file is made when it is first needed: an open server that keeps no keys has none. Each method raises
    `ConfigError` if it cannot be opened, or a newer version wrote it.

    Args:
        path: the file; None keeps everything in memory, for one process.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Change something: durable when this is left, undone when it is left by an exception."""
        with self._lock:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Look something up."""
        with self._lock:
            yield self._connection()

    def own_secret(self) -> str:
        """What this server signs the tokens of its own users with; made at first, and kept."""
        with self.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO secrets VALUES ('tokens', ?)", (new_secret(),))
            return connection.execute("SELECT secret FROM secrets WHERE name = 'tokens'").fetchone()[0]

    def changes(self) -> int:
        """Another number than before when something was revoked, by whichever process."""
        with self.reading() as connection:
            return connection.execute("SELECT value FROM meta WHERE key = 'changes'").fetchone()[0]

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            try:
                self._opened = _open(self.path)
            except (OSError, sqlite3.Error) as error:
                raise ConfigError(
                    f"The file of keys and users, {self.path}, cannot be opened: {error}."
                ) from None
        return self._opened


def count_change(connection: sqlite3.Connection) -> None:
    """Say, within a transaction, that something may be allowed no longer."""
    connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'changes'")


def _open(path: Path | None) -> sqlite3.Connection:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, _MODE))  # before SQLite makes it, for all to read
        path.chmod(_MODE)
    connection = sqlite3.connect(
        path or ":memory:", timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        if path is not None:  # who only looks something up never waits for who writes
            connection.execute("PRAGMA journal_mode = WAL")
        _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, path: Path | None) -> None:
    connection.execute("BEGIN IMMEDIATE")  # two processes may begin at once
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > FORMAT:
        raise ConfigError(f"{path} was written by a newer version of Runcast; please upgrade.")
    if not found:
        schema = files("runcast.auth").joinpath("schema.sql").read_text("utf-8")
        for statement in _statements(schema):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.execute("COMMIT")


def _statements(script: str) -> Generator[str]:
    """One by one: `executescript` would commit first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
