"""History over HTTP, the same for one stream and for a firehose: a page after a place, before one, or at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from runcast.core.event import Cursor, Event, parse_time
from runcast.core.filters import Predicate
from runcast.core.page import PAGE_MAX_EVENTS
from runcast.core.scope import Scope
from runcast.errors import InvalidCursor, InvalidEvent, InvalidInput, StreamNotFound
from runcast.live.bus import Bus
from runcast.live.history import History, cursor_at, page_after, page_before
from runcast.live.hub import NOW, START, read_cursor
from runcast.transport.access import access_of
from runcast.transport.params import Query, filter_param, integer_param, query_of, text_param

WAYS = ("after", "before", "at")
_ANY_TIME_US = 2**62  # a time in the future is the end, and no error

Encode = Callable[[Event, str], bytes]
"""An event as JSON, with its cursor in the scope that is read."""


async def events_page(
    bus: Bus, request: Request, scope: Scope, encode: Encode, fields: Mapping[str, Any] | None = None
) -> Response:
    """A page of history, always oldest first: `events`, `cursor` to go on from, `before` to page back, and more.

    Asked for by one of `after` (a cursor, `start`, `now`), `before` (the cursor of the event before which to
    look, or `now` for the newest) and `at` (a time); from the start by default. Forwards, a `filter` takes
    away from the `limit` events that are read; backwards, `limit` of those that pass are looked for.

    Raises:
        StreamNotFound: there is no such stream.
        InvalidInput: a parameter cannot be, or two contradict each other; names it.
        Unauthenticated, Forbidden: nothing of it may be seen.
        LogError: the log could not be read.
    """
    query = query_of(request)
    visible = access_of(request.scope).visible(scope, filter_param(query))
    history = await _history(bus, scope, query, visible.compile())
    if not history.epoch:
        raise StreamNotFound
    epoch = bus.log_epoch()
    events = b",".join([encode(event, str(scope.cursor(event, epoch))) for event in history.events])
    rest = msgspec.json.encode({**(fields or {}), "count": len(history.events), **_page_fields(history)})
    return Response(b'{"events":[' + events + b"]," + rest[1:], media_type="application/json")


async def place_after(bus: Bus, scope: Scope, after: str) -> Cursor | None:
    """The place that `after` names: `start` (None), `now`, or a cursor.

    Raises:
        InvalidCursor: it is none of these, or a cursor of something else.
    """
    if after == START:
        return None
    if after == NOW:
        return (await bus.place(scope)).head
    return read_cursor(scope, after)


async def _history(bus: Bus, scope: Scope, query: Query, passes: Predicate | None) -> History:
    given = [way for way in WAYS if way in query]
    if len(given) > 1:
        raise InvalidInput(f"{given[1]}: give only one of {', '.join(WAYS)}.", field=given[1])
    limit = integer_param(query, "limit", PAGE_MAX_EVENTS, 1, PAGE_MAX_EVENTS)
    if "before" in query:
        place = _place_before(scope, text_param(query, "before", ""))
        return await page_before(bus, scope, place, limit, passes)
    if "at" in query:
        cursor = await cursor_at(bus, scope, _time(text_param(query, "at", "")))
    else:
        cursor = await place_after(bus, scope, text_param(query, "after", START))
    return await page_after(bus, scope, cursor, limit, passes)


def _place_before(scope: Scope, before: str) -> Cursor | None:
    if before == NOW:
        return None
    try:
        return read_cursor(scope, before)
    except InvalidCursor as error:
        said = str(error).removeprefix("after: ").replace("or start, or now", "or now")
        raise InvalidCursor(f"before: {said}", field="before") from None


def _time(text: str) -> int:
    if "T" in text.upper():
        text = text.replace(" ", "+")  # a plus that was not escaped
    try:
        return parse_time(text, _ANY_TIME_US, "at")
    except InvalidEvent as error:
        raise InvalidInput(str(error), field="at") from None


def _page_fields(history: History) -> dict[str, Any]:
    gap = history.gap and {"first_seq": history.gap.first, "last_seq": history.gap.last}
    return {
        "cursor": str(history.cursor),
        "before": history.before,
        "head": history.head,
        "complete": history.complete,
        "ended": history.over,
        "reset": history.reset,
        "gap": gap,
    }
