"""Readers that are behind: exact hand-over, shared pages, slow clients, and a log that fails."""

from __future__ import annotations

import asyncio

from tests.live.stage import STREAM, Stage, on_stage
from tests.support.watcher import Watcher

from runcast.core.event import cursor_of
from runcast.core.filters import EventSubscriptionFilter
from runcast.core.scope import Scope
from runcast.errors import LogError
from runcast.live.codec import Chunk
from runcast.live.hub import Limits


async def cursor_at(stage: Stage, seq: int) -> str:
    page = stage.log.read(STREAM, None, limit=256)
    while page.last < seq:
        page = stage.log.read(STREAM, page.cursor, limit=256)
    return str(cursor_of(next(event for event in page.events if event.seq == seq)))


def test_a_late_client_gets_everything_from_the_start_and_then_what_comes() -> None:
    async def test(stage: Stage) -> None:
        ids = stage.publish(700)
        watcher = await stage.watch("start")
        ids += stage.publish(3)
        await asyncio.sleep(1)
        assert watcher.ids == ids

    on_stage(test)


def test_a_client_goes_on_exactly_after_its_cursor() -> None:
    async def test(stage: Stage) -> None:
        ids = stage.publish(500)
        watcher = await stage.watch(await cursor_at(stage, 123))
        await asyncio.sleep(1)
        assert watcher.ids == ids[123:]

    on_stage(test)


def test_events_committed_while_a_client_joins_come_once() -> None:
    async def test(stage: Stage) -> None:
        ids = stage.publish(300)
        joining = asyncio.ensure_future(stage.watch("start"))
        for _ in range(40):
            ids += stage.publish(7)
            await asyncio.sleep(0)
        watcher = await joining
        await asyncio.sleep(1)
        assert watcher.ids == ids

    on_stage(test)


def test_a_commit_that_the_hub_hears_of_late_comes_once() -> None:
    """The log has told of it when the topic was opened: the announcement adds nothing."""

    async def test(stage: Stage) -> None:
        ids = stage.commit(5)
        watcher = await stage.watch("start")
        assert watcher.ids == ids
        stage.announce()
        ids += stage.publish(1)
        await asyncio.sleep(1)
        assert watcher.ids == ids

    on_stage(test)


def test_a_cursor_that_is_ahead_of_what_was_announced_waits_for_it() -> None:
    """A publisher knows the cursor of its event before the hub has heard of it."""

    async def test(stage: Stage) -> None:
        stage.publish(2)
        stay = await stage.watch()
        unheard = stage.commit(3)
        watcher = await stage.watch(await cursor_at(stage, 5))
        stage.announce()
        ids = stage.publish(2)
        await asyncio.sleep(1)
        assert watcher.items == [["event", STREAM, i[2], *i[3:]] for i in watcher.items]
        assert watcher.ids == ids
        assert stay.ids == unheard + ids

    on_stage(test)


def test_a_cursor_of_what_is_only_pending_joins_without_a_gap() -> None:
    async def test(stage: Stage) -> None:
        first = await stage.watch(interval_s=5.0)
        stage.publish(1)
        pending = stage.publish(2)
        watcher = await stage.watch(await cursor_at(stage, 2))
        ids = stage.publish(1)
        await asyncio.sleep(20)
        assert watcher.ids == pending[1:] + ids
        assert first.ids[1:] == pending + ids

    on_stage(test)


def test_readers_at_the_same_place_share_their_pages() -> None:
    async def test(stage: Stage) -> None:
        ids = stage.publish(3_000)
        watchers = await asyncio.gather(*(stage.watch("start") for _ in range(50)))
        await asyncio.sleep(5)
        assert all(watcher.ids == ids for watcher in watchers)
        assert len(stage.pages_read) <= 3_000 // 256 + 2

    on_stage(test)


def test_readers_at_different_places_soon_share_their_pages() -> None:
    async def test(stage: Stage) -> None:
        ids = stage.publish(3_000)
        cursors = [await cursor_at(stage, seq) for seq in range(1, 101, 10)]
        watchers = await asyncio.gather(*(stage.watch(cursor) for cursor in cursors))
        await asyncio.sleep(5)
        assert [
            watcher.ids == ids[seq:] for seq, watcher in zip(range(1, 101, 10), watchers, strict=True)
        ] == [True] * 10
        assert len(stage.pages_read) <= 10 + 3_000 // 256 + 2

    on_stage(test)


def test_120_filtered_out_events_do_not_starve_a_stream() -> None:
    async def test(stage: Stage) -> None:
        stage.publish(600)
        wanted = stage.publish(1, type="error")
        errors = EventSubscriptionFilter(event_types=["error"])
        replayed = await stage.watch("start", wanted=errors)
        live = await stage.watch("now", wanted=errors)
        stage.publish(600)
        later = stage.publish(1, type="error")
        await asyncio.sleep(1)
        assert replayed.ids == wanted + later
        assert live.ids == later

    on_stage(test)


def test_a_client_that_stops_reading_leaves_the_group_and_later_reads_on() -> None:
    async def test(stage: Stage) -> None:
        quick, slow = await stage.watch(), await stage.watch(limit_bytes=500)
        slow.stop()
        ids = [event_id for _ in range(2_000) for event_id in stage.publish()]
        await asyncio.sleep(1)
        assert quick.ids == ids
        assert slow.buffered_bytes() < 2_000
        assert stage.hub.statistics().blocked == 1
        slow.go_on()
        ids += stage.publish(2)
        await asyncio.sleep(1)
        assert slow.ids == ids
        assert stage.hub.statistics().blocked == 0

    on_stage(test)


def test_a_client_that_takes_nothing_is_told_to_try_later() -> None:
    async def test(stage: Stage) -> None:
        watcher = await stage.watch(limit_bytes=10)
        watcher.stop()
        stage.publish(5)
        await asyncio.sleep(55)
        assert watcher.closed_with is None
        await asyncio.sleep(10)
        assert watcher.closed_with is not None
        assert watcher.closed_with[0] == 1013

    on_stage(test, Limits(stalled_after_s=60))


def test_a_client_that_takes_a_little_is_kept() -> None:
    async def test(stage: Stage) -> None:
        watcher = await stage.watch(limit_bytes=10, batch_size=1)
        watcher.stop()
        stage.publish(5)
        for _ in range(4):
            await asyncio.sleep(50)
            watcher._buffered.pop(0)
        assert watcher.closed_with is None

    on_stage(test, Limits(stalled_after_s=60))


def test_a_reader_waits_for_a_log_that_fails_and_then_goes_on() -> None:
    async def test(stage: Stage) -> None:
        ids = stage.publish(1_500)
        stage.failure = LogError("the disk is away")
        watcher = await stage.watch("start")
        await asyncio.sleep(5)
        assert watcher.ids == []
        stage.failure = None
        await asyncio.sleep(5)
        assert watcher.ids == ids
        assert watcher.closed_with is None

    on_stage(test)


def test_a_fault_of_ours_ends_that_client_and_no_other() -> None:
    class Broken(Watcher):
        def write(self, chunk: Chunk) -> None:
            raise ZeroDivisionError

    async def test(stage: Stage) -> None:
        ids = stage.publish(1_500)
        broken = await stage.watch("start", watcher=Broken())
        sound = await stage.watch("start")
        await asyncio.sleep(1)
        assert broken.closed_with == (1011, "internal error")
        assert sound.ids == ids

    on_stage(test)


def test_a_cleared_stream_resets_its_live_readers_and_goes_on() -> None:
    async def test(stage: Stage) -> None:
        watcher = await stage.watch()
        before = stage.publish(3)
        info = stage.log.clear(STREAM)
        stage.announce()
        after = stage.publish(2)
        await asyncio.sleep(1)
        assert watcher.items[3] == ["reset", info.epoch]
        assert watcher.ids == before + after

    on_stage(test)


def test_a_page_of_a_cleared_stream_is_not_used_again() -> None:
    async def test(stage: Stage) -> None:
        stage.publish(2_000)
        first = await stage.watch("start")
        await asyncio.sleep(1)
        assert len(first.ids) == 2_000
        cursor = await cursor_at(stage, 256)
        info = stage.log.clear(STREAM)
        stage.announce()
        late = await stage.watch(cursor)
        await asyncio.sleep(1)
        assert late.items == [["reset", info.epoch]]

    on_stage(test)


def test_an_ended_stream_ends_its_readers_live_or_late() -> None:
    async def test(stage: Stage) -> None:
        live = await stage.watch()
        ids = stage.publish(3)
        stage.log.end(STREAM)
        stage.announce()
        assert live.ids == ids
        assert live.items[-1][0] == "end"
        late = await stage.watch("start")
        await asyncio.sleep(1)
        assert late.ids == ids
        assert late.items[-1][0] == "end"
        assert late.closed_with == (1000, "ended")

    on_stage(test)


def test_a_trimmed_stream_tells_a_late_reader_what_is_missing() -> None:
    async def test(stage: Stage) -> None:
        live = await stage.watch()
        ids = stage.publish(300)
        cursor = await cursor_at(stage, 10)
        stage.log.trim(STREAM, keep=50)
        stage.announce()
        late = await stage.watch(cursor)
        ids += stage.publish(1)
        await asyncio.sleep(1)
        assert late.items[0] == ["gap", stage.log.info(STREAM).epoch, 11, 250]
        assert late.ids == ids[250:]
        assert live.ids == ids

    on_stage(test)


def test_a_subscription_that_is_cancelled_leaves_nothing_behind() -> None:
    async def test(stage: Stage) -> None:
        subscribing = asyncio.ensure_future(stage.watch())
        await asyncio.sleep(0)
        subscribing.cancel()
        await asyncio.wait([subscribing])
        assert stage.hub.topics() == []
        watcher = await stage.watch()
        assert stage.publish() == watcher.ids

    on_stage(test)


def test_a_firehose_goes_on_after_its_cursor() -> None:
    async def test(stage: Stage) -> None:
        ids = [stage.publish(1, stream=f"session:{index % 7}")[0] for index in range(3_000)]
        page = stage.log.read_all("session", None, limit=100)
        watcher = await stage.watch(str(page.cursor), scope=Scope.firehose("session"))
        ids += stage.publish(1)
        await asyncio.sleep(2)
        assert watcher.ids == ids[100:]

    on_stage(test)
