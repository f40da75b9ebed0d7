"""The bus: publishing, processors, folds, reading as an iterator, and its beginning and end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from tests.support.virtual import run_virtual

from runcast.config import Settings
from runcast.core.event import DAY_US, Event
from runcast.core.filters import EventSubscriptionFilter
from runcast.core.scope import Scope
from runcast.errors import (
    Busy,
    InvalidCursor,
    InvalidEvent,
    InvalidStreamName,
    StreamGap,
    StreamReset,
    TooLarge,
)
from runcast.kinds.base import Fold, Kind, Publish
from runcast.live.bus import Bus
from runcast.log.memory import MemoryLog

STREAM = "job:one"


def with_bus(test: Callable[[Bus], Awaitable[None]], settings: Settings | None = None) -> None:
    async def play() -> None:
        async with Bus(
            MemoryLog(), [Kind(name="job", starts=frozenset({"go"}), terminals=frozenset({"done"}))], settings
        ) as bus:
            await test(bus)

    run_virtual(play())


class Count(msgspec.Struct):
    """How many events, and their types in order."""

    events: int = 0
    types: list[str] = []


def count(state: Count, event: Event) -> None:
    state.events += 1
    state.types.append(event.type)


COUNT = Fold("count", 1, Count, count)


def test_a_publish_is_answered_with_its_place() -> None:
    async def test(bus: Bus) -> None:
        first = await bus.publish(STREAM, "step", {"n": 1})
        second = await bus.publish(STREAM, "step")
        assert first is not None
        assert second is not None
        assert (first.seq, second.seq) == (1, 2)
        page = await bus.read(STREAM, first.cursor)
        assert [event.seq for event in page.events] == [2]

    with_bus(test)


def test_the_same_id_twice_is_one_event() -> None:
    async def test(bus: Bus) -> None:
        await bus.publish(STREAM, "step", {"n": 1}, id="x")
        again = await bus.publish(STREAM, "other", {"n": 2}, id="x")
        assert again is not None
        assert (again.seq, again.duplicate) == (1, True)
        assert (await bus.read(STREAM)).events[0].data == b'{"n":1}'

    with_bus(test)


def test_a_start_after_a_terminal_event_is_a_new_run() -> None:
    async def test(bus: Bus) -> None:
        types = ["go", "step", "done", "late", "go", "step"]
        appended = [await bus.publish(STREAM, one) for one in types]
        epochs = [one.epoch for one in appended if one]
        assert len(set(epochs[:4])) == 1
        assert len(set(epochs)) == 2
        assert [one.seq for one in appended if one] == [1, 2, 3, 4, 1, 2]

    with_bus(test)


@pytest.mark.parametrize(
    ("stream", "type_", "data", "error"),
    [
        ("nocolon", "a", {}, InvalidStreamName),
        ("job:..", "a", {}, InvalidStreamName),
        (STREAM, "", {}, InvalidEvent),
        (STREAM, "a\nb", {}, InvalidEvent),
        (STREAM, "a", {"x": "y" * 300_000}, TooLarge),
        (STREAM, "a", {"x": object()}, InvalidEvent),
        (STREAM, "a", {"x": "\ud800"}, InvalidEvent),
    ],
)
def test_what_cannot_be_stored_is_refused(
    stream: str, type_: str, data: dict[str, object], error: type
) -> None:
    async def test(bus: Bus) -> None:
        with pytest.raises(error):
            await bus.publish(stream, type_, data)
        assert (await bus.head()).offset == 0

    with_bus(test)


def test_a_batch_is_stored_as_a_whole_or_not() -> None:
    async def test(bus: Bus) -> None:
        with pytest.raises(InvalidEvent):
            await bus.publish_all([Publish(stream=STREAM, type="a"), Publish(stream=STREAM, type="")])
        with pytest.raises(TooLarge, match="the limit is 2"):
            await bus.publish_all([Publish(stream=STREAM, type="a")] * 3)
        assert not (await bus.info(STREAM)).epoch

    with_bus(test, Settings(batch_max_events=2))


def test_processors_enrich_drop_and_may_fail() -> None:
    def enrich(event: Publish) -> Publish:
        event.data["host"] = "h"
        return event

    def drop(event: Publish) -> Publish | None:
        return None if event.type == "noise" else event

    def fail(event: Publish) -> Publish:
        event.data["half"] = True
        raise ZeroDivisionError

    async def test(bus: Bus) -> None:
        for processor in (enrich, fail, drop):
            bus.processors.add(processor)
        assert await bus.publish(STREAM, "noise") is None
        await bus.publish(STREAM, "step")
        assert [event.data for event in (await bus.read(STREAM)).events] == [b'{"host":"h"}']
        assert bus.processors.dropped == 1
        assert sum(bus.processors.failures.values()) == 2

    with_bus(test)


def test_publishing_works_from_any_thread() -> None:
    async def test(bus: Bus) -> None:
        def work() -> None:
            for n in range(100):
                bus.publish_soon([Publish(stream=STREAM, type="step", data={"n": n})]).result()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        await asyncio.to_thread(lambda: [thread.join() for thread in threads])
        assert (await bus.info(STREAM)).head == 400

    with_bus(test)


def test_a_fold_goes_on_from_its_snapshot() -> None:
    async def test(bus: Bus) -> None:
        for _ in range(100):
            await bus.publish(STREAM, "step")
        assert (await bus.fold(STREAM, COUNT)).events == 100
        await bus.publish(STREAM, "step")
        reads: list[object] = []
        read = bus.log.read

        def counted(*args: object, **kwargs: object) -> object:
            reads.append(args[1])
            return read(*args, **kwargs)  # pyright: ignore[reportArgumentType]

        bus.log.read = counted  # pyright: ignore[reportAttributeAccessIssue]
        assert (await bus.fold(STREAM, COUNT)).events == 101
        assert len(reads) == 1

    with_bus(test)


def test_a_fold_of_a_cleared_stream_begins_anew() -> None:
    async def test(bus: Bus) -> None:
        for _ in range(100):
            await bus.publish(STREAM, "step")
        await bus.fold(STREAM, COUNT)
        await bus.clear(STREAM)
        await bus.publish(STREAM, "new")
        assert (await bus.fold(STREAM, COUNT)).types == ["new"]

    with_bus(test)


def test_a_fold_of_nothing_is_its_initial_state() -> None:
    async def test(bus: Bus) -> None:
        assert (await bus.fold("job:none", COUNT)).events == 0

    with_bus(test)


def test_an_iterator_gets_what_is_stored_and_what_comes_until_the_end() -> None:
    async def test(bus: Bus) -> None:
        await bus.publish(STREAM, "go")
        seen: list[str] = []

        async def read() -> None:
            seen.extend([event.type async for event in bus.subscribe(STREAM)])

        reading = asyncio.ensure_future(read())
        await asyncio.sleep(0.1)
        for _ in range(600):
            bus.publish_soon([Publish(stream=STREAM, type="step")])
        await bus.publish(STREAM, "done")
        await bus.end(STREAM)
        await reading
        assert seen == ["go", *["step"] * 600, "done"]

    with_bus(test)


def test_an_iterator_filters_and_begins_where_it_is_told() -> None:
    async def test(bus: Bus) -> None:
        errors = EventSubscriptionFilter(event_types=["error"])
        first = await bus.publish(STREAM, "error")
        assert first is not None
        await bus.publish(STREAM, "step")
        await bus.publish(STREAM, "error")
        await bus.end(STREAM)
        assert [e.seq async for e in bus.subscribe(STREAM, after=str(first.cursor), filter=errors)] == [3]
        assert [e.seq async for e in bus.subscribe(STREAM, after="now")] == []
        with pytest.raises(InvalidCursor):
            _ = [e async for e in bus.subscribe("job:other", after=str(first.cursor))]

    with_bus(test)


def test_an_iterator_says_what_it_cannot_give() -> None:
    async def test(bus: Bus) -> None:
        first = await bus.publish(STREAM, "step")
        assert first is not None
        for _ in range(9):
            await bus.publish(STREAM, "step")
        await bus.trim(STREAM, keep=3)
        with pytest.raises(StreamGap, match="2 to 7") as gap:
            _ = [e async for e in bus.subscribe(STREAM, after=str(first.cursor))]
        await bus.end(STREAM)
        assert [e.seq async for e in bus.subscribe(STREAM, after=gap.value.cursor)] == [8, 9, 10]
        await bus.clear(STREAM)
        with pytest.raises(StreamReset):
            _ = [e async for e in bus.subscribe(STREAM, after=str(first.cursor))]

    with_bus(test)


def test_a_firehose_iterator_sees_all_streams() -> None:
    async def test(bus: Bus) -> None:
        for name in ("job:a", "note:b", "job:c"):
            await bus.publish(name, "step")
        seen: list[str] = []
        async for event in bus.subscribe(Scope.firehose("job"), after="start"):
            seen.append(event.stream)
            if len(seen) == 2:
                break
        assert seen == ["job:a", "job:c"]

    with_bus(test)


def test_the_janitor_removes_what_lay_idle_for_too_long() -> None:
    now = [100 * DAY_US]

    async def play() -> None:
        log = MemoryLog(clock=lambda: now[0])
        settings = Settings(retention_days=30, sweep_interval_s=60)
        async with Bus(log, settings=settings, now_us=lambda: now[0]) as bus:
            await bus.publish("job:old", "step")
            now[0] += 31 * DAY_US
            await bus.publish("job:new", "step")
            await asyncio.sleep(61)
            await asyncio.sleep(1)
            assert [info.stream for info in await bus.streams()] == ["job:new"]

    run_virtual(play())


def test_a_clock_that_jumps_back_an_hour_changes_no_order() -> None:
    now = [10**15]

    async def play() -> None:
        async with Bus(MemoryLog(), now_us=lambda: now[0]) as bus:
            await bus.publish(STREAM, "first")
            now[0] -= 3_600 * 10**6
            await bus.publish(STREAM, "second")
            events = (await bus.read(STREAM)).events
            assert [event.type for event in events] == ["first", "second"]
            assert events[1].time < events[0].time

    run_virtual(play())


def test_work_that_is_given_to_the_bus_ends_with_it_and_harms_nobody() -> None:
    ended: list[str] = []

    async def fail() -> None:
        raise ZeroDivisionError

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("wait")

    async def play() -> None:
        async with Bus(MemoryLog()) as bus:
            await bus.spawn(fail())
            await bus.spawn(wait())
            await asyncio.sleep(1)
            assert await bus.publish(STREAM, "step")
        assert ended == ["wait"]

    run_virtual(play())


def test_a_busy_log_says_so() -> None:
    class Full(MemoryLog):
        def append_soon(self, *args: object, **kwargs: object) -> object:
            raise Busy

    async def play() -> None:
        async with Bus(Full()) as bus:  # pyright: ignore[reportArgumentType]
            with pytest.raises(Busy) as busy:
                await bus.publish(STREAM, "step")
            assert busy.value.retryable

    run_virtual(play())
