"""Telling watchers of every commit, whoever made it, in the order of positions.

All of it happens in the writer's thread. Our own commits are told from memory. Those of other processes are
read: when SQLite says that the file was changed from elsewhere, and before a commit of ours that has followed one
which we have not seen.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable

from runcast.core.event import Event
from runcast.log.base import PAGE_MAX_EVENTS, Record
from runcast.log.pages import NEWEST
from runcast.log.sqlite.files import LogFile
from runcast.log.sqlite.rows import LAST_POSITION, fetch_page, page_sql
from runcast.log.watchers import Callback, Watchers

_logger = logging.getLogger("runcast.log")

_RECORDS = page_sql(
    f"""SELECT position, length(data) AS size FROM events
    WHERE position > :after AND position <= :until ORDER BY position LIMIT {PAGE_MAX_EVENTS}"""
)


class Announcer:
    """Knows up to which position the watchers of this log were told.

    `on_foreign` hears of the size in bytes of what other processes have written.
    """

    def __init__(self, file: LogFile, on_foreign: Callable[[int], None]) -> None:
        self.watchers = Watchers()
        self.foreign_events = 0
        self._file = file
        self._on_foreign = on_foreign
        self._told = 0
        self._seen: tuple[sqlite3.Connection, int] | None = None

    def watch(self, connection: sqlite3.Connection, callback: Callback) -> Callable[[], None]:
        """Tell `callback` of what is committed from now on. While nobody watches, nothing is read."""
        if not self.watchers:
            self._seen = _version(connection)
            self._told = connection.execute(LAST_POSITION).fetchone()[0]
        return self.watchers.add(callback)

    def listen(self) -> None:
        """Tell of what other processes have committed, if they have."""
        if not self.watchers:
            return
        try:
            with self._file.writer() as connection:
                version = _version(connection)
            if version != self._seen:
                self._catch_up(NEWEST)
                self._seen = version  # as of before we read: what came meanwhile is found next time
        except sqlite3.Error as error:
            self._failed(error)

    def committed(self, before: int, position: int, records: list[Record]) -> None:
        """Tell of a commit of ours, and first of all that came up to the position `before` it."""
        if not self.watchers:
            return
        try:
            if before != self._told:
                self._catch_up(before)
        except sqlite3.Error as error:
            self._failed(error)
        else:
            self.watchers.tell(records)
            self._told = position

    def _failed(self, error: sqlite3.Error) -> None:
        if self._seen is not None:  # said once, not at every poll
            _logger.warning("The log cannot be read for its watchers: %s. It is tried again.", error)
        self._seen = None  # the next `listen` reads all that is missing

    def _catch_up(self, until: int) -> None:
        more = True
        while more:
            with self._file.writer() as connection:
                page = {"after": self._told, "until": until}
                records, cut = fetch_page(connection, _RECORDS, page)
            more = cut or len(records) == PAGE_MAX_EVENTS
            if records:
                events = [record for record in records if isinstance(record, Event)]
                self.foreign_events += len(events)
                self._on_foreign(sum(event.size_bytes for event in events))
                self.watchers.tell(records)
                self._told = records[-1].position


def _version(connection: sqlite3.Connection) -> tuple[sqlite3.Connection, int]:
    """Changes when somebody else has written; the numbers of two connections have nothing in common."""
    return connection, connection.execute("PRAGMA data_version").fetchone()[0]
