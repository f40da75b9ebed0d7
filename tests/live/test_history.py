"""Reading history from anywhere: backwards in pages, and from a time on, on both logs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import NOW_US, PURE

from runcast.core.event import MICROSECONDS, Cursor, Edge, Event, NewEvent, parse_cursor
from runcast.core.page import PAGE_MAX_BYTES
from runcast.core.scope import Scope
from runcast.live.bus import Bus
from runcast.live.history import MAX_READS, History, Predicate, cursor_at, page_after, page_before
from runcast.log.base import EventLog
from runcast.log.memory import MemoryLog
from runcast.log.sqlite import SqliteLog

SESSION = Scope.of_stream("session:a")
SESSIONS = Scope.firehose("session")
ALL = Scope.firehose()


@pytest.fixture(params=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    log: EventLog = MemoryLog() if request.param == "memory" else SqliteLog(tmp_path / "log.db")
    yield log
    log.close()


def with_bus(log: EventLog, test: Callable[[Bus], Awaitable[None]]) -> None:
    async def play() -> None:
        async with Bus(log) as bus:
            await test(bus)

    asyncio.run(play())


def new(stream: str = "session:a", *, at_s: float = 0, size: int = 0, type: str = "note") -> NewEvent:  # noqa: A002
    data = b'{"x":"%s"}' % (b"x" * size)
    return NewEvent(stream, type, data, NOW_US + round(at_s * MICROSECONDS), edge=Edge.NONE)


def fill(log: EventLog, count: int, stream: str = "session:a") -> None:
    for first in range(0, count, 1_000):
        log.append([new(stream, at_s=number) for number in range(first, min(first + 1_000, count))])


async def forwards(bus: Bus, scope: Scope, passes: Predicate | None = None) -> list[Event]:
    """All that is there, read forwards."""
    pages = [await page_after(bus, scope, None, 256, passes)]
    while not pages[-1].complete:
        pages.append(await page_after(bus, scope, pages[-1].cursor, 256, passes))
    return [event for page in pages for event in page.events]


async def backwards(
    bus: Bus, scope: Scope, limit: int = 256, passes: Predicate | None = None
) -> tuple[list[Event], list[History]]:
    """All that is there, read backwards, and the pages in the order of reading."""
    pages = [await page_before(bus, scope, None, limit, passes)]
    while pages[-1].before is not None:
        pages.append(await page_before(bus, scope, parse_cursor(pages[-1].before), limit, passes))
    return [event for page in reversed(pages) for event in page.events], pages


def test_the_newest_page_and_the_ones_before_it(log: EventLog) -> None:
    fill(log, 25)

    async def test(bus: Bus) -> None:
        newest = await page_before(bus, SESSION, None, 10)
        assert [event.seq for event in newest.events] == list(range(16, 26))
        assert (newest.complete, newest.head, newest.cursor) == (
            True,
            25,
            (await bus.info("session:a")).cursor,
        )
        assert newest.before == str(SESSION.cursor(newest.events[0], bus.log_epoch()))
        older = await page_before(bus, SESSION, parse_cursor(newest.before or ""), 10)
        assert [event.seq for event in older.events] == list(range(6, 16))
        assert not older.complete
        again = await page_after(bus, SESSION, older.cursor, 10)
        assert again.events == newest.events
        oldest = await page_before(bus, SESSION, parse_cursor(older.before or ""), 10)
        assert [event.seq for event in oldest.events] == list(range(1, 6))
        assert (oldest.before, oldest.gap, oldest.reset) == (None, None, None)

    with_bus(log, test)


def test_a_page_forwards_says_where_to_page_back_from(log: EventLog) -> None:
    fill(log, 20)

    async def test(bus: Bus) -> None:
        for scope in (SESSION, SESSIONS, ALL):
            first = await page_after(bus, scope, None, 8)
            assert first.before is None
            second = await page_after(bus, scope, first.cursor, 8)
            back = await page_before(bus, scope, parse_cursor(second.before or ""), 8)
            assert back.events == first.events
            last = await page_after(bus, scope, (await bus.place(scope)).head, 8)
            assert (last.events, last.before) == ([], "now")

    with_bus(log, test)


def test_nothing_there(log: EventLog) -> None:
    async def test(bus: Bus) -> None:
        for scope in (SESSION, SESSIONS, ALL):
            page = await page_before(bus, scope)
            assert (page.events, page.before, page.complete) == ([], None, True)
            assert await cursor_at(bus, scope, NOW_US) in {None, (await bus.place(scope)).head}
        assert (await page_before(bus, SESSION)).epoch == ""
        await bus.call(log.append, [new()])
        await bus.clear("session:a")
        page = await page_before(bus, SESSION)
        assert (page.events, page.before, page.complete, page.epoch != "") == ([], None, True, True)

    with_bus(log, test)


def test_back_over_what_is_not_kept(log: EventLog) -> None:
    fill(log, 30)

    async def test(bus: Bus) -> None:
        (before_trim,) = (
            await page_after(bus, SESSION, Cursor((await bus.info("session:a")).epoch, 4, -1), 1)
        ).events
        await bus.trim("session:a", keep=12)
        events, pages = await backwards(bus, SESSION, 5)
        assert [event.seq for event in events] == list(range(19, 31))
        assert [page.gap is None for page in pages] == [True, True, False]
        assert (pages[-1].gap and (pages[-1].gap.first, pages[-1].gap.last)) == (1, 18)
        gone = await page_before(bus, SESSION, SESSION.cursor(before_trim, bus.log_epoch()))
        assert (gone.events, gone.before, gone.reset) == ([], None, None)
        events, _ = await backwards(bus, SESSIONS, 5)
        assert [event.seq for event in events] == list(range(19, 31))

    with_bus(log, test)


def test_a_cursor_that_fits_nothing_gives_the_newest_page_and_says_so(log: EventLog) -> None:
    fill(log, 10)

    async def test(bus: Bus) -> None:
        cursor = (await bus.info("session:a")).cursor
        ahead = await page_before(bus, SESSION, Cursor(cursor.epoch, 99, 0), 3)
        assert (ahead.reset or "").startswith("before:")
        await bus.clear("session:a")
        await bus.call(log.append, [new(), new()])
        page = await page_before(bus, SESSION, cursor, 3)
        assert (page.reset or "").startswith("before:")
        assert [event.seq for event in page.events] == [1, 2]

    with_bus(log, test)


def test_back_within_an_earlier_run_that_is_kept(log: EventLog) -> None:
    fill(log, 10)

    async def test(bus: Bus) -> None:
        cursor = (await bus.info("session:a")).cursor
        await bus.end("session:a")
        ended = await page_before(bus, SESSION, None, 3)
        assert ended.over
        await bus.call(log.append, [new(), new()])
        page = await page_before(bus, SESSION, cursor, 3)
        assert (page.epoch, [event.seq for event in page.events]) == (cursor.epoch, [7, 8, 9])
        assert [event.seq for event in (await backwards(bus, SESSION, 3))[0]] == [1, 2]
        assert len((await backwards(bus, SESSIONS, 3))[0]) == 12

    with_bus(log, test)


def test_large_events_make_small_pages(log: EventLog) -> None:
    log.append([new(size=60_000 if number % 3 else 200_000) for number in range(40)])

    async def test(bus: Bus) -> None:
        for scope in (SESSION, SESSIONS):
            events, pages = await backwards(bus, scope, 30)
            assert [event.seq for event in events] == list(range(1, 41))
            for page in pages:
                assert 0 < sum(len(event.data) for event in page.events) <= 2 * PAGE_MAX_BYTES

    with_bus(log, test)


def test_a_filter_looks_further_back_but_not_for_ever(log: EventLog) -> None:
    rare = {5, 3_000, 19_999}
    for first in range(0, 20_000, 1_000):
        log.append([new(type="rare" if n in rare else "note") for n in range(first + 1, first + 1_001)])

    async def test(bus: Bus) -> None:
        for scope in (SESSION, SESSIONS):
            newest = await page_before(bus, scope, None, 1, lambda event: event.type == "rare")
            assert [event.seq for event in newest.events] == [19_999]
            events, pages = await backwards(bus, scope, 10, lambda event: event.type == "rare")
            assert [event.seq for event in events] == sorted(rare)
            assert 20_000 / (256 * MAX_READS) <= len(pages) <= 8
            assert all(page.before for page in pages[:-1])

    with_bus(log, test)


def test_a_rare_kind_is_found_in_a_window_that_widens(log: EventLog) -> None:
    log.append([new("chat:x")])
    fill(log, 15_000)
    log.append([new("chat:x"), new("session:b")])

    async def test(bus: Bus) -> None:
        events, pages = await backwards(bus, Scope.firehose("chat"), 5)
        assert [event.stream for event in events] == ["chat:x", "chat:x"]
        assert len(pages) == 1

    with_bus(log, test)


def test_the_place_of_a_time(log: EventLog) -> None:
    fill(log, 1_000)  # one each second

    async def test(bus: Bus) -> None:
        for scope in (SESSION, SESSIONS, ALL):
            for at_s, first in ((-5, 0), (0, 0), (0.5, 1), (1, 1), (432.1, 433), (999, 999)):
                place = await cursor_at(bus, scope, NOW_US + round(at_s * MICROSECONDS))
                page = await page_after(bus, scope, place, 3)
                assert page.events[0].time == NOW_US + first * MICROSECONDS
                assert (page.reset, page.gap) == (None, None)
                assert (page.before is None) == (first == 0)
            assert await cursor_at(bus, scope, NOW_US + 10**10) == (await bus.place(scope)).head
        await bus.trim("session:a", keep=10)
        page = await page_after(bus, SESSION, await cursor_at(bus, SESSION, NOW_US), 3)
        assert page.events[0].seq == 991
        assert page.gap is not None

    with_bus(log, test)


def test_a_long_history_costs_no_more_than_a_short_one(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db")
    fill(log, 30_000)
    reads = 0
    page = log.read

    def counted(*args: object, **kwargs: object) -> object:
        nonlocal reads
        reads += 1
        return page(*args, **kwargs)  # pyright: ignore[reportArgumentType]

    log.read = counted  # pyright: ignore[reportAttributeAccessIssue]

    async def test(bus: Bus) -> None:
        nonlocal reads
        await page_before(bus, SESSION, None, 256)
        assert reads == 1
        reads = 0
        await cursor_at(bus, SESSION, NOW_US + 12_345 * MICROSECONDS)
        assert reads <= 16

    with_bus(log, test)


@PURE
@given(st.integers(), st.integers(1, 60), st.booleans())
def test_backwards_is_what_forwards_is(seed: int, limit: int, filtered: bool) -> None:
    random, log = Random(seed), MemoryLog()
    streams = ["session:a", "session:b", "chat:x"]
    for _ in range(random.randint(1, 40)):
        stream = random.choice(streams)
        log.append([new(stream, type=random.choice("abc")) for _ in range(random.randint(1, 30))])
        change = random.choice([*[None] * 8, log.clear, log.end, lambda name: log.trim(name, keep=7)])
        if change is not None:
            change(stream)

    async def test(bus: Bus) -> None:
        passes = (lambda event: event.type == "a") if filtered else None
        for scope in (SESSION, SESSIONS, ALL, Scope.firehose("chat")):
            if scope.stream and not (await bus.info(scope.stream)).epoch:
                continue
            events, pages = await backwards(bus, scope, limit, passes)
            assert events == await forwards(bus, scope, passes)
            assert all(len(page.events) <= limit for page in pages)
            assert pages[0].complete
            for page in pages:
                follow = await page_after(bus, scope, page.cursor, 1)
                assert follow.reset is None

    with_bus(log, test)


@PURE
@given(st.lists(st.integers(0, 50), max_size=60), st.integers(-1, 51))
def test_a_time_in_disorder_leads_to_a_place_between_earlier_and_not_earlier(
    times: list[int], at: int
) -> None:
    log = MemoryLog()
    log.append([new(at_s=time) for time in times])

    async def test(bus: Bus) -> None:
        place = await cursor_at(bus, SESSION, NOW_US + at * MICROSECONDS)
        index = place.offset if place else 0
        assert index == 0 or times[index - 1] < at
        assert index == len(times) or times[index] >= at

    with_bus(log, test)
