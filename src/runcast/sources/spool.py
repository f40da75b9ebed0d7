"""A folder beside the log for events that could not be stored at once: `<log>.spool/`, one file per batch.

Whoever finds the log locked for too long leaves its events here, and whoever gets through next takes them in: a
server (`follow_spool`), a watcher, or another hook (`drain`). A file is removed only when its events are committed,
and events have ids, so neither a crash in between nor two drainers at once store anything twice.

The folder is bounded. When it is full, a new batch is refused; what is there already is never dropped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from runcast.core.event import parse_time
from runcast.errors import InvalidEvent, LogError, LogFull
from runcast.kinds.base import Publish
from runcast.sources.publishing import find_flawed

if TYPE_CHECKING:
    from runcast.live.bus import Bus

MAX_FILES: Final = 4_096
MAX_BYTES: Final = 64 * 1024 * 1024
"""What may wait in one folder, in files and in bytes of their content."""
DRAIN_BYTES: Final = 1024 * 1024
"""About what goes into one commit when a spool is drained."""
DRAIN_EVENTS: Final = 500
LOOK_S: Final = 1.0
"""Between two looks of a server's into the folder."""

_SUFFIX: Final = ".json"
_UNFINISHED: Final = ".tmp"
_BAD: Final = ".bad"
_MAX_BAD: Final = 100
_ANY_TIME_US: Final = 2**62
_STALE_S: Final = 600.0
"""An unfinished file is left by a crash if it is older than this."""

Take = Callable[[Sequence[Publish]], object]
"""Stores events, and returns when they are committed. Raises `InvalidInput` if one of them can never be stored."""


class _Batch(msgspec.Struct):
    """The content of a file. `events` have an `id` and a `time` each."""

    events: list[Publish]


class _File(msgspec.Struct, order=True, frozen=True):
    """A file of the spool; they are named, and so ordered, by time. The name says the size, too."""

    name: str
    size_bytes: int


def put(folder: Path, events: Sequence[Publish], now_us: int) -> Path:
    """Leave `events` in the spool; they must have an `id` and a `time` each. Returned means on disk.

    Raises:
        LogFull: `MAX_FILES` or `MAX_BYTES` are reached, or the disk is full.
        LogError: the folder or the file cannot be written.
    """
    content = msgspec.json.encode(_Batch(list(events)))
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            _sync_folder(folder.parent)
        waiting = list(_names(folder))
        if len(waiting) >= MAX_FILES or sum(map(_size, waiting)) + len(content) > MAX_BYTES:
            raise LogFull(f"The spool {folder} is full; nothing was stored.")
        name = f"{now_us:017d}-{os.getpid()}-{os.urandom(4).hex()}-{len(content)}"
        return _write(folder / f"{name}{_UNFINISHED}", folder / f"{name}{_SUFFIX}", content)
    except OSError as error:
        raise LogError(f"The spool {folder} cannot be written ({error.strerror}).") from error


def drain(folder: Path, take: Take, *, most_files: int = MAX_FILES) -> int:
    """Give the oldest batches to `take`, in order of time, and remove each when it is stored.

    A file that cannot be read as events, or that `take` can never store, is moved aside (`.bad`) and logged. One that
    the system does not let us read or move is passed over. An event from a clock that was ahead happens now.

    Returns:
        How many events were taken.

    Raises:
        LogError: as `take` does; what it did not store is still here. Or, after all others were taken, a file that
            was passed over.
    """
    troubles: list[OSError] = []
    taken = 0
    for group in _groups(_waiting(folder)[:most_files]):
        taken += _drain_group(folder, group, take, troubles)
    if troubles:
        raise LogError(f"The spool {folder} has {len(troubles)} files that are passed over: {troubles[0]}.")
    return taken


def waits(folder: Path) -> int:
    """How many batches are in the spool."""
    return len(_waiting(folder))


async def follow_spool(bus: Bus) -> None:
    """Take what comes into the spool of the bus's log, looking every second, until it is cancelled.

    What the log cannot store now stays in the spool and is tried again; that is logged once per kind of failure.
    """
    import asyncio  # noqa: PLC0415 - others than a server do not want it

    from runcast.log.place import beside, spool_folder  # noqa: PLC0415

    path = beside(bus.log.url)
    if path is None:
        return
    folder = spool_folder(path)

    def take(events: Sequence[Publish]) -> object:
        return bus.publish_soon(events).result()

    told = ""
    while True:
        try:
            await bus.call(drain, folder, take)
            told = ""
        except (LogError, OSError) as error:
            if told != type(error).__name__:
                told = type(error).__name__
                _warn("The spool %s cannot be taken into the log now: %s", folder, error)
        await asyncio.sleep(LOOK_S)


# --- files ---------------------------------------------------------------------------------------


def _write(unfinished: Path, final: Path, content: bytes) -> Path:
    """Written, synced, and only then given its name, so that nobody reads half of it."""
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(final)
        _sync_folder(final.parent)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
    return final


def _sync_folder(folder: Path) -> None:
    """A new name is on disk only when its folder is."""
    if os.name == "nt":  # which cannot, and does it by itself
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _names(folder: Path) -> Iterator[str]:
    """The names of what waits or is being written; none if there is no folder."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith((_SUFFIX, _UNFINISHED)):
                yield entry.name


def _size(name: str) -> int:
    """What a file's name says of its size."""
    digits = name.rpartition(".")[0].rpartition("-")[2]
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def _waiting(folder: Path) -> list[_File]:
    files: list[_File] = []
    for name in _names(folder):
        if name.endswith(_SUFFIX):
            files.append(_File(name, _size(name)))
        elif _is_stale(folder / name):
            (folder / name).unlink(missing_ok=True)
    return sorted(files)


def _is_stale(unfinished: Path) -> bool:
    try:
        return time.time() - unfinished.stat().st_mtime > _STALE_S
    except OSError:
        return False


def _groups(files: Sequence[_File]) -> Iterator[list[_File]]:
    """Files that go into one commit: in order, and not too many bytes together."""
    group: list[_File] = []
    size = 0
    for file in files:
        if group and (size + file.size_bytes > DRAIN_BYTES or len(group) == DRAIN_EVENTS):
            yield group
            group, size = [], 0
        group.append(file)
        size += file.size_bytes
    if group:
        yield group


def _drain_group(folder: Path, group: Sequence[_File], take: Take, troubles: list[OSError]) -> int:
    """Give a group to `take`, and remove its files or move them aside; adds to `troubles` what the system refuses."""
    read: list[tuple[Path, list[Publish]]] = []
    for file in group:
        try:
            events = _read(folder / file.name)
        except OSError as error:
            troubles.append(error)
        else:
            read += [(folder / file.name, events)] if events is not None else []
    flaws = find_flawed(read, lambda some: take([event for _, events in some for event in events]))
    for (path, _), flaw in zip(read, flaws, strict=True):
        try:
            path.unlink(missing_ok=True) if flaw is None else _set_aside(path, str(flaw))
        except OSError as error:
            troubles.append(error)
    return sum(len(events) for (_, events), flaw in zip(read, flaws, strict=True) if flaw is None)


def _read(path: Path) -> list[Publish] | None:
    """The events of a file; None if it is gone, or was no batch and is now aside.

    Raises:
        OSError: the system does not let us read it, or move it aside.
    """
    try:
        batch = msgspec.json.decode(path.read_bytes(), type=_Batch)
    except FileNotFoundError:
        return None  # another one was quicker
    except (IsADirectoryError, ValueError, RecursionError) as error:  # DecodeError is a ValueError
        _set_aside(path, str(error))
        return None
    if not all(event.id and event.time is not None for event in batch.events):
        _set_aside(path, "an event has no id or no time")
        return None
    now_us = time.time_ns() // 1000
    for event in batch.events:
        event.time = _not_after(now_us, event.time)
    return batch.events


def _not_after(now_us: int, given: str | int | None) -> str | int | None:
    """A time, or now if that is earlier: the clock of whoever left the event may have been ahead."""
    try:
        time_us = parse_time(given, _ANY_TIME_US) if isinstance(given, str) else given
    except InvalidEvent:
        return given  # is refused for it
    return now_us if time_us is not None and time_us > now_us else given


def _set_aside(path: Path, why: str) -> None:
    _warn("%s cannot be taken into the log, and is moved aside: %s", path, why)
    with suppress(FileNotFoundError):
        if sum(1 for _ in path.parent.glob(f"*{_BAD}")) >= _MAX_BAD and not path.is_dir():
            path.unlink()
        else:
            path.rename(path.with_name(f"{path.name}{_BAD}"))


def _warn(message: str, *details: Any) -> None:
    import logging  # noqa: PLC0415 - it takes 4 ms, which a hook has not

    logging.getLogger("runcast.sources").warning(message, *details)
