"""Snapshots that are kept in the background, and the states that a list reads from them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from runcast.config import Settings
from runcast.core.event import Event
from runcast.kinds.base import Fold, Kind, Publish
from runcast.live import keeper
from runcast.live.bus import Bus
from runcast.live.folds import advance_all, newest_states
from runcast.live.keeper import STREAMS_AT_ONCE, keep_changed, keep_snapshots
from runcast.log.base import EventLog
from runcast.log.memory import MemoryLog
from runcast.log.sqlite import SqliteLog

WAIT_S = 20.0


class Count(msgspec.Struct):
    """How many events."""

    events: int = 0


def count(state: Count, event: Event) -> None:
    del event
    state.events += 1


ALWAYS = Fold("always", 1, Count, count, keep_every=1)
SELDOM = Fold("seldom", 1, Count, count, keep_every=10)
JOB = Kind(name="job", folds={"always": ALWAYS, "seldom": SELDOM})


@pytest.fixture(params=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    log: EventLog = MemoryLog() if request.param == "memory" else SqliteLog(tmp_path / "log.db")
    yield log
    log.close()


def with_bus(log: EventLog, test: Callable[[Bus], Awaitable[None]]) -> None:
    async def play() -> None:
        async with Bus(log, [JOB], Settings(snapshot_interval_s=0.01)) as bus:
            await test(bus)

    asyncio.run(play())


async def fill(bus: Bus, stream: str, events: int) -> None:
    for first in range(0, events, 1_000):
        some = min(1_000, events - first)
        await bus.publish_all([Publish(stream=stream, type="step") for _ in range(some)])


def stored(log: EventLog, fold: Fold[Count], *streams: str) -> dict[str, tuple[int, int]]:
    """The seq of each snapshot, and how many events its state has seen."""
    found = log.load_snapshots(streams, fold.name, fold.version)
    return {stream: (one.seq, fold.load(one.state).events) for stream, one in found.items()}


def test_what_has_changed_is_kept_and_nothing_else(log: EventLog) -> None:
    async def test(bus: Bus) -> None:
        await fill(bus, "job:a", 700)
        await fill(bus, "job:b", 5)
        await fill(bus, "other:c", 5)
        seen, _ = await keep_changed(bus, "job")
        assert stored(log, ALWAYS, "job:a", "job:b", "other:c") == {"job:a": (700, 700), "job:b": (5, 5)}
        assert stored(log, SELDOM, "job:a", "job:b") == {"job:a": (700, 700)}
        await fill(bus, "job:b", 6)
        again, _ = await keep_changed(bus, "job", seen)
        assert again > seen
        assert stored(log, SELDOM, "job:a", "job:b") == {"job:a": (700, 700), "job:b": (11, 11)}
        assert await keep_changed(bus, "job", again) == (again, True)

    with_bus(log, test)


def test_many_streams_are_kept_in_portions(log: EventLog) -> None:
    names = [f"job:{number}" for number in range(2 * STREAMS_AT_ONCE + 50)]

    async def test(bus: Bus) -> None:
        await bus.publish_all([Publish(stream=name, type="step") for name in names])
        await keep_changed(bus, "job")
        assert stored(log, ALWAYS, *names) == dict.fromkeys(names, (1, 1))

    with_bus(log, test)


def test_of_very_much_news_a_part_is_kept_at_a_time(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "PAGES_AT_ONCE", 2)

    async def test(bus: Bus) -> None:
        await fill(bus, "job:a", 1_200)
        await fill(bus, "job:b", 7)
        looks = [await keep_changed(bus, "job")]
        assert stored(log, ALWAYS, "job:a", "job:b") == {"job:a": (512, 512), "job:b": (7, 7)}
        while not looks[-1].all:
            looks.append(await keep_changed(bus, "job", looks[-1].seen))
        assert [look.seen for look in looks[:-1]] == [0, 0]
        assert stored(log, SELDOM, "job:a") == stored(log, ALWAYS, "job:a") == {"job:a": (1_200, 1_200)}
        assert await keep_changed(bus, "job", looks[-1].seen) == looks[-1]

    with_bus(log, test)


def test_a_stream_that_begins_anew_is_kept_anew(log: EventLog) -> None:
    async def test(bus: Bus) -> None:
        await fill(bus, "job:a", 20)
        seen, _ = await keep_changed(bus, "job")
        await bus.clear("job:a")
        await fill(bus, "job:a", 3)
        seen, _ = await keep_changed(bus, "job", seen)
        assert stored(log, ALWAYS, "job:a") == {"job:a": (3, 3)}
        await bus.end("job:a")
        await fill(bus, "job:a", 2)
        await keep_changed(bus, "job", seen)
        assert stored(log, ALWAYS, "job:a") == {"job:a": (2, 2)}

    with_bus(log, test)


def test_a_fold_that_fails_keeps_back_its_own_stream_only(
    log: EventLog, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(state: Count, event: Event) -> None:
        if event.stream == "job:b" and event.seq > 5:
            raise ZeroDivisionError
        count(state, event)

    fragile = Fold("fragile", 1, Count, fail, keep_every=1)

    async def test(bus: Bus) -> None:
        bus.add_kind(Kind(name="job", folds={"fragile": fragile}))
        for stream in ("job:a", "job:b", "job:c"):
            await fill(bus, stream, 7)
        seen, complete = await keep_changed(bus, "job")
        assert complete, "it is not tried again before there is news"
        assert stored(log, fragile, "job:a", "job:b", "job:c") == {"job:a": (7, 7), "job:c": (7, 7)}
        assert caplog.text.count("the folds of job:b fail") == 1
        await fill(bus, "job:a", 1)
        assert (await keep_changed(bus, "job", seen)).all
        assert stored(log, fragile, "job:a") == {"job:a": (8, 8)}
        assert caplog.text.count("the folds of job:b fail") == 1

    with_bus(log, test)


def test_it_goes_on_by_itself_beside_another_of_its_kind(log: EventLog) -> None:
    async def test(bus: Bus) -> None:
        tasks = [asyncio.create_task(keep_snapshots(bus, "job")) for _ in range(2)]
        for total in (10, 20, 30):
            await fill(bus, "job:a", 10)
            async with asyncio.timeout(WAIT_S):
                while stored(log, ALWAYS, "job:a") != {"job:a": (total, total)}:
                    await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    with_bus(log, test)


def test_it_ends_with_the_log(log: EventLog) -> None:
    async def test(bus: Bus) -> None:
        task = asyncio.create_task(keep_snapshots(bus, "job"))
        await asyncio.sleep(0)
        await bus.close()
        await asyncio.wait_for(task, WAIT_S)

    with_bus(log, test)


def test_a_list_reads_a_page_more_where_there_is_news(log: EventLog) -> None:
    async def test(bus: Bus) -> None:
        await fill(bus, "job:a", 1_000)
        await fill(bus, "job:b", 10)
        await keep_changed(bus, "job")
        await fill(bus, "job:a", 300)
        await fill(bus, "job:b", 7)
        await fill(bus, "job:c", 3)
        infos = await bus.streams("job")
        assert [(s.value.events, s.behind) for s in await newest_states(bus, infos, ALWAYS, max_pages=9)] == [
            (1_256, 44),
            (17, 0),
            (3, 0),
        ]
        states = await newest_states(bus, infos, ALWAYS, max_pages=0)
        assert [(state.value.events, state.behind) for state in states] == [(1_000, 300), (10, 7), (0, 3)]
        known = await newest_states(bus, infos, ALWAYS, max_pages=0, unknown_too=True)
        assert [(state.value.events, state.behind) for state in known] == [(1_000, 300), (10, 7), (3, 0)]

    with_bus(log, test)


def test_several_folds_advance_at_one_reading(log: EventLog) -> None:
    async def test(bus: Bus) -> None:
        await fill(bus, "job:a", 300)
        await bus.fold("job:a", SELDOM)
        await fill(bus, "job:a", 400)
        always, seldom = await advance_all(bus, "job:a", [ALWAYS, SELDOM])
        assert (always.events, seldom.events) == (700, 700)
        assert stored(log, ALWAYS, "job:a") == stored(log, SELDOM, "job:a") == {"job:a": (700, 700)}

    with_bus(log, test)
