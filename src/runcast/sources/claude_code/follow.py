"""Follows the transcripts in a folder: reads what is there, then every line that is added, into a publisher.

What is there at the beginning is told session by session, the lines of a session's files in the order of their times.
Later on each file is read as it grows.

An event is stored before the place after it is remembered. A stop at any moment, by a crash too, therefore loses
nothing; what is told twice after it has the same ids, and is stored once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from runcast.client.backoff import delays
from runcast.errors import InvalidInput, RuncastError
from runcast.kinds.base import Publish
from runcast.live.bus import Bus
from runcast.sources.claude_code.merging import Merge
from runcast.sources.claude_code.positions import Place, Positions
from runcast.sources.claude_code.publishers import BusPublisher, Publisher
from runcast.sources.claude_code.reading import Reading, Whose, tell_unreadable
from runcast.sources.claude_code.told import usage_event
from runcast.sources.claude_code.transcript import Transcript
from runcast.sources.claude_code.tree import Found, Tree

logger = logging.getLogger("runcast.sources.claude_code")

BATCH_EVENTS: Final = 500
"""About how many events are published at once; fewer when nothing more is there."""
CHUNK_BYTES: Final = 256 * 1024
BATCH_BYTES: Final = 1024 * 1024
"""Of transcripts, at a time: a file's share, and that of all. Only a longer line is more."""
GLANCE_S: Final = 0.04
"""Between two looks at the files in use."""
SCAN_S: Final = 2.0
"""Between two looks at all files; longer where they are so many that it would take over 1 % of the time."""
SAVE_S: Final = 1.0
"""How often places are saved while much is read."""
WARM_NS: Final = 600 * 1_000_000_000
"""A file changed so recently is in use."""
MAX_OPEN: Final = 128
"""Files whose state is kept decoded."""


class Progress(msgspec.Struct):
    """How far it is; given to a callback, always the same object.

    `bytes_due` is what there was to read at the start, and what has come since. `events` were stored or were there
    already; `refused` could not be stored for what is in them; `garbage` are lines that were none of a transcript.
    `waiting` says why nothing can be stored at the moment. `current`: everything that is there is told.
    """

    files: int = 0
    files_due: int = 0
    files_done: int = 0
    bytes_due: int = 0
    bytes_done: int = 0
    events: int = 0
    refused: int = 0
    garbage: int = 0
    waiting: str | None = None
    current: bool = False


OnProgress = Callable[[Progress], None]


class _Batch:
    """What was read to be stored at once, and the readings that it is from."""

    def __init__(self) -> None:
        self.events: list[Publish] = []
        self.readings: dict[str, Reading] = {}
        self.places: list[Place] = []
        self.done = 0
        self.garbage = 0
        self._size_bytes = 0

    @property
    def is_full(self) -> bool:
        return len(self.events) >= BATCH_EVENTS or self._size_bytes >= BATCH_BYTES

    def take(self, reading: Reading, read: Callable[[], list[Publish]]) -> bool:
        """Add what `read` reads on; False if that was nothing, as at the end of the file."""
        before, restarts, garbage = reading.offset, reading.restarts, reading.transcript.garbage
        self.events += read()
        if reading.offset == before and reading.restarts == restarts:
            return False
        self.garbage += max(0, reading.transcript.garbage - garbage)
        self._size_bytes += abs(reading.offset - before)
        self.readings[reading.path] = reading
        return True


async def follow(
    bus: Bus,
    path: Path,
    *,
    positions: Path | None = None,
    since_s: float | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Follow the transcripts under `path` into a bus that has the session kind, until cancelled.

    Args:
        bus: where to; started, and of the running loop.
        path: a folder (which may come to be later), or one transcript.
        positions: the journal of how far files were read; None begins anew each time, which only costs time.
        since_s: leave out files that have not changed for so many seconds, until they do.
        on_progress: is told after each batch, in the loop.

    Raises:
        RuncastError: the log can never store anything: it is read-only, or damaged.

    Safe to cancel.
    """
    publisher = BusPublisher(bus)
    places = await asyncio.to_thread(Positions, positions, publisher.identity)
    await Follower(publisher, path, places, since_s=since_s, on_progress=on_progress).run()


class Follower:
    """What `follow` does, for any publisher. See there for the arguments."""

    def __init__(
        self,
        publisher: Publisher,
        path: Path,
        positions: Positions,
        *,
        since_s: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.progress = Progress()
        self._publisher = publisher
        self._positions = positions
        self._tree = Tree(path)
        self._oldest_ns = None if since_s is None else time.time_ns() - round(since_s * 1e9)
        self._on_progress = on_progress or _unwatched
        self._due: deque[list[str]] = deque()  # one file, or those of a session to be merged
        self._queued: set[str] = set()
        self._merge: Merge | None = None  # of the first session that is due
        self._open: OrderedDict[str, Reading] = OrderedDict()
        self._saved_at = self._scan_at = time.monotonic()

    async def run(self, *, once: bool = False) -> Progress:
        """Follow until cancelled, or with `once` until everything that is there is told.

        Raises:
            RuncastError: the publisher can never store anything.

        Safe to cancel: what was told and not yet remembered is told again the next time, under the same ids.
        """
        try:
            await self._begin()
            while True:
                if self._due:
                    await self._step()
                elif once:
                    self._now_current()
                    return self.progress
                else:
                    await self._rest()
                if not once:
                    await self._look()
        finally:
            self._positions.save()

    async def _look(self) -> None:
        if time.monotonic() < self._scan_at:
            self._enqueue(self._tree.glance())
        else:
            self._enqueue(await self._scan())

    async def _scan(self) -> list[Found]:
        found, took_s = await asyncio.to_thread(_timed, self._tree.scan)
        self._scan_at = time.monotonic() + max(SCAN_S, 100 * took_s)
        return found

    async def _begin(self) -> None:
        found = await self._scan()
        if self._oldest_ns is not None:
            found = [file for file in found if file.time_ns >= self._oldest_ns]
        recent = sorted((file.time_ns, file.path) for file in found)
        self._tree.warm([path for time_ns, path in recent if time_ns > time.time_ns() - WARM_NS])
        for session in _in_order(found):
            self._put(session, first=False)
        self._report()

    async def _rest(self) -> None:
        if not self.progress.current:
            self._now_current()
        if time.monotonic() - self._saved_at > SAVE_S:
            await self._save()
        await asyncio.sleep(GLANCE_S)

    def _now_current(self) -> None:
        self.progress.current = True
        self._report()

    def _enqueue(self, changed: Sequence[Found]) -> None:
        """Files that have changed are read before those that were left from an earlier time."""
        if changed:  # warm is also an empty one: it was made to be written to
            self._tree.warm([file.path for file in changed])
        for file in reversed(changed):
            self._put([file], first=True)

    def _put(self, files: Iterable[Found], *, first: bool) -> None:
        """Let files be read, together if they are several."""
        new = [file for file in files if file.size != self._positions.offset(file.path)]
        self.progress.bytes_due += sum(max(0, file.size - self._positions.offset(file.path)) for file in new)
        paths = [file.path for file in new if file.path not in self._queued]
        if paths:
            self._queued.update(paths)
            self.progress.files_due += len(paths)
            (self._due.appendleft if first else self._due.append)(paths)
        self.progress.files = self._tree.files

    async def _step(self) -> None:
        """Read a batch, store it, and remember how far that was."""
        batch = await asyncio.to_thread(self._gather)
        try:
            await self._store(batch.events)
        except BaseException:
            self._forget(batch)  # their state is ahead of what is stored
            raise
        for place in batch.places:
            self.progress.bytes_done += max(0, place.offset - self._positions.offset(place.path))
            self._positions.put(place)
        self.progress.files_done += batch.done
        self.progress.events += len(batch.events)
        self.progress.garbage += batch.garbage
        if time.monotonic() - self._saved_at > SAVE_S:
            await self._save()
        self._report()

    def _gather(self) -> _Batch:
        """Read the next files that are due until there is a batch. Runs in a thread; the loop waits for it."""
        batch = _Batch()
        while self._due and not batch.is_full:
            paths = self._due[0]
            ended = self._read_merged(paths, batch) if len(paths) > 1 else self._read_one(paths[0], batch)
            self._queued.difference_update(ended)
            batch.done += len(ended)
        batch.places = [reading.place() for reading in batch.readings.values()]
        return batch

    def _read_one(self, path: str, batch: _Batch) -> list[str]:
        """Read a piece of the file that is due; returns it if it has come to its end."""
        reading = self._reading(path)
        if batch.take(reading, lambda: _read(reading)):
            return []
        self._due.popleft()
        return [path]

    def _read_merged(self, paths: Sequence[str], batch: _Batch) -> list[str]:
        """Fill the batch from the session that is due; returns those of its files that have come to their ends."""
        merge = self._merge = self._merge or Merge([self._reading(path) for path in paths])
        while merge.has_more and not batch.is_full:
            merge.step(lambda reading: batch.take(reading, reading.take))
        if not merge.has_more:
            self._merge = None
            self._due.popleft()
        return merge.pop_ended()

    def _reading(self, path: str) -> Reading:
        reading = self._open.pop(path, None) or Reading(self._positions.get(path), self._main)
        self._open[path] = reading
        while len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)
        return reading

    def _main(self, path: str) -> Transcript:
        merged = self._merge.readings.get(path) if self._merge else None
        return (merged or self._open.get(path) or Reading(self._positions.get(path), self._main)).transcript

    def _forget(self, batch: _Batch) -> None:
        self._merge = None
        for path in batch.readings:
            self._open.pop(path, None)

    # --- storing ---------------------------------------------------------------------------------

    async def _store(self, events: Sequence[Publish]) -> None:
        for first in range(0, len(events), BATCH_EVENTS):
            late = await self._publish(events[first : first + BATCH_EVENTS])
            costs = [cost for event in late if (cost := usage_event(event))]
            if costs:
                await self._publish(costs)

    async def _publish(self, events: Sequence[Publish]) -> list[Publish]:
        """Store a batch, however long that takes; leave out what can never be stored."""
        pauses = delays(first_s=0.02, longest_s=5.0)
        while True:
            try:
                late = await self._publisher.publish(events)
            except InvalidInput as error:
                return await self._divide(events, error)
            except RuncastError as error:
                if not error.retryable:
                    raise
                self._wait(str(error))
                await asyncio.sleep(next(pauses))
            else:
                self._wait(None)
                return late

    async def _divide(self, events: Sequence[Publish], error: InvalidInput) -> list[Publish]:
        """One event of a batch cannot be stored, and holds up the others: find it by halves."""
        if len(events) == 1:
            self.progress.refused += 1
            logger.warning("an event of %s cannot be stored: %s", events[0].stream, error)
            return []
        middle = len(events) // 2
        return [*await self._publish(events[:middle]), *await self._publish(events[middle:])]

    def _wait(self, why: str | None) -> None:
        if self.progress.waiting != why:
            self.progress.waiting = why
            self._report()

    async def _save(self) -> None:
        self._saved_at = time.monotonic()
        await asyncio.to_thread(self._positions.save)

    def _report(self) -> None:
        self._on_progress(self.progress)


def _timed(scan: Callable[[], list[Found]]) -> tuple[list[Found], float]:
    """What `scan` returns, and for how many seconds it has kept a processor busy."""
    began = time.thread_time()
    return scan(), time.thread_time() - began


def _unwatched(progress: Progress) -> None:
    """Nobody asked how far it is."""


def _read(reading: Reading) -> list[Publish]:
    try:
        return reading.read(CHUNK_BYTES)
    except OSError as error:
        tell_unreadable(reading.path, error)
        return []


def _in_order(found: Iterable[Found]) -> list[list[Found]]:
    """The files by session, main files first. The sessions used last come last: the log has them in that order."""
    sessions: dict[str, list[Found]] = {}
    for file in found:
        sessions.setdefault(Whose.of(file.path).main or file.path, []).append(file)
    for main, files in sessions.items():
        files.sort(key=lambda file, main=main: (file.path != main, file.path))
    ranked = sorted((max(file.time_ns for file in files), main) for main, files in sessions.items())
    return [sessions[main] for _, main in ranked]
