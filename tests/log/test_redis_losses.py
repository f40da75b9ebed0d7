"""What a server of Redis can lose, and what is noticed of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

import pytest
from tests.support.redis_server import RedisServer
from tests.support.server import wait_until
from tests.support.watcher import PlainCodec, PlainFraming, Watcher

from runcast.core.filters import EVERYTHING
from runcast.core.scope import Scope
from runcast.errors import LogError, LogGone, LogUnavailable, StaleToken
from runcast.live.bus import Bus
from runcast.live.cohort import Wish
from runcast.log.base import Change
from runcast.log.conformance.support import Heard, controls_of, events_of, new, numbers, read_events, several
from runcast.log.open import open_log, persistence_warning
from runcast.log.redis import RedisLog

pytestmark = pytest.mark.needs("redis-server")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def lose_what_comes_after(server: RedisServer) -> None:
    """What Redis has now is what it will come back with."""
    server.client.save()


def come_back(server: RedisServer) -> None:
    server.kill()
    server.start()


def test_a_cursor_of_an_event_that_was_lost_begins_anew(server: RedisServer) -> None:
    log = RedisLog(server.url)
    log.append(several(5))
    kept = log.read("session:a").cursor
    lose_what_comes_after(server)
    log.append(several(3, first=6))
    lost = log.read("session:a").cursor
    come_back(server)
    assert log.read("session:a", lost).reset
    log.append(several(5, first=20))
    assert log.read("session:a", lost).reset, "the same seq is another event's now"
    assert numbers(log.read("session:a", kept).events) == [20, 21, 22, 23, 24]
    log.close()


def test_no_position_is_given_twice(server: RedisServer) -> None:
    log = RedisLog(server.url)
    log.append(several(5))
    lose_what_comes_after(server)
    lost = log.append(several(5, first=6))
    come_back(server)
    again = log.append(several(5, first=11))
    assert again[0].position > lost[-1].position
    assert not log.read_all().reset
    log.close()


def test_watchers_go_on_with_what_comes_and_the_loss_is_said(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    log, heard = RedisLog(server.url), Heard()
    log.watch(heard)
    log.append(several(5))
    lose_what_comes_after(server)
    log.append(several(3, first=6))
    with caplog.at_level(logging.ERROR, "runcast.log"):
        come_back(server)
        (last,) = log.append([new(9)])
        records = heard.until(last.position)
        wait_until(lambda: "lost events" in caplog.text, "the message")
    assert numbers(events_of(records)) == [*range(1, 9), 9]
    (lost,) = controls_of(records)
    assert (lost.change, lost.stream, lost.position) == (Change.LOST, "session:a", records[7].position)
    assert records.index(lost) == 8
    assert "session:a" in caplog.text
    assert numbers(read_events(log, "session:a")) == [1, 2, 3, 4, 5, 9]
    log.close()


def test_a_lease_that_was_lost_may_not_be_used_beside_its_successor(server: RedisServer) -> None:
    log = RedisLog(server.url)
    lose_what_comes_after(server)
    mine = log.acquire("runner", "me", 60)
    come_back(server)
    yours = log.acquire("runner", "you", 60)
    assert mine
    assert yours
    log.append([new(1)], lease=yours)
    with pytest.raises(StaleToken):
        log.append([new(2)], lease=mine)
    log.close()


def test_a_log_that_was_removed_is_not_begun_anew_by_who_had_it_open(server: RedisServer) -> None:
    log = RedisLog(server.url)
    log.append(several(3))
    server.client.flushall()
    for call in (lambda: log.append([new(4)]), log.head, lambda: log.end("session:a")):
        with pytest.raises(LogGone):
            call()
    assert server.client.dbsize() == 0
    log.close()


def test_a_server_that_is_down_is_an_error_at_once_if_nobody_wants_to_wait(server: RedisServer) -> None:
    log = RedisLog(server.url, wait_s=0)
    log.append(several(3))
    server.kill()
    for call in (lambda: log.append([new(4)]), log.head, lambda: log.read("session:a")):
        with pytest.raises(LogUnavailable) as caught:
            call()
        assert caught.value.retryable
    with pytest.raises(LogUnavailable):
        log.append_soon([new(5)]).result()
    with pytest.raises(LogUnavailable):
        open_log(server.url, wait_s=0)
    server.start()
    log.close()


def test_a_full_memory_is_an_error_that_stores_nothing(server: RedisServer) -> None:
    log = RedisLog(server.url, wait_s=0)
    log.append(several(3))
    server.client.config_set("maxmemory", "1")
    with pytest.raises(LogError) as caught:
        log.append([new(4)])
    assert caught.value.code == "log_full"
    server.client.config_set("maxmemory", "0")
    assert log.append([new(4)])[0].seq == 4
    log.close()


def test_replicas_that_are_not_there_are_an_error(server: RedisServer) -> None:
    log = RedisLog(server.url, wait_s=0, replicas=1)
    with pytest.raises(LogUnavailable, match="0 of 1 replicas"):
        log.append([new(1)])
    log.close()


def test_a_server_that_keeps_nothing_is_warned_of(server: RedisServer) -> None:
    log = open_log(server.url)
    assert "keeps nothing" in persistence_warning(log)
    server.client.config_set("save", "3600 1")
    assert "snapshots only" in persistence_warning(log)
    server.client.config_set("appendonly", "yes")
    assert persistence_warning(log) == ""
    server.client.config_set("maxmemory", "1gb")
    server.client.config_set("maxmemory-policy", "allkeys-lru")
    assert "evict" in persistence_warning(log)
    log.close()
    assert persistence_warning(open_log("memory:")) == ""


async def test_subscribers_of_a_stream_that_lost_events_begin_anew(server: RedisServer) -> None:
    bus = Bus(RedisLog(server.url))
    watcher = Watcher()
    watcher.connection = bus.hub.connect(watcher, lambda _: None)
    wish = Wish(PlainCodec(), PlainFraming(), EVERYTHING, 50)
    await bus.hub.subscribe(watcher.connection, Scope.of_stream("session:a"), wish, "start")

    async def publish(*ids: str) -> None:
        for event_id in ids:
            await bus.publish("session:a", "note", id=event_id)
        await until(lambda: bool(watcher.ids) and watcher.ids[-1] == ids[-1])

    async def until(condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.01)

    await publish("a", "b", "c")
    lose_what_comes_after(server)
    await publish("d", "e")
    await asyncio.to_thread(come_back, server)
    await publish("f", "g", "h")
    kinds = [item[0] for item in watcher.items]
    assert kinds.index("reset") == 5, "told before anything that came after the loss"
    assert watcher.ids == ["a", "b", "c", "d", "e", "a", "b", "c", "f", "g", "h"]
    await bus.close()
