"""An event that was told, that Redis lost, and that its publisher sent again: whoever heard it hears it no second time."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.redis_server import RedisServer
from tests.support.watcher import PlainCodec, PlainFraming, Watcher

from runcast.core.filters import EVERYTHING
from runcast.core.scope import Scope
from runcast.live.bus import Bus
from runcast.live.cohort import Wish
from runcast.log.redis import RedisLog

pytestmark = pytest.mark.needs("redis-server")

STREAM = "session:a"


async def test_a_reader_of_its_stream_hears_it_once() -> None:
    with RedisServer() as server:
        bus = Bus(RedisLog(server.url, wait_s=20, timeout_s=2))
        bus.start()
        watcher = Watcher(limit_bytes=10_000_000)
        watcher.connection = bus.hub.connect(watcher, lambda _: None)
        await bus.hub.subscribe(
            watcher.connection,
            Scope.of_stream(STREAM),
            Wish(PlainCodec(), PlainFraming(), EVERYTHING, 50),
            "start",
        )
        await bus.publish(STREAM, "note", {}, id="kept")
        server.client.save()
        await bus.publish(STREAM, "note", {}, id="lost")
        await heard(watcher, "lost")
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await bus.publish(STREAM, "note", {}, id="lost")
        await bus.publish(STREAM, "note", {}, id="next")
        await heard(watcher, "next")
        assert watcher.ids == ["kept", "lost", "next"]
        await bus.close()


async def heard(watcher: Watcher, event_id: str) -> None:
    async with asyncio.timeout(20):
        while event_id not in watcher.ids:
            await asyncio.sleep(0.01)
