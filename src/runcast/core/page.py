"""What a log hands out: pages of events, and the changes of streams between them."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from runcast.core.event import Cursor, Event

PAGE_MAX_EVENTS = 256
PAGE_MAX_BYTES = 256 * 1024


class Change(StrEnum):
    """What else happens to streams, in one order with their events."""

    END = "end"
    """The run is over: nothing more will come in this epoch."""
    CLEAR = "clear"
    """All of the stream is gone; it goes on, empty, in the epoch that is named."""
    TRIM = "trim"
    """The events before `oldest` are gone."""
    LOST = "lost"
    """The log has lost events that were told, as a server that takes over may: the run's newest one is before `oldest`.
    It is told of as the log notices it, at the position that was told last."""


class Control(msgspec.Struct, frozen=True, gc=False):
    """A control row: a change of a stream, at its place in the commit order.

    `epoch` is the epoch that was ended or trimmed, or the new one after a clear. `oldest` is the seq of the
    first event that is kept, or the seq that the next event will have if none is. `tag` belongs to the newest event,
    after a loss.
    """

    stream: str
    epoch: str
    position: int
    change: Change
    oldest: int = 1
    tag: int = 0


Record = Event | Control


class Gap(msgspec.Struct, frozen=True, gc=False):
    """Events from `first` to `last`, both included, that are not kept any more."""

    first: int
    last: int


class Page(msgspec.Struct, frozen=True, gc=False):
    """A stretch of a stream, all of one read transaction.

    The reader that got it stands at `Cursor(epoch, last, tag)` afterwards. `first` and `last` are the offsets
    after which and up to which the page reaches: `events` has every event with `first < offset <= last`.
    `head` is the last offset there was (within `until`), `oldest` the first one kept. `over`: the run has ended
    and this page reaches its end. `reset`: why reading began at the start of the current run instead of the
    cursor that was given. `gap`: what was missing between the cursor and the page.
    """

    epoch: str
    events: list[Event]
    first: int
    last: int
    tag: int
    head: int
    oldest: int
    over: bool = False
    reset: str | None = None
    gap: Gap | None = None

    @property
    def cursor(self) -> Cursor:
        """The place right after this page."""
        return Cursor(self.epoch, self.last, self.tag)

    @property
    def complete(self) -> bool:
        """Nothing newer was there at the time of reading."""
        return self.last >= self.head
