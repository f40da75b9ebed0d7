"""What a client hands out."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of events that were published: all of them are on disk.

    `duplicates` of them were there before, by their ids. `cursor` is the place after the last one. `count` is 0,
    and the rest empty, if a processor dropped them all.
    """

    stream: str
    epoch: str
    first_seq: int
    last_seq: int
    count: int
    duplicates: int
    cursor: str


class What(StrEnum):
    """What an item of a tail tells."""

    EVENT = "event"
    GAP = "gap"
    """Events are not kept any more: from `first_seq` to `last_seq`, both included."""
    RESET = "reset"
    """Forget what you have: reading goes on from the start, for the `reason` given."""
    END = "end"
    """The run is over; nothing more will come from there."""
    LOST = "lost"
    """The connection broke, for the `reason` given. It is being made anew; nothing is lost."""
    BACK = "back"
    """The connection is there again."""


class Item(msgspec.Struct, frozen=True):
    """One thing that a tail tells.

    `source` is what is watched, as it was named: a stream, `kind:*` or `*`. `value` is the native event (`stream`,
    `seq`, `id`, `type`, `time`, `cursor`, `data`), or the words of a notice. `cursor` is the place after it; a
    tail that begins there goes on right after this item.
    """

    what: What
    source: str
    value: dict[str, Any]
    cursor: str


class EventPage(msgspec.Struct, frozen=True):
    """A stretch of history, oldest first. `events` are native events, each with its `cursor`.

    `cursor` goes on after the page; `before` pages further back, None at the beginning (or when the server does not
    say). `complete`: nothing newer was there. `reset` and `gap` say what a cursor could not be given.
    """

    events: list[dict[str, Any]]
    cursor: str
    head: int = 0
    complete: bool = True
    ended: bool = False
    before: str | None = None
    reset: str | None = None
    gap: dict[str, int] | None = None
