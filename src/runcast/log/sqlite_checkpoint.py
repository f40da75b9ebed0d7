"""Checkpoints: moving what was committed from the WAL into the file itself, in a thread of their own.

The log is durable without them; they keep the WAL short. One that takes what is there runs beside the writer. If
the writer never pauses, the WAL can not be begun anew however much was moved; at its cap the writer itself does it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable

from runcast.errors import LogError
from runcast.log.sqlite_files import Limits, LogFile

_logger = logging.getLogger("runcast.log")

RESTART = "PRAGMA wal_checkpoint(TRUNCATE)"
"""Moves all, and begins the WAL anew. Does less while a reader needs what is there; never waits for one."""


class Checkpointer:
    """Keeps the WAL of `file` short.

    Args:
        file: the log's file.
        limits: `checkpoint_bytes`, from which on there is something to do, and `wal_cap_bytes`.
        restart: makes the writer begin the WAL anew, between two transactions of its own.
    """

    def __init__(self, file: LogFile, limits: Limits, restart: Callable[[], None]) -> None:
        self._file = file
        self._limits = limits
        self._restart = restart
        self._grown = 0
        self._due = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def grown(self, size_bytes: int) -> None:
        """Take note that the WAL has grown. Called by the writer's thread only; costs next to nothing."""
        self._grown += size_bytes
        if self._grown < self._limits.checkpoint_bytes // 4 or self._closing:
            return
        self._grown = 0
        self._due.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="runcast-log-checkpointer", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread. Idempotent."""
        self._closing = True
        self._due.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while self._due.wait() and not self._closing:
            self._due.clear()
            try:
                self._checkpoint()
            except (sqlite3.Error, LogError) as error:
                _logger.warning("The log's WAL could not be moved into its file: %s.", error)

    def _checkpoint(self) -> None:
        if self._wal_bytes() < self._limits.checkpoint_bytes:
            return
        with self._file.checkpointer() as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        if self._wal_bytes() >= self._limits.wal_cap_bytes:
            self._restart()

    def _wal_bytes(self) -> int:
        try:
            return self._file.wal.stat().st_size
        except FileNotFoundError:
            return 0
