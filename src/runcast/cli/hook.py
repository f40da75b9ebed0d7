"""`runcast hook claude-code`: takes what a hook tells into the log, and never disturbs the agent.

It runs at every step of an agent, which waits for it. So it exits 0 and prints nothing whatever happens, tries for
some tens of milliseconds only, and imports as little as it can: the modules it needs are imported within its
functions, after `import_lean`. A log that is locked for longer, or fails, costs nothing but a detour: the event goes
to the spool beside it. What could not be kept at all is noted in a file that `runcast doctor` shows.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from typing import TYPE_CHECKING, Literal, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runcast.config import Settings
    from runcast.kinds.base import Publish
    from runcast.log.sqlite.once import LogOnce

MAX_BYTES = 64 * 1024 * 1024
"""The longest text on stdin that is read; of what is in it, long parts are cut later."""
EVENT_MAX_BYTES = 256 * 1024
TRY_S = 0.05
"""So long after its start, the hook gives up on a locked log. The interpreter has begun about 15 ms before."""
LEAST_TRY_S = 0.01
DRAIN_FILES = 16
"""So many batches from the spool are taken along."""
FAILURES_SHOWN = 20


def hook(source: Literal["claude-code"], /) -> None:
    """Take what an agent's hook tells, as JSON on stdin, into the log.

    Agents call this; `runcast install-hooks` sees to that. It prints nothing and exits 0 whatever happens:
    `runcast doctor` shows what went wrong. The log is that of RUNCAST_LOG, else the default one; no server is needed.

    Args:
        source: Whose hook it is.
    """
    del source  # there is one only
    main()


def main() -> NoReturn:
    """`hook` for the command line as it is, without looking for options first; ends the process."""
    started = time.monotonic()
    try:
        gc.disable()  # there is nothing to collect yet, and looking takes 3 ms
        _be_silent()
        _run(started)
    except BaseException as error:  # noqa: BLE001 - the process's root: nothing may come out of a hook
        _note(error)
    finally:
        os._exit(0)  # at once: what is committed needs no farewell


def last_failures(settings: Settings) -> list[str]:
    """What hooks could not do lately, one line each with its time, oldest first; for `runcast doctor`."""
    from runcast.sources.failures import read_failures

    lines = {line for folder in _folders(settings.log) for line in read_failures(folder, FAILURES_SHOWN)}
    return sorted(lines)[-FAILURES_SHOWN:]


def _be_silent() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _run(started: float) -> None:
    body = _read_stdin()
    from runcast.cli.lean import import_lean

    import_lean()
    from runcast.errors import ConfigError
    from runcast.log.place import beside, is_redis
    from runcast.sources.claude_code.hooks import decode_hook, publishes_of

    if sys.argv[2:3] != ["claude-code"]:
        raise ConfigError(f"hook: {' '.join(sys.argv[2:])} is not known; known is claude-code.")
    path = beside(_log_name())
    if path is None:
        raise ConfigError(
            "RUNCAST_LOG is memory:, which belongs to the server's process; a hook needs a file."
        )
    now_us = time.time_ns() // 1000
    events = publishes_of(decode_hook(body), now_us)
    if is_redis(
        _log_name()
    ):  # to reach it takes longer than an agent should wait: a server here takes it along
        _keep(path, events, now_us)
        return
    try:
        log = _append(path, events, started)
    except Exception as error:  # noqa: BLE001 - whatever it is, the event is not to be lost for it
        _keep(path, events, now_us, error)
    else:
        _take_along(path, log)


def _read_stdin() -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := os.read(0, 1 << 20):
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise ValueError(f"stdin: over the limit of {MAX_BYTES} bytes.")
    return b"".join(parts)


def _append(path: Path, events: Sequence[Publish], started: float) -> LogOnce:
    """Store `events`; returns the log, still open."""
    from runcast.log.sqlite.once import LogOnce

    log = LogOnce(path, max(LEAST_TRY_S, started + TRY_S - time.monotonic()))
    _store(log, events)
    return log


def _take_along(path: Path, log: LogOnce) -> None:
    """Store what waits in the spool, once nothing of one's own can be lost any more; then close a long log."""
    from runcast.errors import Busy
    from runcast.log.place import spool_folder

    folder = spool_folder(path)
    try:
        if folder.exists():
            from runcast.sources.spool import drain

            drain(folder, lambda events: _store(log, events), most_files=DRAIN_FILES)
    except Busy:
        pass  # the next one takes it along
    finally:
        if log.is_long:
            log.close()


def _store(log: LogOnce, events: Sequence[Publish]) -> None:
    from runcast.kinds.base import accept
    from runcast.kinds.session import SESSION

    now_us = time.time_ns() // 1000
    log.append([accept(SESSION, event, now_us, EVENT_MAX_BYTES) for event in events])


def _keep(path: Path, events: Sequence[Publish], now_us: int, error: Exception | None = None) -> None:
    """Leave `events` in the spool. Why is noted, unless the log was only busy."""
    from runcast.errors import Busy
    from runcast.log.place import spool_folder
    from runcast.sources.spool import put

    if error is not None and not isinstance(error, Busy):
        _note(error)
    put(spool_folder(path), events, now_us)


# --- failures ------------------------------------------------------------------------------------


def _note(error: BaseException) -> None:
    """Write down what went wrong, beside the log or else in our data folder, if that is possible."""
    try:
        from runcast.errors import RuncastError
        from runcast.sources.failures import note_failure

        known = isinstance(error, RuncastError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        any(note_failure(folder, reason) for folder in _folders(_log_name()))
    except BaseException:  # noqa: BLE001, S110 - nobody is left to tell
        pass


def _folders(log: str) -> list[Path]:
    """Where failures are noted: the first one that can be written."""
    from runcast.errors import ConfigError
    from runcast.log.place import beside, data_folder

    folders = [data_folder()]
    try:
        path = beside(log)
    except ConfigError:
        return folders
    return folders if path is None else list(dict.fromkeys([path.absolute().parent, *folders]))


def _log_name() -> str:
    return os.environ.get("RUNCAST_LOG", "")
