"""One fault upon the other, before all is well again: on one server, and in a Cluster."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.nodes.fleet import Fleet, Node, fleet
from tests.nodes.storm import storm
from tests.support.redis_server import Proxy, RedisServer
from tests.support.redis_topologies import ReplicatedCluster, is_master

pytestmark = [pytest.mark.needs("redis-server"), pytest.mark.timeout(200), pytest.mark.soak]
Settle = Callable[..., None]
Faults = list[Callable[[], Awaitable[None]]]

FAULTS = 24
STREAMS = tuple(f"session:s{number}" for number in range(12))


async def let_happen(faults: Faults, chance: random.Random) -> None:
    """Many of them, in any order, with hardly a pause between."""
    for _ in range(FAULTS):
        await chance.choice(faults)()
        await asyncio.sleep(chance.uniform(0.05, 1.0))


async def test_a_storm_around_one_server(tmp_path: Path, settle: Settle) -> None:
    chance = random.Random(7)
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer(appendonly="yes", appendfsync="always"))
        proxies = [stack.enter_context(Proxy(server.port)) for _ in range(3)]
        nodes = stack.enter_context(fleet(tmp_path, *(f"redis://127.0.0.1:{one.port}" for one in proxies)))

        async def silence() -> None:
            chance.choice(proxies).fall_silent()

        async def crash() -> None:
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)

        async with storm(nodes) as here:
            around = [*faults_of([server], chance), node_dies(nodes, chance), silence, crash]
            line = await here.through(
                lambda: let_happen(around, chance), f"{FAULTS} faults at once, one server", "the last one"
            )
    settle(line)


async def test_a_storm_in_a_cluster(tmp_path: Path, settle: Settle) -> None:
    chance = random.Random(8)
    with (
        ReplicatedCluster(appendonly="yes", appendfsync="always") as cluster,
        fleet(tmp_path, cluster.url) as nodes,
    ):

        async def crash() -> None:
            """Whoever is master now; it comes back as a replica, or as what it was."""
            masters = [one for one in (*cluster.servers, *cluster.replicas) if is_master(one)]
            master = chance.choice(masters)
            await asyncio.to_thread(master.kill)
            await asyncio.to_thread(master.start)

        async with storm(nodes, STREAMS) as here:
            around = [*faults_of(cluster.servers, chance), node_dies(nodes, chance), crash]
            line = await here.through(
                lambda: let_happen(around, chance), f"{FAULTS} faults at once, Cluster", "the last one"
            )
    settle(line, may_drop=True)


def faults_of(servers: list[RedisServer], chance: random.Random) -> Faults:
    """What happens to any of these servers, and leaves it what it has."""

    async def kill_subscriptions() -> None:
        chance.choice(servers).client.execute_command("CLIENT KILL TYPE pubsub")

    async def kill_connections() -> None:
        chance.choice(servers).client.execute_command("CLIENT KILL TYPE normal SKIPME yes")

    async def forget_scripts() -> None:
        chance.choice(servers).client.script_flush()

    async def stand_still() -> None:
        server = chance.choice(servers)
        server.stop()
        await asyncio.sleep(1.0)
        server.go_on()

    return [kill_subscriptions, kill_connections, forget_scripts, stand_still]


def node_dies(nodes: Fleet, chance: random.Random) -> Callable[[], Awaitable[None]]:
    """One of them is killed, and started again."""

    def die(node: Node) -> None:
        node.kill()
        node.start()

    async def fault() -> None:
        await asyncio.to_thread(die, chance.choice(nodes.nodes))

    return fault
