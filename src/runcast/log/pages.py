"""What every page has in common, whichever log it was read from."""

from __future__ import annotations

from collections.abc import Iterable

from runcast.core.event import Cursor, Event, id_tag
from runcast.core.resume import Start
from runcast.log.base import PAGE_MAX_BYTES, Gap, Page

NEWEST = (1 << 63) - 1
"""No position is larger."""


def fitting(events: Iterable[Event], limit: int) -> tuple[list[Event], bool]:
    """As many of `events` as go into one page, at least one; and whether some were left over."""
    page: list[Event] = []
    space = PAGE_MAX_BYTES
    for event in events:
        space -= len(event.data)
        if len(page) == limit or (page and space < 0):
            return page, True
        page.append(event)
    return page, False


def page_of(
    start: Start,
    after: Cursor | None,
    events: list[Event],
    last: tuple[int, Event | None],
    head: int,
    *,
    closed: bool,
) -> Page:
    """Put together a page that was read from `start`, where `after` led.

    `last` is the offset that the page reaches, with the event there if the page has it; `closed` says that
    nothing will come after `head` in this epoch.
    """
    offset, event = last
    if event is not None:
        tag = id_tag(event.id)
    else:
        unmoved = after is not None and start.reset is None and offset == after.offset
        tag = after.tag if after and unmoved else 0
    return Page(
        epoch=start.run.epoch,
        events=events,
        first=start.after,
        last=offset,
        tag=tag,
        head=head,
        oldest=start.run.oldest,
        over=closed and offset >= head,
        reset=start.reset,
        gap=Gap(*start.missing) if start.missing else None,
    )


def firehose_end(start: Start, events: list[Event], head: int, cut: bool) -> tuple[int, Event | None]:
    """What a page of the firehose reaches: its last event if there was no room for more, else `head`."""
    newest = events[-1] if events else None
    if newest is None:
        return max(head, start.after), None
    return (newest.position, newest) if cut or newest.position == head else (head, None)


def no_page(after: Cursor | None) -> Page:
    """The page of a stream that does not exist; a reader who had seen it is told so."""
    reset = "after: the stream was removed since this cursor was given." if after and after.epoch else None
    return Page("", [], first=0, last=0, tag=0, head=0, oldest=0, reset=reset)
