"""From a commit to the clients that are live: at once, once, in batches that grow under load."""

from __future__ import annotations

import asyncio

import pytest
from tests.live.stage import STREAM, Stage, on_stage
from tests.support.watcher import Watcher

from runcast.core.event import NewEvent
from runcast.core.filters import EventSubscriptionFilter
from runcast.core.scope import Scope
from runcast.errors import Restarting, TooMany
from runcast.live.codec import MESSAGE_MAX_BYTES, Chunk
from runcast.live.hub import Limits


class CostlyWatcher(Watcher):
    """Each write to it takes some time of the loop."""

    cost_s = 0.01

    def write(self, chunk: Chunk) -> None:
        asyncio.get_running_loop()._now += self.cost_s  # pyright: ignore[reportAttributeAccessIssue]
        super().write(chunk)


def test_the_first_event_after_a_pause_goes_out_in_the_same_turn() -> None:
    async def test(stage: Stage) -> None:
        watcher = await stage.watch()
        ids = stage.publish()
        assert watcher.ids == ids

    on_stage(test)


def test_all_members_are_given_the_very_same_chunk() -> None:
    async def test(stage: Stage) -> None:
        watchers = [await stage.watch() for _ in range(3)]
        stage.publish(5)
        assert len({id(watcher.writes[0]) for watcher in watchers}) == 1
        assert [len(watcher.writes) for watcher in watchers] == [1, 1, 1]

    on_stage(test)


def test_events_that_come_while_flushing_is_dear_go_out_together() -> None:
    async def test(stage: Stage) -> None:
        watcher = await stage.watch(watcher=CostlyWatcher())
        ids = stage.publish()
        for _ in range(10):
            ids += stage.publish()  # within the pause that the first flush has earned
        assert len(watcher.writes) == 1
        await asyncio.sleep(CostlyWatcher.cost_s)
        assert watcher.ids == ids
        assert len(watcher.writes) == 2

    on_stage(test)


def test_a_flush_never_waits_longer_than_the_window() -> None:
    async def test(stage: Stage) -> None:
        watcher = CostlyWatcher()
        watcher.cost_s = 3.0
        await stage.watch(watcher=watcher)
        stage.publish()
        ids = stage.publish()
        await asyncio.sleep(0.051)
        assert watcher.ids[-1:] == ids

    on_stage(test, Limits(batch_window_s=0.05))


def test_a_message_holds_at_most_the_batch_size() -> None:
    async def test(stage: Stage) -> None:
        watcher = await stage.watch(batch_size=3)
        stage.publish(8)
        assert [len(message) for message in watcher.messages] == [3, 3, 2]
        assert len(watcher.writes) == 1

    on_stage(test)


def test_no_message_is_larger_than_the_limit_however_many_events_it_could_hold() -> None:
    """The codec of this stage tells no data, but ids: so these are long."""

    async def test(stage: Stage) -> None:
        watcher = await stage.watch(batch_size=5_000)
        ids = [f"{'i' * 190}{number:05}" for number in range(2_500)]
        stage.log.append([NewEvent(STREAM, "a", b'{"x":"' + b"y" * 1_000 + b'"}', 0, id=one) for one in ids])
        stage.announce()
        await asyncio.sleep(1)
        assert watcher.ids == ids
        assert len(watcher.messages) == 2
        assert max(len(text) for chunk in watcher.writes for text in texts(chunk)) <= MESSAGE_MAX_BYTES

    on_stage(test)


def texts(chunk: Chunk) -> tuple[str, ...]:
    assert isinstance(chunk.data, tuple)
    return chunk.data


def test_a_paced_client_gets_at_most_one_message_an_interval() -> None:
    async def test(stage: Stage) -> None:
        watcher = await stage.watch(batch_size=10, interval_s=1.0)
        ids = stage.publish(35)
        counts = []
        for _ in range(5):
            counts.append(len(watcher.messages))
            await asyncio.sleep(1.0)
        assert counts == [1, 2, 3, 4, 4]
        assert watcher.ids == ids

    on_stage(test)


def test_a_paced_client_that_asks_for_less_than_comes_reads_it_all_from_the_log() -> None:
    async def test(stage: Stage) -> None:
        watcher = await stage.watch(batch_size=100, interval_s=1.0)
        ids = stage.publish(3_000)
        await asyncio.sleep(10)
        assert len(watcher.messages) <= 11
        await asyncio.sleep(40)
        assert watcher.ids == ids

    on_stage(test)


def test_filters_of_two_clients_do_not_leak() -> None:
    async def test(stage: Stage) -> None:
        errors = await stage.watch(wanted=EventSubscriptionFilter(event_types=["error"]))
        calls = await stage.watch(wanted=EventSubscriptionFilter(event_types=["call"]))
        nothing = await stage.watch(wanted=EventSubscriptionFilter(event_types=[]))
        everything = await stage.watch()
        call, error = stage.publish(2, type="call"), stage.publish(1, type="error")
        await asyncio.sleep(1)
        assert (errors.ids, calls.ids, nothing.ids) == (error, call, [])
        assert everything.ids == call + error

    on_stage(test)


def test_a_firehose_gets_all_streams_of_its_kind_in_commit_order() -> None:
    async def test(stage: Stage) -> None:
        sessions = await stage.watch(scope=Scope.firehose("session"))
        everything = await stage.watch(scope=Scope.firehose())
        ids = [
            stage.publish(1, stream=stream)[0] for stream in ("session:a", "task:x", "session:b", "session:a")
        ]
        await asyncio.sleep(1)
        assert sessions.ids == [ids[0], ids[2], ids[3]]
        assert everything.ids == ids

    on_stage(test)


def test_a_topic_goes_with_its_last_subscriber() -> None:
    async def test(stage: Stage) -> None:
        watcher = await stage.watch()
        assert stage.hub.topic(Scope.of_stream(STREAM)) is not None
        assert watcher.connection is not None
        watcher.connection.closed()
        assert stage.hub.topics() == []
        assert stage.hub.statistics().connections == 0
        stage.publish()
        assert watcher.ids == []

    on_stage(test)


def test_deliveries_are_counted_for_the_topic_and_for_all() -> None:
    async def test(stage: Stage) -> None:
        for _ in range(4):
            await stage.watch()
        stage.publish(3)
        topic = stage.hub.topic(Scope.of_stream(STREAM))
        assert topic is not None
        assert topic.traffic.events == stage.hub.traffic.events == 12
        assert topic.traffic.bytes > 0

    on_stage(test)


def test_room_is_limited_by_process_and_by_stream() -> None:
    async def test(stage: Stage) -> None:
        other = Scope.of_stream("session:other")
        await stage.watch()
        await stage.watch()
        third = Watcher()
        with pytest.raises(TooMany, match="session:stage has its 2 clients"):
            await stage.watch(watcher=third)
        assert third.connection is not None
        third.connection.closed()
        await stage.watch(scope=other)
        with pytest.raises(TooMany, match="its 3 clients"):
            await stage.watch(scope=other)

    on_stage(test, Limits(max_connections=3, max_clients_per_scope=2))


def test_room_is_counted_exactly_when_many_come_at_once() -> None:
    async def test(stage: Stage) -> None:
        coming = await asyncio.gather(*(stage.watch() for _ in range(10)), return_exceptions=True)
        assert sum(isinstance(one, Watcher) for one in coming) == 2
        assert sum(isinstance(one, TooMany) for one in coming) == 8

    on_stage(test, Limits(max_clients_per_scope=2))


def test_what_may_wait_for_a_client_shrinks_with_their_number() -> None:
    async def test(stage: Stage) -> None:
        assert stage.hub.buffer_limit_bytes() == 100_000
        for _ in range(9):
            await stage.watch()
        assert stage.hub.buffer_limit_bytes() == 40_000

    on_stage(test, Limits(client_buffer_bytes=100_000, total_buffer_bytes=400_000))


def test_a_drain_tells_every_client_to_reconnect_spread_over_time() -> None:
    async def test(stage: Stage) -> None:
        watchers = [await stage.watch() for _ in range(100)]
        stage.hub.drain(2.0)
        with pytest.raises(Restarting):
            await stage.watch()
        await asyncio.sleep(1.0)
        told = sum(watcher.closed_with is not None for watcher in watchers)
        assert 40 <= told <= 60
        await asyncio.sleep(1.1)
        assert {watcher.closed_with and watcher.closed_with[0] for watcher in watchers} == {1012}

    on_stage(test)
