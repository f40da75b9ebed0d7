"""The knowledge base's file: connections for any thread, and its format."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final

from runcast.errors import KnowledgeError
from runcast.log.place import data_folder

FORMAT: Final = 1
APPLICATION: Final = 0x52634B62  # "RcKb": by it, SQLite's header says whose file it is
BUSY_S: Final = 10.0
MAX_IDLE_READERS: Final = 4
CACHE_KIB: Final = 16 * 1024

_QUERY_WORDS: Final = (
    # what the index makes of a word: a table of its own to ask, with the same rules
    "CREATE VIRTUAL TABLE temp.asked USING fts5 (word, tokenize = 'porter unicode61 remove_diacritics 2')",
    "CREATE VIRTUAL TABLE temp.asked_words USING fts5vocab (temp, asked, instance)",
)


class KnowledgeFile:
    """Connections to one file, for any thread; several processes may have it open. One writes at a time.

    The file is made when something is first written: until then, what is read is empty. Everything raises
    `KnowledgeError` if the file cannot be used.

    Args:
        path: the file; None keeps everything in memory, for this process.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._writing = threading.RLock()
        self._writer: sqlite3.Connection | None = None
        self._idle: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Close all connections that are not in use, and let those in use be the last. Idempotent."""
        with self._writing, self._guard:
            self._closed = True
            connections, self._idle = self._idle, []
            if self._writer is not None:
                connections.append(self._writer)
                self._writer = None
        for connection in connections:
            connection.close()

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """A transaction: on disk when this is left, undone when it is left by an exception."""
        with self._writing, self._told():
            if self._writer is None:
                self._check_open()
                if self.path is not None and self.path.parent == data_folder():
                    self.path.parent.mkdir(
                        parents=True, exist_ok=True
                    )  # another one that is not there is a slip
                self._writer = self._open()
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # a full disk has rolled it back already
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection | None]:
        """One consistent view; None while there is no file."""
        if self.path is None:
            with self._writing, self._told():
                if self._writer is None:
                    self._check_open()
                    self._writer = self._open()
                yield self._writer
            return
        if not self.path.exists():
            yield None
            return
        with self._told():
            connection = self._reader()
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                self._give_back(connection)

    def _reader(self) -> sqlite3.Connection:
        with self._guard:
            self._check_open()
            if self._idle:
                return self._idle.pop()
        return self._open()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        with self._guard:
            if not self._closed and len(self._idle) < MAX_IDLE_READERS:
                self._idle.append(connection)
                return
        connection.close()

    def _check_open(self) -> None:
        if self._closed:
            raise KnowledgeError("The knowledge base is closed.")

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path or ":memory:", timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            connection.execute("PRAGMA synchronous = FULL")
            if self.path is not None:
                connection.execute("PRAGMA journal_mode = WAL")
            self._migrate(connection)
            for statement in _QUERY_WORDS:
                connection.execute(statement)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        if _is_ours(connection):
            return
        connection.execute("BEGIN IMMEDIATE")  # two processes may begin at once
        found: int = connection.execute("PRAGMA user_version").fetchone()[0]
        whose: int = connection.execute("PRAGMA application_id").fetchone()[0]
        if whose != APPLICATION and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise KnowledgeError(f"{self.path} is another database, and no knowledge base of Runcast.")
        if found > FORMAT:
            raise KnowledgeError(f"{self.path} was written by a newer version of Runcast; please upgrade.")
        if not found:
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            for statement in _statements(
                files("runcast.runners.knowledge").joinpath("schema.sql").read_text("utf-8")
            ):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")

    @contextmanager
    def _told(self) -> Generator[None]:
        """SQLite's errors as ours, with what to do about them."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise KnowledgeError(f"The knowledge base {self.path or 'in memory'} {_reason(error)}.") from None


def _is_ours(connection: sqlite3.Connection) -> bool:
    numbers = [
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    ]
    return numbers == [APPLICATION, FORMAT]


def _reason(error: Exception) -> str:
    text = str(error)
    if "locked" in text:
        return "is kept busy by another process; try again in a moment"
    if "full" in text:
        return "has no space left on its disk; nothing was stored"
    if "readonly" in text or "read-only" in text:
        return "may not be written by this user"
    if "not a database" in text or "malformed" in text:
        return "is damaged or is no knowledge base; remove the file and add the documents again"
    if "no such module" in text:
        return "needs SQLite with FTS5, which this Python comes without"
    return f"cannot be used ({text})"


def _statements(script: str) -> Generator[str]:
    """One by one: `executescript` would commit first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
