"""The reader's state machine: CATCHING_UP <-> LIVE -> ENDED.

It holds no events and does no I/O. Its driver reads pages of the log and hands them in; everything that the
reader has to be told comes out as notices, in order, before the events of the page. The invariant is the
product's second guarantee: a subscriber gets every event after its place once and in order, or is told
what is missing.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from runcast.core.event import Cursor
from runcast.core.page import Gap, Page


class State(Enum):
    """Where a reader is."""

    CATCHING_UP = "catching_up"
    """It reads the log by itself; its place is its own `cursor`."""
    LIVE = "live"
    """It is a member of its cohort and stands where the cohort stands."""
    ENDED = "ended"
    """The run that it read is over and told to the end."""


class Reset(msgspec.Struct, frozen=True, gc=False):
    """Forget what you have: reading goes on at the start, after `cursor`."""

    reason: str
    cursor: Cursor


class Missing(msgspec.Struct, frozen=True, gc=False):
    """The events from `first` to `last` are not kept any more; reading goes on after `cursor`."""

    first: int
    last: int
    cursor: Cursor


class End(msgspec.Struct, frozen=True, gc=False):
    """The run is over; nothing comes after `cursor`."""

    cursor: Cursor


Notice = Reset | Missing | End


class Subscription:
    """One reader of one scope.

    `cursor` is None before the first page when reading begins at the start of the current run. `is_checked` says
    that the cursor is the log's own word: one that a client brought may name an event that was lost and another
    one given its seq, so its first page is always read from the log, which compares.
    """

    __slots__ = ("cursor", "is_checked", "state")

    def __init__(self, cursor: Cursor | None, *, is_checked: bool = False) -> None:
        self.state = State.CATCHING_UP
        self.cursor = cursor
        self.is_checked = is_checked

    def receive_page(self, page: Page) -> list[Notice]:
        """Take the page that was read after `cursor`; returns what must be told before its events.

        The reader stands after the page then, and has ended if the page reached the end of a run that is over
        (`ended_notice` is to be told after the events).

        Raises:
            ValueError: the page does not follow on the cursor without a word about it.
        """
        self._expect(State.CATCHING_UP)
        begin = Cursor(page.epoch, page.first)
        notices: list[Notice] = []
        if page.reset is not None:
            notices.append(Reset(page.reset, begin))
        if page.gap is not None:
            notices.append(self._missing(page.gap, begin))
        if self.cursor is not None and not notices and not _follows(self.cursor, page):
            raise ValueError(f"a page after {page.epoch}-{page.first} does not follow on {self.cursor}")
        self.cursor = page.cursor
        self.is_checked = True
        if page.over:
            self.state = State.ENDED
        return notices

    def receive_recent(self, until: Cursor) -> None:
        """The reader was given everything up to `until` from the ring of recent events."""
        self._expect(State.CATCHING_UP)
        self.cursor = until

    def can_join(self, place: Cursor) -> bool:
        """Whether the reader stands exactly where a cohort stands."""
        cursor = self.cursor
        return (
            self.state is State.CATCHING_UP
            and self.is_checked
            and cursor is not None
            and cursor.offset == place.offset
            and cursor.epoch == place.epoch
        )

    def join(self, place: Cursor) -> None:
        """Become live at `place`.

        Raises:
            ValueError: the reader is not exactly there.
        """
        if not self.can_join(place):
            raise ValueError(f"a reader at {self.cursor} cannot join at {place}")
        self.state = State.LIVE

    def leave(self, place: Cursor) -> None:
        """Fall out of the live group, having been given everything up to `place`."""
        self._expect(State.LIVE)
        self.state = State.CATCHING_UP
        self.cursor = place

    def end(self, place: Cursor) -> None:
        """The run ended while the reader was live at `place`."""
        self._expect(State.LIVE)
        self.state = State.ENDED
        self.cursor = place

    def _expect(self, state: State) -> None:
        if self.state is not state:
            raise ValueError(f"the reader is {self.state.value}, not {state.value}")

    def _missing(self, gap: Gap, begin: Cursor) -> Missing:
        return Missing(gap.first, gap.last, begin)


def _follows(cursor: Cursor, page: Page) -> bool:
    if not cursor.epoch:  # the stream did not exist before; its first run has begun since
        return page.first == 0
    return page.epoch == cursor.epoch and page.first == cursor.offset
