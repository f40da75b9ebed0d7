"""Telling watchers of every commit, whoever made it, in the order of positions.

What this process has stored is told from memory, if it follows on what was told last; everything else is read.
Whichever thread comes first reads, under one lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from runcast.core.event import Event
from runcast.log.base import Record
from runcast.log.redis.firehose import Firehose, Place
from runcast.log.redis.losses import Losses
from runcast.log.redis.store import Outcome
from runcast.log.watchers import Callback, Watchers


class Announcer:
    """Knows up to which position the watchers of this log were told."""

    def __init__(self, firehose: Firehose, losses: Losses) -> None:
        self.watchers = Watchers()
        self.told: Place = 0
        self._firehose = firehose
        self._losses = losses
        self._generation: int = 0
        self._lock = threading.RLock()
        self._read = self._own_read = 0

    @property
    def foreign_events(self) -> int:
        """How many events of others were told."""
        return max(0, self._read - self._own_read)

    def watch(self, callback: Callback) -> Callable[[], None]:
        """Tell `callback` of what is committed from now on. While nobody watches, nothing is read.

        Raises:
            LogError: where the log is could not be read.
        """
        with self._lock:
            if not self.watchers:
                self.told, self._generation = self._firehose.newest()
            return self.watchers.add(callback)

    def committed(self, outcome: Outcome) -> None:
        """Tell of a commit of ours, and first of all that came before it.

        Raises:
            LogError: what others have committed before could not be read; it is told later.
        """
        if not self.watchers or not outcome.records:
            return
        with self._lock:
            if outcome.before == self.told and outcome.generation == self._generation:
                self._tell(outcome.records)
                self.told = outcome.position
                return
            self._own_read += sum(isinstance(record, Event) for record in outcome.records)
            if not self._firehose.covers(self.told, outcome.position):
                self.catch_up()

    def woken(self, position: int) -> None:
        """Something was committed at `position`; tell of it if that is news.

        Raises:
            LogError: it could not be read.
        """
        if not self._firehose.covers(self.told, position):
            self.catch_up()

    def catch_up(self) -> None:
        """Tell of all that is there.

        Raises:
            LogError: it could not be read; what was told before that is told.
        """
        if not self.watchers:
            return
        with self._lock:
            more = True
            while more:
                stretch = self._firehose.after(self.told)
                if stretch.generation != self._generation:
                    self.watchers.tell(self._losses.look(self.told))
                    self._generation = stretch.generation
                self._read += sum(isinstance(record, Event) for record in stretch.records)
                self._tell(stretch.records)
                more = stretch.more and stretch.reach != self.told
                self.told = stretch.reach

    def _tell(self, records: list[Record]) -> None:
        if records:
            self._losses.remember(records)
            self.watchers.tell(records)
