"""Corners where a reader could be forgotten, or be given what is gone."""

from __future__ import annotations

import asyncio
import logging

import pytest
from tests.live.stage import STREAM, Stage, on_stage
from tests.live.test_bus import COUNT
from tests.live.test_catching_up import cursor_at
from tests.live.test_delivery import CostlyWatcher
from tests.support.virtual import run_virtual

from runcast.config import Settings
from runcast.core.event import NewEvent
from runcast.core.filters import EventSubscriptionFilter
from runcast.core.scope import Scope
from runcast.errors import Busy, LogClosed
from runcast.kinds.base import Kind, Publish
from runcast.live.bus import Bus
from runcast.live.hub import Limits
from runcast.log.memory import MemoryLog


@pytest.mark.parametrize("interval_s", [0.0, 1.0])
def test_a_reader_ahead_of_its_cohort_is_served_without_another_publish(interval_s: float) -> None:
    """Its cursor is of an event that is only pending for the members."""

    async def test(stage: Stage) -> None:
        await stage.watch(watcher=CostlyWatcher(), interval_s=interval_s, batch_size=5)
        stage.publish(1)
        ids = stage.publish(20)
        ahead = await stage.watch(await cursor_at(stage, 11), interval_s=interval_s, batch_size=5)
        await asyncio.sleep(20)
        assert ahead.ids == ids[10:]

    on_stage(test)


def test_from_the_start_means_the_current_run_also_when_an_old_page_is_cached() -> None:
    async def test(stage: Stage) -> None:
        stage.publish(600)
        slow = await stage.watch("start", limit_bytes=10)
        slow.stop()
        await stage.watch("start")
        stage.log.end(STREAM)
        stage.announce()
        ids = stage.publish(3)
        late = await stage.watch("start")
        await asyncio.sleep(1)
        assert late.ids == ids

    on_stage(test)


def test_a_paced_reader_with_a_filter_keeps_up() -> None:
    """One event in ten passes: a page of all must not cost an interval."""

    async def test(stage: Stage) -> None:
        wanted = EventSubscriptionFilter(event_types=["error"])
        ids = [stage.publish(9) and stage.publish(1, type="error")[0] for _ in range(200)]
        watcher = await stage.watch("start", wanted=wanted, batch_size=50, interval_s=1.0)
        await asyncio.sleep(10)
        assert watcher.ids == ids

    on_stage(test)


def test_a_firehose_gives_nothing_of_a_cleared_or_trimmed_stream() -> None:
    async def test(stage: Stage) -> None:
        firehose = Scope.firehose("session")
        await stage.watch(scope=firehose)
        stage.publish(300, stream="session:a")
        kept = stage.publish(5, stream="session:b")
        await stage.watch("start", scope=firehose)
        stage.log.clear("session:a")
        stage.log.trim("session:b", keep=2)
        stage.announce()
        start = str(stage.log.read_all("session", None, limit=1).cursor).split("-")[0] + "-0-0000"
        for after in ("start", start):
            late = await stage.watch(after, scope=firehose)
            await asyncio.sleep(1)
            assert late.ids == kept[3:]

    on_stage(test)


def test_two_pages_of_one_place_are_accounted_once() -> None:
    async def test(stage: Stage) -> None:
        for _ in range(40):
            stage.publish(256)
            both = EventSubscriptionFilter(), EventSubscriptionFilter(event_types=["a"])
            await asyncio.gather(*(stage.watch("start", wanted=one) for one in both for _ in range(3)))
        pages = stage.hub._catch_up._pages
        assert pages._bytes == sum(prepared.size_bytes for prepared in pages._kept.values())

    on_stage(test)


def test_a_client_that_takes_nothing_of_a_quiet_stream_is_closed_too() -> None:
    async def test(stage: Stage) -> None:
        watcher = await stage.watch(limit_bytes=1_000_000)
        watcher.stop()
        stage.publish(5)
        await asyncio.sleep(70)
        assert watcher.closed_with is not None
        assert watcher.closed_with[0] == 1013

    on_stage(test, Limits(stalled_after_s=60))


def test_a_cohort_that_cannot_be_told_is_closed_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def test(stage: Stage) -> None:
        picky = await stage.watch(wanted=EventSubscriptionFilter(statuses=["ok"]))
        plain = await stage.watch()
        stage.log.append([NewEvent(STREAM, "a", b"no JSON", 0, id="odd")])
        stage.announce()
        assert picky.closed_with == (1011, "internal error")
        assert plain.ids == ["odd"]
        assert plain.closed_with is None

    with caplog.at_level(logging.CRITICAL, "runcast.live"):
        on_stage(test)


def test_a_fold_is_of_the_current_run() -> None:
    async def play() -> None:
        async with Bus(MemoryLog()) as bus:
            for _ in range(100):
                await bus.publish("job:x", "old")
            await bus.fold("job:x", COUNT)
            await bus.end("job:x")
            await bus.publish("job:x", "new")
            assert (await bus.fold("job:x", COUNT)).types == ["new"]

    run_virtual(play())


def test_a_trim_loses_nothing_of_the_folds_of_its_kind() -> None:
    async def play() -> None:
        async with Bus(MemoryLog(), [Kind(name="job", folds={"count": COUNT})]) as bus:
            for _ in range(20):
                await bus.publish("job:x", "step")
            await bus.trim("job:x", keep=3)
            await bus.publish("job:x", "step")
            assert (await bus.fold("job:x", COUNT)).events == 21

    run_virtual(play())


def test_an_iterator_ends_with_the_bus_and_closing_twice_is_harmless() -> None:
    async def play() -> None:
        bus = Bus(MemoryLog())

        async def read() -> None:
            async for _ in bus.subscribe("job:x"):
                pass

        reading = asyncio.ensure_future(read())
        await asyncio.sleep(1)
        await bus.close()
        await bus.close()
        with pytest.raises(LogClosed):
            await reading

    run_virtual(play())


def test_a_janitor_that_fails_does_not_end_live_delivery(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryLog):
        def sweep(self, *, idle_since: int, limit: int = 1_000) -> int:
            raise ZeroDivisionError

    async def play() -> None:
        async with Bus(Broken(), settings=Settings(sweep_interval_s=1)) as bus:
            await asyncio.sleep(10)
            await bus.publish("job:x", "step")
            async for event in bus.subscribe("job:x"):
                assert event.seq == 1
                break

    with caplog.at_level(logging.CRITICAL, "runcast.live"):
        run_virtual(play())


def test_a_loop_that_is_behind_refuses_more_instead_of_holding_it_all() -> None:
    async def play() -> None:
        async with Bus(MemoryLog(), settings=Settings(append_queue_bytes=10_000)) as bus:
            publish = [Publish(stream="job:x", type="step", data={"x": "y" * 6_000})]
            bus.publish_soon(publish)
            bus.publish_soon(publish)
            with pytest.raises(Busy, match="behind"):
                bus.publish_soon(publish)
            await asyncio.sleep(0)
            await bus.publish("job:x", "step")

    run_virtual(play())
