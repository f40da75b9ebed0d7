"""Following an HtmlGraph database: every row once, and every change of a row, as long as it lasts.

How far a row was told stands in the log itself: its event has the row's id, and a digest of what the row said. So
whoever follows next goes on there, and nothing is kept beside the log.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from runcast.core.event import Cursor
from runcast.errors import InvalidInput, LogClosed, LogError, StaleToken
from runcast.kinds.base import Publish
from runcast.live.bus import Bus
from runcast.log.base import Lease
from runcast.sources.htmlgraph import database, rows
from runcast.sources.htmlgraph.database import Changed, Files, Row
from runcast.sources.htmlgraph.rows import Seen
from runcast.sources.publishing import publish_each

logger = logging.getLogger("runcast.htmlgraph")

POLL_S: Final = 0.025
PAGE_ROWS: Final = 500
RECENT_ROWS: Final = 500
"""The newest rows are compared at every change of the file; older ones afterwards, a page at a time."""

MAX_ROWS: Final = 100_000
"""The rows that are followed for changes: the newest ones. Older ones were told, and are not looked at again."""

OLDER_EVERY_S: Final = 2.0
OLDER_SHARE: Final = 20
"""The older rows are compared at most every two seconds, and for at most a twentieth of the time."""

LEASE_S: Final = 15.0
"""One process of those that share a log follows a database; another one takes over so long after it died."""

MAX_RECALLED: Final = 10_000
"""The sessions of which is remembered that the log was asked; of another one it is asked again."""

MAX_PATIENCE: Final = 10
"""After so many looks in a row at a database that never stands still, it is read in SQLite's own way."""

TROUBLE_S: Final = 0.5
"""Between two looks at a database that cannot be read."""

T = TypeVar("T")

_PROCESS: Final = uuid.uuid4().hex


async def follow(
    bus: Bus,
    path: str | os.PathLike[str],
    *,
    poll_s: float = POLL_S,
    history: bool = True,
    caught_up: asyncio.Event | None = None,
) -> None:
    """Publish the rows of an HtmlGraph database, and then whatever changes there.

    It goes on until it is cancelled or the log is closed. The database may come later, be replaced, locked or damaged: then it is looked at again, and the log file says
    so. It is never written. Cancellation-safe: whoever follows next tells what was not told.

    Args:
        bus: where the events go; it knows the kind `SESSION`.
        path: the database.
        poll_s: how often to look whether it has changed.
        history: whether rows are told that are there at the beginning.
        caught_up: set once these are through, or when there is nothing to read (yet).
    """
    follower = _Follower(bus, Path(path), history=history)
    turn = _Turn(bus, follower.path)
    said = ""
    try:
        while True:
            trouble = ""
            try:
                lease = await turn.lease()
                if lease is not None:
                    await follower.look(lease)
                else:
                    follower.forget()
            except LogClosed:
                return
            except StaleToken:  # this one stood still for so long that another one has gone on
                turn.lost()
                follower.forget()
            except Changed:
                await asyncio.sleep(poll_s)
                continue
            except (OSError, sqlite3.Error, LogError) as error:
                trouble = _words(error)
            said = _report(said, trouble, follower.path)
            if caught_up is not None:
                caught_up.set()
            await asyncio.sleep(max(poll_s, TROUBLE_S) if trouble and follower.path.exists() else poll_s)
    finally:
        if caught_up is not None:
            caught_up.set()
        await turn.give_back()


def _words(error: Exception) -> str:
    return "there is no such file so far" if isinstance(error, FileNotFoundError) else str(error)


def _report(said: str, trouble: str, path: Path) -> str:
    """Say what is wrong, once, and that it is over."""
    if trouble and trouble != said:
        logger.warning("%s cannot be followed now, and is tried again: %s", path, trouble)
    elif said and not trouble:
        logger.info("%s is followed", path)
    return trouble


class _Turn:
    """Whether it is this follower's turn, of all that share a log."""

    def __init__(self, bus: Bus, path: Path) -> None:
        self._bus = bus
        self._name = f"htmlgraph:{path.absolute()}"
        self._owner = f"{_PROCESS}-{os.getpid()}"  # the second after a fork
        self._lease: Lease | None = None
        self._ask_again = 0.0

    async def lease(self) -> Lease | None:
        """What says that it is this one's turn; None while it is another one's. Asks the log now and then."""
        now = asyncio.get_running_loop().time()
        if now >= self._ask_again:
            self._lease = None
            self._lease = await self._bus.call(self._bus.log.acquire, self._name, self._owner, LEASE_S)
            self._ask_again = now + LEASE_S / 3
        return self._lease

    def lost(self) -> None:
        """Ask again at once: the log says that it is another one's turn."""
        self._lease = None
        self._ask_again = 0.0

    async def give_back(self) -> None:
        if self._lease is not None:
            with suppress(LogError):
                await self._bus.call(self._bus.log.release, self._lease)


class _Follower:
    """What is known of a database's rows, and the telling of what is not."""

    def __init__(self, bus: Bus, path: Path, *, history: bool) -> None:
        self.path = path.expanduser()
        self._bus = bus
        self._telling = history
        self._lease: Lease | None = None
        self._known: dict[str, tuple[int | None, Seen]] = {}  # by event id: the row's hash in this process
        self._recalled: set[str] = set()
        self._files: Files | None = None  # as they were when all they hold was told
        self._identity: tuple[int, int] | None = None
        self._newest: tuple[int, str] | None = None
        self._owes_older = False  # the file has changed since the older rows began to be compared
        self._older_at: int | None = None  # the rowid up to which they are by now
        self._older_next = 0.0
        self._older_s = 0.0
        self._impatience = 0  # how often in a row the database was changed while it was read

    def forget(self) -> None:
        """Know nothing any more: another one goes on, and what it tells stands in the log."""
        self._known.clear()
        self._recalled.clear()
        self._files = self._newest = None

    async def look(self, lease: Lease) -> None:
        """Tell what the database has of new rows and changed ones, if it looks as if it had any.

        Raises:
            StaleToken: another one has its turn since; nothing more was told.
            Changed, OSError, sqlite3.Error: the database cannot be read now.
            LogError: the log cannot take what is new.
        """
        if self._lease is None or lease.token != self._lease.token:
            self.forget()  # since the last lease another one may have gone on
        self._lease = lease
        try:
            files = database.look_at(self.path)
            if files.identity != self._identity:
                self._identity, self._files, self._newest = files.identity, None, None
            if files == self._files:
                await self._compare_older()
                return
            self._files = None
            await self._compare_recent()
        except Changed:
            self._impatience += 1
            raise
        except (OSError, sqlite3.Error) as error:
            # Nothing was there at the beginning: whatever comes is new.
            self._telling = self._telling or isinstance(error, FileNotFoundError) or _has_no_table(error)
            raise
        self._telling, self._impatience = True, 0
        self._files = files if files.settled() else None

    async def _compare_recent(self) -> None:
        newest, after = self._newest, 0
        if newest is not None and await self._read(database.has_row, *newest):
            after = max(newest[0] - RECENT_ROWS, 0)
            self._owes_older = after > 0
        else:
            self._newest = None
        while (last := await self._compare(after)) is not None:
            after = last
        for event_id in list(self._known)[: max(len(self._known) - MAX_ROWS, 0)]:
            del self._known[event_id]

    async def _compare_older(self) -> None:
        """Compare a page of the older rows, if it is their time."""
        clock = asyncio.get_running_loop().time
        began = clock()
        if self._newest is None or began < self._older_next:
            return
        if self._older_at is None:
            if not self._owes_older:
                return
            self._owes_older, self._older_at = False, max(self._newest[0] - MAX_ROWS, 0)
        last = await self._compare(self._older_at)
        self._older_s += clock() - began
        self._older_at = last if last is not None and last < self._newest[0] - RECENT_ROWS else None
        if self._older_at is None:
            self._older_next = clock() + max(OLDER_EVERY_S, self._older_s * OLDER_SHARE)
            self._older_s = 0.0

    async def _compare(self, after: int) -> int | None:
        """Tell what is new in a page of rows; returns its last rowid, None if it was the last page."""
        page = await self._read(database.read_rows, after, PAGE_ROWS)
        await self._tell([row for _, row in page])
        if page and (self._newest is None or page[-1][0] > self._newest[0] or len(page) < PAGE_ROWS):
            self._newest = page[-1][0], str(page[-1][1].get("event_id"))
        return page[-1][0] if len(page) == PAGE_ROWS else None

    async def _read(self, method: Callable[..., T], *args: object) -> T:
        return await asyncio.to_thread(method, self.path, *args, patient=self._impatience < MAX_PATIENCE)

    async def _tell(self, page: Sequence[Row]) -> None:
        new: list[Publish] = []
        marks: list[tuple[str, int, Seen]] = []
        for row in page:
            event_id, looks = str(row.get("event_id")), hash(tuple(row.values()))
            if self._known.get(event_id, (None,))[0] == looks:
                continue
            event, after = await self._event(row, event_id)
            if event is None:
                self._known[event_id] = looks, after
            else:
                new.append(event)
                marks.append((event_id, looks, after))
        flaws = await publish_each(self._bus, [[event] for event in new], lease=self._lease)
        for (event_id, looks, after), flaw in zip(marks, flaws, strict=True):
            self._known[event_id] = looks, after
            if flaw is not None:
                logger.warning("%s: row %s cannot be told: %s", self.path, event_id, flaw)

    async def _event(self, row: Row, event_id: str) -> tuple[Publish | None, Seen]:
        """What is to be told of a row, and what will be known of it then."""
        now = rows.seen(row)
        try:
            await self._recall(rows.stream_of(row))
            _, before = self._known.get(event_id, (None, None))
            if before is None:
                return (rows.first_event(row, now) if self._telling else None), now
            if before.digest == now.digest:
                return None, before
            return rows.update_event(row, now, before), rows.after_update(now, before)
        except InvalidInput as error:
            logger.warning("%s: row %s cannot be told: %s", self.path, event_id, error)
            return None, now

    async def _recall(self, stream: str) -> None:
        """Read in the log how far the rows of a session were told before."""
        if stream in self._recalled:
            return
        told: dict[str, Seen] = {}
        cursor: Cursor | None = None
        while True:
            page = await self._bus.read(stream, cursor)
            for event in page.events:
                rows.recall(event, told)
            cursor = page.cursor
            if page.complete or not page.events:
                break
        if len(self._recalled) >= MAX_RECALLED:
            self._recalled.clear()
        self._recalled.add(stream)
        for event_id, seen in told.items():
            self._known.setdefault(event_id, (None, seen))


def _has_no_table(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "no such table" in str(error)
