"""What SQLite complains of, in the log's own words."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from runcast.errors import Busy, LogCorrupt, LogError, LogFull, LogReadOnly

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_READ_ONLY = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}
_NO_SPACE_BYTES = 256 * 1024


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code, without what extends it."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else has the lock that was wanted, and trying again may help."""
    return primary_code(error) in _BUSY


def log_error(error: sqlite3.Error, path: Path) -> LogError:
    """The error of ours that says what `error` means for the log at `path`."""
    code = primary_code(error)
    if code in _BUSY:
        return Busy(f"{path} stays locked by another process; nothing was stored. Try again in a moment.")
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _no_space(path)):
        return LogFull(f"No space is left on the disk for {path}; nothing was stored.")
    if code in _READ_ONLY:
        return LogReadOnly(f"{path} may not be written by this process ({error}).")
    if code in _CORRUPT:
        return LogCorrupt(f"{path} is damaged or is not a Runcast log ({error}).")
    if code == sqlite3.SQLITE_CANTOPEN:
        return LogError(f"{path} cannot be opened ({error}).")
    return LogError(f"{path} failed: {error}.")


@contextmanager
def translated(path: Path) -> Generator[None]:
    """Raise SQLite's errors as ours.

    Raises:
        LogError: or one of its children, for any error of SQLite.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise log_error(error, path) from error


def _no_space(path: Path) -> bool:
    """Growing the shared memory of the WAL fails as an I/O error when the disk is full."""
    import shutil  # noqa: PLC0415 - rarely needed, and slow

    try:
        return shutil.disk_usage(path.parent).free < _NO_SPACE_BYTES
    except OSError:
        return False
