"""The doctor's look at the log: where it lies, whether it is sound, and what waits beside it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from runcast.auth.redact import redact
from runcast.cli.doctor_findings import Finding, fail, ok, warn
from runcast.cli.output import plural
from runcast.cli.usage import WRITABLE
from runcast.config import Settings
from runcast.errors import Busy, LogCorrupt, LogFull, LogReadOnly, LogTooNew, RuncastError
from runcast.log.open import open_log, persistence_warning
from runcast.log.place import beside, is_redis, log_file, spool_folder
from runcast.log.sqlite.errors import log_error
from runcast.log.sqlite.mounts import refuse_network
from runcast.sources.spool import waits

MIB = 1024 * 1024
CHECK_S = 5.0
"""How long the check of the file may take."""
LONG_WAL = 64 * MIB
LITTLE_SPACE = 1024 * MIB
NO_SPACE = 64 * MIB
REDIS_WAIT_S = 3.0
CHECK_STEPS = 10_000
"""Steps of SQLite's machine between two looks at the clock."""


def look_at_log(settings: Settings) -> Iterator[Finding]:
    """Its file, its health, and the disk that it lies on; of a log on Redis, whether it can be used and what it keeps."""
    if is_redis(settings.log):
        yield from _redis(settings.log)
        return
    try:
        path = log_file(settings.log)
        if path is None:
            yield ok("log", "in the memory of each process, as RUNCAST_LOG says; nothing outlives it")
            return
        refuse_network(path)
    except RuncastError as error:
        yield fail("log", str(error), "Name another with RUNCAST_LOG or --log.")
        return
    yield from _file(path)
    yield from _disk(path)


def look_at_spool(settings: Settings) -> Iterator[Finding]:
    """Events of hooks that could not be stored at once."""
    try:
        path = beside(settings.log)
    except RuncastError:
        return  # told with the log
    if path is None:
        return
    folder = spool_folder(path)
    waiting = waits(folder)
    aside = len(list(folder.glob("*.bad"))) if folder.is_dir() else 0
    if aside:
        yield warn(
            "spool",
            f"{plural(aside, 'file')} in {folder} could not be read",
            "Look at the .bad files, or delete them.",
        )
    if waiting:
        yield warn(
            "spool",
            f"{plural(waiting, 'batch')} of events {'waits' if waiting == 1 else 'wait'} in {folder}",
            "The next hook, or a server (runcast serve), takes them into the log.",
        )
    elif not aside:
        yield ok("spool", "nothing waits")


def _redis(url: str) -> Iterator[Finding]:
    try:
        with closing(open_log(url, wait_s=REDIS_WAIT_S)) as log:
            yield ok("log", f"{log.url} answers")
            if warning := persistence_warning(log):
                yield warn(
                    "log health", warning, "docs/redis.md says what can be lost, and how to set Redis."
                )
    except RuncastError as error:
        yield fail(
            "log", redact(str(error)), "See that Redis runs there, and that RUNCAST_LOG says how to log in."
        )


def _file(path: Path) -> Iterator[Finding]:
    if not path.exists():
        yield ok("log", f"{path}, which will be made when something is published")
        return
    try:
        open_log(path).close()
    except RuncastError as error:
        yield fail("log", str(error), _advice(error))
        return
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        yield ok("log", f"{path}, {_size(path.stat().st_size)}")
    else:
        yield warn("log", f"{path} may be read, but not written, by this user", WRITABLE)
    yield _health(path)
    wal = path.with_name(f"{path.name}-wal")
    if wal.exists() and wal.stat().st_size > LONG_WAL:
        yield warn(
            "wal",
            f"{_size(wal.stat().st_size)} wait to be moved into the log",
            "A process that reads for long holds that up; end it.",
        )


def _advice(error: RuncastError) -> str:
    """What to do about a log that cannot be opened."""
    match error:
        case LogReadOnly():
            return WRITABLE
        case LogCorrupt():
            return "Restore it from a backup, or name another with RUNCAST_LOG."
        case LogTooNew():
            return "Upgrade Runcast, or name another with RUNCAST_LOG."
        case LogFull():
            return "Make room on its disk."
        case Busy():
            return "End the process that keeps it locked, and look again."
        case _:
            return "See that it is a file that this user may open, or name another with RUNCAST_LOG."


def _health(path: Path) -> Finding:
    deadline = time.monotonic() + CHECK_S
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > deadline, CHECK_STEPS)
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            return fail("log health", f"SQLite cannot read it: {error}", _advice(log_error(error, path)))
        return ok("log health", f"nothing wrong in what {CHECK_S:.0f} s of checking have seen")
    except sqlite3.DatabaseError as error:
        return fail("log health", f"damaged: {error}", "Restore it from a backup.")
    if verdict != "ok":
        return fail("log health", f"damaged: {verdict}", "Restore it from a backup.")
    return ok("log health", "SQLite finds nothing wrong")


def _disk(path: Path) -> Iterator[Finding]:
    folder = next((parent for parent in path.absolute().parents if parent.exists()), path.parent)
    free = shutil.disk_usage(folder).free
    says = f"{_size(free)} free where the log lies"
    if free < NO_SPACE:
        yield fail("disk", says, "Make room: without space nothing can be published.")
    elif free < LITTLE_SPACE:
        yield warn("disk", says, "Make room soon, or keep events for fewer days (RUNCAST_RETENTION_DAYS).")
    else:
        yield ok("disk", says)


def _size(size_bytes: int) -> str:
    if size_bytes < MIB:
        return f"{size_bytes / 1024:,.0f} KiB"
    return (
        f"{size_bytes / MIB:,.0f} MiB" if size_bytes < 10_240 * MIB else f"{size_bytes / MIB / 1024:,.0f} GiB"
    )
