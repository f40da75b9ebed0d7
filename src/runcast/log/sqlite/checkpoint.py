"""Checkpoints: moving what was committed from the WAL into the file itself, so that the WAL can begin anew.

The log is durable without them; they keep the WAL short. They run in the writer's thread, in a transaction that
changes nothing but keeps every other writer out. Beside one, SQLite up to 3.51.2 may lose what is committed: the
"WAL-reset bug" (sqlite.org/wal.html#walresetbug) strikes when a checkpoint begins at the moment at which a commit
begins the WAL anew. So a checkpoint costs the writer a few milliseconds, and is done when nothing waits, if it can.
"""

from __future__ import annotations

from runcast.log.sqlite.files import Limits, LogFile

COMMIT_OVERHEAD_BYTES = 18_000
"""About what a commit adds to the WAL beside its events: the pages of the trees that it touches."""
READERS_WAIT_S = 0.05


class Checkpointer:
    """Says when a checkpoint of `file` is due, and does it. Belongs to the writer's thread."""

    def __init__(self, file: LogFile, limits: Limits) -> None:
        self._file = file
        self._limits = limits
        self._grown = 0

    def committed(self, size_bytes: int) -> None:
        """Take note of a commit, ours or another's, of so many bytes of events."""
        self._grown += size_bytes + COMMIT_OVERHEAD_BYTES

    def due(self, *, idle: bool) -> bool:
        """Whether the WAL is long enough, which it is earlier when nothing waits."""
        return self._grown >= self._limits.checkpoint_bytes // (4 if idle else 1)

    def overdue(self) -> bool:
        """Whether the WAL is long, although we have not written much: others write, and have no time for this."""
        try:
            return self._file.wal.stat().st_size > 2 * self._limits.checkpoint_bytes
        except FileNotFoundError:
            return False

    def run(self) -> None:
        """Do it. The writer's connection must be in a transaction with the write lock.

        Raises:
            sqlite3.Error: it failed; nothing is lost, and the WAL grows on.
        """
        self._grown = 0
        self._file.wait_for_readers(READERS_WAIT_S)  # what they do not see yet could not be moved
        self._file.checkpoint()
        self._file.wait_for_readers(READERS_WAIT_S)  # where they read in the WAL, it could not begin anew
