"""History from anywhere: the page before a place, and the place that a time leads to.

Logs are read forwards only. As the offsets of a stream count its events, the page before one is a page after
another that can be computed; in a firehose, whose offsets have holes, it is looked for in a window that widens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from runcast.core.event import ANY_TAG, Cursor, Event
from runcast.core.page import PAGE_MAX_BYTES, PAGE_MAX_EVENTS, Gap, Page
from runcast.core.scope import Scope
from runcast.live.hub import NOW

if TYPE_CHECKING:
    from runcast.live.bus import Bus

MAX_READS = 32
"""So often the log is read for one page of history, however little of it there is, or passes."""
WINDOW_MAX = 10_000
"""How many positions of a firehose are looked through by one read."""

Predicate = Callable[[Event], bool]


class History(msgspec.Struct, frozen=True, kw_only=True):
    """A page of history: `events`, oldest first, and where to go on in both directions.

    `cursor` is the place after all that was looked at. `before` is what to page further back from: the cursor of an
    event (what comes before that one was not looked at), `now`, or None where nothing is kept before. `head` and
    `over` are as in `Page`. `gap`: what is not kept any more right before this page. `reset`: why this
    page is the newest, or the first, instead of the one that was asked for.
    """

    epoch: str
    events: list[Event]
    cursor: Cursor
    before: str | None
    head: int
    over: bool = False
    gap: Gap | None = None
    reset: str | None = None

    @property
    def complete(self) -> bool:
        """Nothing newer was there at the time of reading."""
        return self.cursor.offset >= self.head


async def page_after(
    bus: Bus,
    scope: Scope,
    cursor: Cursor | None = None,
    limit: int = PAGE_MAX_EVENTS,
    passes: Predicate | None = None,
) -> History:
    """Those of the next `limit` events after a place that pass; None: of the first ones. Cancellation-safe.

    Raises:
        LogError: the log could not be read.
    """
    page = await bus.page(scope, cursor, limit)
    return History(
        epoch=page.epoch,
        events=page.events if passes is None else list(filter(passes, page.events)),
        cursor=page.cursor,
        before=_before_page(bus, scope, page, from_start=cursor is None),
        head=page.head,
        over=page.over,
        gap=page.gap,
        reset=page.reset,
    )


async def page_before(
    bus: Bus,
    scope: Scope,
    cursor: Cursor | None = None,
    limit: int = PAGE_MAX_EVENTS,
    passes: Predicate | None = None,
) -> History:
    """The last `limit` events before the event that `cursor` names; None: the newest ones.

    With `passes`, only those that pass count, and it looks further back until it has them. It may stop before that,
    having read so often or so many bytes as one page may take: what matters is `before`, which says where
    to go on. Cancellation-safe.

    Raises:
        LogError: the log could not be read.
    """
    search = _Search(bus, scope, await _end(bus, scope, cursor), limit, passes)
    await search.run()
    return search.result()


async def cursor_at(bus: Bus, scope: Scope, time_us: int) -> Cursor | None:
    """The place from which to read on for what happened at `time_us` (microseconds) and later; None: the start.

    The event before the place, if there is one, is earlier than `time_us`, and the event after it is not. Events
    have the times that their publishers gave: where these do not ascend there are several such places, and
    this is one of them. In a firehose, events of all kinds count. Takes about 20 reads for a million
    events. Cancellation-safe.

    Raises:
        LogError: the log could not be read.
    """
    scope = scope if scope.stream else Scope.firehose()
    end = await _newest(bus, scope)
    low, high = end.oldest, end.last + 1  # the offset that is wanted lies in low..high
    while low < high:
        middle = (low + high) // 2
        found = await _first_from(bus, scope, end.epoch, middle, high - 1)
        if found is None or found.time >= time_us:
            high = middle
        else:
            low = scope.offset(found) + 1
    if low > end.last:
        return end.cursor
    return Cursor(end.epoch, low - 1, ANY_TAG) if low > end.oldest else None


def _before_page(bus: Bus, scope: Scope, page: Page, *, from_start: bool) -> str | None:
    if (scope.stream and page.first < page.oldest) or (from_start and page.first == 0):
        return None
    if page.events:
        return str(scope.cursor(page.events[0], bus.log_epoch()))
    return NOW if page.complete else str(Cursor(page.epoch, page.last + 1))


class _End(msgspec.Struct, frozen=True, kw_only=True):
    """Where looking back begins: at the offset `last`; nothing is kept before `oldest`.

    `cursor` is the place there, if its tag is known.
    """

    epoch: str
    last: int
    oldest: int
    head: int
    cursor: Cursor | None = None
    over: bool = False
    reset: str | None = None


async def _end(bus: Bus, scope: Scope, cursor: Cursor | None) -> _End:
    if cursor is None or not cursor.epoch:
        return await _newest(bus, scope)
    page = await bus.page(scope, cursor, 1)
    if page.reset is not None:
        return msgspec.structs.replace(await _newest(bus, scope), reset=_in_words_of_before(page.reset))
    oldest = page.oldest if scope.stream else 1
    return _End(epoch=page.epoch, last=max(cursor.offset - 1, 0), oldest=oldest, head=page.head)


async def _newest(bus: Bus, scope: Scope) -> _End:
    if not scope.stream:
        head = await bus.head()
        return _End(epoch=head.epoch, last=head.offset, oldest=1, head=head.offset, cursor=head)
    info = await bus.info(scope.stream)
    return _End(
        epoch=info.epoch,
        last=info.head,
        oldest=info.oldest,
        head=info.head,
        cursor=info.cursor,
        over=info.ended,
    )


def _in_words_of_before(reset: str) -> str:
    return "before:" + reset.removeprefix("after:")


class _Search:
    """Looks back from a place, stretch by stretch, until enough was found or read."""

    def __init__(self, bus: Bus, scope: Scope, end: _End, limit: int, passes: Predicate | None) -> None:
        self._bus = bus
        self._scope = scope
        self._end = end
        self._limit = limit
        self._passes = passes
        self._width = limit if passes is None else PAGE_MAX_EVENTS
        self._seen = end.last + 1
        """All from here on was looked at."""
        self._first: Event | None = None
        """The event there, if one is."""
        self._cursor = end.cursor
        self._found: list[Event] = []
        self._bytes = 0

    async def run(self) -> None:
        """Read until there is enough."""
        for _ in range(MAX_READS):
            if self._is_done():
                return
            low = max(self._seen - self._width, self._end.oldest)
            page = await self._read(low, self._seen - 1)
            if page.reset is not None or page.gap is not None:
                return  # cleared or trimmed meanwhile: the next page says so
            if page.last >= self._seen - 1:
                self._take(page, low)
            else:  # too much for one page
                self._width = max(1, min(page.last - low + 1, self._width // 2))

    def result(self) -> History:
        """What was found."""
        end, events = self._end, self._found[-self._limit :]
        is_cut = len(events) < len(self._found)
        first, offset = (events[0], 0) if is_cut else (self._first, self._seen)
        at_start = not is_cut and self._is_at_start()
        return History(
            epoch=end.epoch,
            events=events,
            cursor=self._cursor or Cursor(end.epoch, end.last),
            before=None if at_start else self._place(first, offset),
            head=end.head,
            over=end.over,
            gap=Gap(1, end.oldest - 1) if at_start and end.oldest > 1 else None,
            reset=end.reset,
        )

    def _is_done(self) -> bool:
        return self._is_at_start() or len(self._found) >= self._limit or self._bytes >= PAGE_MAX_BYTES

    def _is_at_start(self) -> bool:
        return self._seen <= self._end.oldest or not self._end.epoch

    def _place(self, event: Event | None, offset: int) -> str:
        """The cursor of `event`; without one, of an offset of a firehose, where a tag of 0 is not compared."""
        known = event and self._scope.cursor(event, self._bus.log_epoch())
        return str(known or Cursor(self._end.epoch, offset))

    async def _read(self, low: int, high: int) -> Page:
        after = Cursor(self._end.epoch, low - 1, ANY_TAG)
        if self._scope.stream:
            return await self._bus.page(self._scope, after, high - low + 1)
        return await self._bus.page(self._scope, after, PAGE_MAX_EVENTS, high)

    def _take(self, page: Page, low: int) -> None:
        self._cursor = self._cursor or page.cursor
        events = page.events if self._passes is None else list(filter(self._passes, page.events))
        self._found[:0] = events
        self._bytes += sum(len(event.data) for event in events)
        self._seen, self._first = low, page.events[0] if page.events and self._scope.stream else None
        if not self._scope.stream and len(page.events) < PAGE_MAX_EVENTS // 4:
            self._width = min(self._width * 4, WINDOW_MAX)


async def _first_from(bus: Bus, scope: Scope, epoch: str, low: int, high: int) -> Event | None:
    """The first event from `low` on, if there is one up to `high`."""
    place = Cursor(epoch, low - 1, ANY_TAG)
    while place.offset < high:
        page = await bus.page(scope, place, 1)
        if page.reset is not None:
            return None
        if page.events:
            event = page.events[0]
            return event if scope.offset(event) <= high else None
        place = page.cursor
    return None
