"""Readers that want no more after a certain event, such as a workflow's watchers when it is complete."""

from __future__ import annotations

import asyncio

from tests.live.stage import Stage, on_stage
from tests.support.watcher import Watcher

from runcast.core.filters import EventSubscriptionFilter

LAST = ("done",)


def test_a_live_reader_gets_the_last_event_and_its_end_while_others_go_on() -> None:
    async def test(stage: Stage) -> None:
        ending, going_on = await stage.watch(ends_with=LAST), await stage.watch()
        ids = stage.publish(3) + stage.publish(type="done") + stage.publish(2)
        await asyncio.sleep(1)
        assert ending.ids == ids[:4]
        assert ending.items[-1][0] == "end"
        assert ending.closed_with == (1000, "ended")
        assert going_on.ids == ids
        assert going_on.closed_with is None

    on_stage(test)


def test_a_late_reader_gets_everything_and_its_end() -> None:
    async def test(stage: Stage) -> None:
        ids = stage.publish(700) + stage.publish(type="done")
        late = await stage.watch("start", ends_with=LAST)
        await asyncio.sleep(1)
        assert late.ids == ids
        assert late.closed_with == (1000, "ended")

    on_stage(test)


def test_a_reader_that_joins_by_the_ring_finds_its_end_there() -> None:
    async def test(stage: Stage) -> None:
        keeper = await stage.watch()  # its topic has a ring
        ids = stage.publish(10)
        slow = await stage.watch("start", ends_with=LAST, watcher=Watcher(limit_bytes=50), limit_bytes=50)
        slow.stop()
        ids += stage.publish(20) + stage.publish(type="done")
        await asyncio.sleep(1)
        slow.go_on()
        await asyncio.sleep(1)
        assert slow.ids == keeper.ids == ids
        assert slow.closed_with == (1000, "ended")

    on_stage(test)


def test_the_end_comes_also_if_the_filter_keeps_the_last_event_back() -> None:
    async def test(stage: Stage) -> None:
        wanted = EventSubscriptionFilter(event_types=["b"])
        live = await stage.watch(wanted=wanted, ends_with=LAST)
        ids = stage.publish(type="b")
        stage.publish(type="done")
        late = await stage.watch("start", wanted=wanted, ends_with=LAST)
        await asyncio.sleep(1)
        assert live.ids == late.ids == ids
        assert live.closed_with == late.closed_with == (1000, "ended")

    on_stage(test)


def test_an_end_within_one_commit_leaves_out_nothing_that_came_before_it() -> None:
    async def test(stage: Stage) -> None:
        live = await stage.watch(ends_with=LAST)
        ids = stage.commit(5) + stage.commit(type="done")
        stage.announce()
        await asyncio.sleep(1)
        assert live.ids == ids
        assert live.closed_with == (1000, "ended")

    on_stage(test)
