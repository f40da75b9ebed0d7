"""What a plan's stream holds, read without a loop: for Python code that just asks."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from runcast.core.event import ANY_TAG, Cursor
from runcast.errors import StreamNotFound
from runcast.feeds.plans.events import KIND, StreamEvent, from_stored, plan_stream
from runcast.log.base import EventLog

NEWEST: Final = 1_000
"""So many events are given, if nobody says how many."""
STREAMS_PAGE: Final = 1_000


def newest_events(log: EventLog, plan_id: str, limit: int = NEWEST) -> list[StreamEvent]:
    """The last `limit` events of the plan's current run, the oldest first; none if there is no such plan. Blocking.

    Raises:
        InvalidStreamName: no plan can be called so.
        LogError: the log could not be read.
    """
    stream = plan_stream(plan_id)
    info = log.info(stream)
    first = max(info.oldest - 1, info.head - limit)
    cursor = Cursor(info.epoch, first, ANY_TAG) if first > 0 else None
    events: list[StreamEvent] = []
    while len(events) < limit:
        page = log.read(stream, cursor)
        events += [from_stored(event) for event in page.events]
        cursor = page.cursor
        if page.complete or not page.events:
            break
    return events[:limit]


def clear_plans(log: EventLog, plan_id: str | None) -> None:
    """Forget the events of one plan, or with None those of all plans in this log. Idempotent. Blocking.

    Raises:
        InvalidStreamName: no plan can be called so.
        LogError: the log could not do it.
    """
    if plan_id is not None:
        _clear(log, plan_stream(plan_id))
        return
    last = ""
    while streams := log.streams(KIND, last, STREAMS_PAGE):
        for info in streams:
            _clear(log, info.stream)
        last = streams[-1].stream


def _clear(log: EventLog, stream: str) -> None:
    with suppress(StreamNotFound):  # nothing was ever published there
        log.clear(stream)
