"""Three nodes on one Redis: what breaks among them and around it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.nodes.clients import ChannelPublisher
from tests.nodes.fleet import Fleet, Node, fleet
from tests.nodes.storm import Storm, storm
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.needs("redis-server"), pytest.mark.timeout(150)]
Settle = Callable[..., None]

TOO_MUCH_BYTES = 33 * 1024 * 1024
"""Redis cuts off who has more than 32 MiB of messages still to read (client-output-buffer-limit pubsub)."""
STILL_S = 15.0


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def nodes(server: RedisServer, tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path, server.url) as nodes:
        yield nodes


async def test_a_node_is_killed(nodes: Fleet, settle: Settle) -> None:
    async with storm(nodes) as here:

        async def fault() -> None:
            nodes.nodes[1].die()

        line = await here.through(fault, "SIGKILL of a node", "SIGKILL")
    settle(line)


@pytest.mark.soak
async def test_all_nodes_are_killed_one_after_the_other(nodes: Fleet, settle: Settle) -> None:
    async with storm(nodes) as here:
        back_s = [await _killed_and_back(here, node) for node in nodes.nodes]
        line = await here.account("SIGKILL of each node, and back", "each SIGKILL", max(back_s))
    settle(line)


async def _killed_and_back(here: Storm, node: Node) -> float:
    since_s = asyncio.get_running_loop().time()
    node.die()
    back_s = await here.recovered(since_s)
    await asyncio.to_thread(node.kill)
    await asyncio.to_thread(node.start)
    return back_s


@pytest.mark.soak
async def test_nodes_are_restarted_one_after_the_other(nodes: Fleet, settle: Settle) -> None:
    async with storm(nodes) as here:
        back_s = [await _restarted(here, node) for node in nodes.nodes]
        line = await here.account("rolling restart of all nodes", "each node's end", max(back_s))
    settle(line)


async def _restarted(here: Storm, node: Node) -> float:
    assert await asyncio.to_thread(node.terminate) == 0, node.said.read_text()
    back_s = await here.recovered(asyncio.get_running_loop().time())
    await asyncio.to_thread(node.start)
    return back_s


@pytest.mark.soak
async def test_redis_stands_still(server: RedisServer, nodes: Fleet, settle: Settle) -> None:
    async with storm(nodes) as here:

        async def fault() -> None:
            server.stop()
            await asyncio.sleep(STILL_S)
            server.go_on()

        line = await here.through(fault, f"SIGSTOP of Redis for {STILL_S:.0f} s", "SIGCONT")
    settle(line)


@pytest.mark.soak
async def test_redis_is_killed_and_comes_back(tmp_path: Path, settle: Settle) -> None:
    with RedisServer(appendonly="yes", appendfsync="always") as server, fleet(tmp_path, server.url) as nodes:
        async with storm(nodes) as here:

            async def fault() -> None:
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)

            line = await here.through(fault, "SIGKILL of Redis (AOF always), and back", "Redis answers")
    settle(line)


async def test_subscriptions_are_killed(server: RedisServer, nodes: Fleet, settle: Settle) -> None:
    async with storm(nodes) as here:

        async def fault() -> None:
            killed: Any = server.client.execute_command("CLIENT KILL TYPE pubsub")
            assert killed >= len(nodes.nodes)

        line = await here.through(fault, "CLIENT KILL TYPE pubsub", "the command")
    settle(line)


@pytest.mark.soak
async def test_all_connections_are_killed(server: RedisServer, nodes: Fleet, settle: Settle) -> None:
    async with storm(nodes) as here:

        async def fault() -> None:
            for kind in ("pubsub", "normal"):
                server.client.execute_command(f"CLIENT KILL TYPE {kind} SKIPME yes")

        line = await here.through(fault, "CLIENT KILL of everything", "the command")
    settle(line)


@pytest.mark.soak
async def test_scripts_are_forgotten(server: RedisServer, nodes: Fleet, settle: Settle) -> None:
    async with storm(nodes) as here:

        async def fault() -> None:
            server.client.script_flush()

        line = await here.through(fault, "SCRIPT FLUSH", "the command")
    settle(line)


@pytest.mark.soak
async def test_a_message_is_too_much_for_a_channel(
    server: RedisServer, tmp_path: Path, settle: Settle
) -> None:
    with fleet(tmp_path, server.url, REDIS_URL=server.url) as nodes:
        raw = ChannelPublisher(nodes, 9, "raw", server.url)
        async with storm(nodes, more={"task:raw": raw}) as here:

            async def fault() -> None:
                before = _listeners(server)
                assert before, "nobody listens"
                await asyncio.to_thread(server.client.publish, raw.channel, b" " * TOO_MUCH_BYTES)
                assert not before & _listeners(server), "Redis has not cut it off"

            line = await here.through(fault, "33 MiB on agent_progress:raw", "the PUBLISH")
    settle(line)


def _listeners(server: RedisServer) -> set[str]:
    """The connections that hear all channels of tasks."""
    clients: Any = server.client.client_list("pubsub")
    return {client["id"] for client in clients if client["psub"] != "0"}
