"""What breaks under a log on Redis, with publishers and subscribers on two nodes: nothing that Redis kept is lost or doubled.

Each test prints its line of the fault table: fault, events, lost, doubled, seconds until delivery was back.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from tests.support.redis_server import Proxy, RedisCluster, RedisServer, Sentinels
from tests.support.watcher import PlainCodec, PlainFraming, Watcher

from runcast.core.filters import EVERYTHING
from runcast.core.scope import Scope
from runcast.errors import LogError
from runcast.live.bus import Bus
from runcast.live.cohort import Wish
from runcast.log.redis import RedisLog

pytestmark = pytest.mark.needs("redis-server")

STREAMS = [f"session:s{number}" for number in range(4)]
BACK_S = 10.0


class Nodes:
    """Two nodes on one log, each with a publisher, subscribers to each stream, and one to the firehose."""

    def __init__(self, *logs: RedisLog) -> None:
        self.buses = [Bus(log) for log in logs]
        self.watchers: dict[str, list[Watcher]] = {}
        self.firehoses: list[Watcher] = []
        self.acknowledged: dict[str, str] = {}
        self.refused = 0
        self._go = True
        self._count = 0

    async def begin(self) -> None:
        for bus in self.buses:
            bus.start()
            for stream in STREAMS:
                watcher = await self._watch(bus, Scope.of_stream(stream))
                self.watchers.setdefault(stream, []).append(watcher)
            self.firehoses.append(await self._watch(bus, Scope.firehose("session")))

    async def _watch(self, bus: Bus, scope: Scope) -> Watcher:
        watcher = Watcher(limit_bytes=10_000_000)
        watcher.connection = bus.hub.connect(watcher, lambda _: None)
        wish = Wish(PlainCodec(), PlainFraming(), EVERYTHING, 50)
        await bus.hub.subscribe(watcher.connection, scope, wish, "start")
        return watcher

    async def publish(self, bus: Bus, node: int) -> None:
        """Publish until told to stop; an event that is not acknowledged is tried again, as publishers do."""
        number = 0
        while self._go:
            number += 1
            event_id, stream = f"n{node}-{number}", STREAMS[number % len(STREAMS)]
            while self._go:
                with suppress(LogError):
                    await bus.publish(stream, "note", {"n": number}, id=event_id)
                    self.acknowledged[event_id] = stream
                    break
                self.refused += 1
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.002)

    async def through(
        self, fault: Callable[[], Awaitable[None]], name: str, *, may_lose: bool = False
    ) -> None:
        """Publish, let the fault happen, and see that all is delivered."""
        publishers = [asyncio.create_task(self.publish(bus, node)) for node, bus in enumerate(self.buses)]
        await self.until(lambda: len(self.acknowledged) > 100)
        await fault()
        broken = time.monotonic()
        before = len(self.acknowledged)
        heard = [len(one.ids) for one in self.firehoses]
        await self.until(
            lambda: (
                len(self.acknowledged) > before + 50
                and all(len(one.ids) > had + 50 for one, had in zip(self.firehoses, heard, strict=True))
            )
        )
        back_s = time.monotonic() - broken
        self._go = False
        await asyncio.gather(*publishers)
        lost = await self.check(may_lose=may_lose)
        print(
            f"\n{name:<40} events {len(self.acknowledged):>5}  lost {lost}  doubled 0  back after {back_s:.1f} s"
        )
        assert back_s < BACK_S

    async def check(self, *, may_lose: bool) -> int:
        """Everyone has what the log has, each once and in order; returns how many acknowledged events Redis lost."""
        kept = {stream: await self._read(stream) for stream in STREAMS}
        lost = {event_id for event_id, stream in self.acknowledged.items() if event_id not in kept[stream]}
        assert may_lose or not lost
        for stream, ids in kept.items():
            assert max(Counter(ids).values()) == 1, "an event is stored twice"
            for watcher in self.watchers[stream]:
                await self.until(lambda w=watcher, ids=ids: set(ids) <= set(w.ids))
                assert [one for one in watcher.ids if one in set(ids)] == ids
        everything = {one for ids in kept.values() for one in ids}
        for watcher in self.firehoses:
            await self.until(lambda w=watcher: everything <= set(w.ids))
            assert max(Counter(watcher.ids).values()) == 1
        return len(lost)

    async def _read(self, stream: str) -> list[str]:
        ids: list[str] = []
        page = None
        while page is None or not page.complete:
            page = await self.buses[0].read(stream, page.cursor if page else None)
            ids += [event.id for event in page.events]
        return ids

    async def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "it did not come true"
            await asyncio.sleep(0.01)


@asynccontextmanager
async def nodes(*urls: str, **options: Any) -> AsyncIterator[Nodes]:
    both = Nodes(*(RedisLog(url, timeout_s=2, wait_s=20, **options) for url in urls))
    try:
        await both.begin()
        yield both
    finally:
        for bus in both.buses:
            await bus.close()


async def test_a_server_that_is_killed_and_comes_back() -> None:
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        async with nodes(server.url, server.url) as both:

            async def fault() -> None:
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)

            await both.through(fault, "SIGKILL of Redis (AOF always)")


async def test_a_server_that_stands_still() -> None:
    with RedisServer() as server:
        async with nodes(server.url, server.url) as both:

            async def fault() -> None:
                server.stop()
                await asyncio.sleep(2)
                server.go_on()

            await both.through(fault, "SIGSTOP of Redis for 2 s")


@pytest.mark.soak
@pytest.mark.timeout(120)
async def test_a_server_that_stands_still_for_long() -> None:
    with RedisServer() as server:
        async with nodes(server.url, server.url) as both:

            async def fault() -> None:
                server.stop()
                await asyncio.sleep(15)
                server.go_on()

            await both.through(fault, "SIGSTOP of Redis for 15 s")


async def test_killed_subscriptions() -> None:
    with RedisServer() as server:
        async with nodes(server.url, server.url) as both:

            async def fault() -> None:
                server.client.execute_command("CLIENT KILL TYPE pubsub")

            await both.through(fault, "CLIENT KILL TYPE pubsub")


async def test_all_connections_killed() -> None:
    with RedisServer() as server:
        async with nodes(server.url, server.url) as both:

            async def fault() -> None:
                server.client.execute_command("CLIENT KILL TYPE normal SKIPME yes")
                server.client.execute_command("CLIENT KILL TYPE pubsub")

            await both.through(fault, "CLIENT KILL of everything")


async def test_half_open_connections() -> None:
    with RedisServer() as server, Proxy(server.port) as proxy:
        async with nodes(server.url, f"redis://127.0.0.1:{proxy.port}") as both:

            async def fault() -> None:
                proxy.fall_silent()

            await both.through(fault, "half-open connections of one node")


@pytest.mark.needs("redis-sentinel")
@pytest.mark.timeout(90)
async def test_a_failover_in_the_midst_of_publishing() -> None:
    with Sentinels() as sentinels:
        async with nodes(sentinels.url, sentinels.url) as both:

            async def fault() -> None:
                await asyncio.to_thread(sentinels.master.kill)

            await both.through(fault, "failover by Sentinel", may_lose=True)


async def test_a_flushed_script_cache() -> None:
    with RedisServer() as server:
        async with nodes(server.url, server.url) as both:

            async def fault() -> None:
                server.client.script_flush()

            await both.through(fault, "SCRIPT FLUSH")


@pytest.mark.timeout(90)
async def test_a_master_of_a_cluster_that_comes_back() -> None:
    with RedisCluster(appendonly="yes", appendfsync="always") as cluster:
        async with nodes(cluster.url, cluster.url) as both:

            async def fault() -> None:
                await asyncio.to_thread(cluster.servers[1].kill)
                await asyncio.to_thread(cluster.servers[1].start)

            await both.through(fault, "SIGKILL of one of three masters (AOF always)")


async def test_killed_subscriptions_in_a_cluster() -> None:
    with RedisCluster() as cluster:
        async with nodes(cluster.url, cluster.url) as both:

            async def fault() -> None:
                for server in cluster.servers:
                    server.client.execute_command("CLIENT KILL TYPE pubsub")

            await both.through(fault, "CLIENT KILL TYPE pubsub in a Cluster")
