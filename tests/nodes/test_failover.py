"""Three nodes on servers of Redis that take over from one another: Sentinel, and a Cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.nodes.clients import now
from tests.nodes.fleet import fleet
from tests.nodes.storm import storm
from tests.support.redis_server import RedisServer
from tests.support.redis_topologies import (
    Migration,
    ReplicatedCluster,
    WatchedReplicas,
    cut_off_replicas,
    is_master,
    owner_of,
)
from tests.support.server import wait_until

from runcast.log.conformance.support import new
from runcast.log.redis import RedisLog

pytestmark = [
    pytest.mark.needs("redis-server", "redis-sentinel"),
    pytest.mark.timeout(150),
    pytest.mark.soak,
]
Settle = Callable[..., None]
PLACE_OF_POSITIONS = "{runcast:0}:g"
"""Where the counter of a Cluster's positions is."""
ELSEWHERE = "{runcast:1}:g"
BEHIND = 10
"""So many events are acknowledged that no replica has."""
ALONE_S = 1.0
"""For so long a master without its replicas takes events that it must not acknowledge."""
STREAMS = tuple(f"session:s{number}" for number in range(12))
"""Enough that all of a Cluster's servers have some."""


async def test_sentinel_finds_another_master(tmp_path: Path, settle: Settle) -> None:
    with WatchedReplicas() as replicas, fleet(tmp_path, replicas.url) as nodes:
        async with storm(nodes) as here:
            line = await here.through(lambda: _failover(replicas), "failover by Sentinel", "the new master")
    settle(line, may_drop=True)


async def test_a_failover_to_a_replica_that_is_behind(tmp_path: Path, settle: Settle) -> None:
    with WatchedReplicas() as replicas, fleet(tmp_path, replicas.url) as nodes:
        async with storm(nodes) as here:

            async def fault() -> None:
                await here.acknowledged_more(BEHIND, after=lambda: cut_off_replicas(replicas.master))
                await _failover(replicas)

            line = await here.through(fault, "failover to a replica that is behind", "the new master")
    settle(line, may_drop=True)
    assert line.dropped > 0, "the replica was not behind"
    assert line.resets > 0


async def test_what_a_replica_has_survives_a_failover(tmp_path: Path, settle: Settle) -> None:
    with WatchedReplicas() as replicas, fleet(tmp_path, f"{replicas.url}?replicas=1") as nodes:
        async with storm(nodes) as here:

            async def fault() -> None:
                cut_off_replicas(replicas.master)
                await asyncio.sleep(ALONE_S)
                await _failover(replicas)

            line = await here.through(fault, "the same, with replicas=1", "the new master")
    settle(line)


async def _failover(replicas: WatchedReplicas) -> None:
    await asyncio.to_thread(replicas.master.kill)
    await asyncio.to_thread(wait_until, replicas.successor, "another master")


async def test_a_master_that_was_replaced_goes_on(tmp_path: Path, settle: Settle) -> None:
    """It stood still for longer than Sentinel waits, and still believes that it is the master."""
    with WatchedReplicas() as replicas, fleet(tmp_path, replicas.url) as nodes:
        async with storm(nodes) as here:

            async def fault() -> None:
                replicas.master.stop()
                await asyncio.to_thread(wait_until, replicas.successor, "another master")
                replicas.master.go_on()

            line = await here.through(fault, "failover, and the old master goes on", "the new master")
    settle(line, may_drop=True)


@pytest.mark.parametrize("key", [PLACE_OF_POSITIONS, ELSEWHERE])
async def test_a_replica_of_a_cluster_takes_over(key: str, tmp_path: Path, settle: Settle) -> None:
    with ReplicatedCluster() as cluster, fleet(tmp_path, cluster.url) as nodes:
        number = owner_of(cluster, key)
        async with storm(nodes, STREAMS) as here:

            async def fault() -> None:
                await asyncio.to_thread(_take_over, cluster.servers[number], cluster.replicas[number])

            what = "that counts positions" if key == PLACE_OF_POSITIONS else "of streams"
            line = await here.through(fault, f"Cluster: SIGKILL of the master {what}", "the new master")
    settle(line, may_drop=True)


def _take_over(master: RedisServer, replica: RedisServer) -> None:
    master.kill()
    wait_until(lambda: is_master(replica), "the replica to take over")


async def test_a_replica_takes_over_where_there_is_no_firehose(tmp_path: Path, settle: Settle) -> None:
    with ReplicatedCluster() as cluster, fleet(tmp_path, f"{cluster.url}?firehose=false") as nodes:
        number = owner_of(cluster, ELSEWHERE)
        async with storm(nodes, STREAMS, firehose=False) as here:

            async def fault() -> None:
                await asyncio.to_thread(_take_over, cluster.servers[number], cluster.replicas[number])

            line = await here.through(
                fault, "Cluster without firehose: SIGKILL of a master", "the new master"
            )
    settle(line, may_drop=True)


async def test_a_master_of_a_cluster_stands_still_and_is_replaced(tmp_path: Path, settle: Settle) -> None:
    with ReplicatedCluster() as cluster, fleet(tmp_path, cluster.url) as nodes:
        number = owner_of(cluster, PLACE_OF_POSITIONS)
        master, replica = cluster.servers[number], cluster.replicas[number]
        async with storm(nodes, STREAMS) as here:

            async def fault() -> float:
                master.stop()
                await asyncio.to_thread(wait_until, lambda: is_master(replica), "the replica to take over")
                replaced_s = now()
                await here.recovered(replaced_s)
                master.go_on()
                return replaced_s

            line = await here.through(fault, "Cluster: SIGSTOP of a master, replaced", "the new master")
    settle(line, may_drop=True)


def test_who_only_writes_finds_the_new_master() -> None:
    with ReplicatedCluster() as cluster:
        log = RedisLog(f"{cluster.url}?replicas=1")
        streams = [f"session:s{number}" for number in range(12)]
        log.append([new(number, stream=stream) for number, stream in enumerate(streams)])
        number = owner_of(cluster, ELSEWHERE)
        _take_over(cluster.servers[number], cluster.replicas[number])
        cluster.servers[number].start()  # a replica now, which WAIT can ask
        for number, stream in enumerate(streams, start=len(streams)):
            (appended,) = log.append([new(number, stream=stream)])
            assert appended.seq == 2
        log.close()


async def test_a_replica_of_a_cluster_that_is_behind_takes_over(tmp_path: Path, settle: Settle) -> None:
    with ReplicatedCluster() as cluster, fleet(tmp_path, cluster.url) as nodes:
        number = owner_of(cluster, PLACE_OF_POSITIONS)
        master, replica = cluster.servers[number], cluster.replicas[number]
        async with storm(nodes, STREAMS) as here:

            async def fault() -> None:
                await here.acknowledged_more(3 * BEHIND, after=lambda: cut_off_replicas(master))
                await asyncio.to_thread(_take_over, master, replica)

            line = await here.through(fault, "Cluster: SIGKILL, and the replica is behind", "the new master")
    settle(line, may_drop=True)
    assert line.dropped > 0, "the replica was not behind"


async def test_what_a_replica_has_survives_in_a_cluster(tmp_path: Path, settle: Settle) -> None:
    with ReplicatedCluster() as cluster, fleet(tmp_path, f"{cluster.url}?replicas=1") as nodes:
        number = owner_of(cluster, ELSEWHERE)
        master, replica = cluster.servers[number], cluster.replicas[number]
        async with storm(nodes, STREAMS) as here:

            async def fault() -> None:
                cut_off_replicas(master)
                await asyncio.sleep(ALONE_S)
                await asyncio.to_thread(_take_over, master, replica)
                await asyncio.to_thread(master.start)

            line = await here.through(fault, "Cluster: the same, with replicas=1", "the old master is back")
    settle(line)


@pytest.mark.parametrize("key", [PLACE_OF_POSITIONS, ELSEWHERE])
async def test_a_slot_of_a_cluster_moves(key: str, tmp_path: Path, settle: Settle) -> None:
    with ReplicatedCluster() as cluster, fleet(tmp_path, cluster.url) as nodes:
        source = owner_of(cluster, key)
        migration = Migration(cluster, key, source, (source + 1) % len(cluster.servers))
        async with storm(nodes, STREAMS) as here:

            async def fault() -> None:
                migration.begin()
                while await asyncio.to_thread(migration.step):
                    await asyncio.sleep(0.1)
                migration.finish()
                assert migration.moved

            what = "of the positions" if key == PLACE_OF_POSITIONS else "of streams"
            line = await here.through(fault, f"Cluster: the slot {what} moves", "its arrival")
    settle(line)


async def test_subscriptions_in_a_cluster_are_killed(tmp_path: Path, settle: Settle) -> None:
    with ReplicatedCluster() as cluster, fleet(tmp_path, cluster.url) as nodes:
        async with storm(nodes, STREAMS) as here:

            async def fault() -> None:
                for server in cluster.servers:
                    server.client.execute_command("CLIENT KILL TYPE pubsub")

            line = await here.through(fault, "Cluster: CLIENT KILL TYPE pubsub", "the command")
    settle(line)
