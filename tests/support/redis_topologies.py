"""Servers of Redis that others take over from: a master with two replicas, and a Cluster with a replica for each master."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Self

from tests.support.process import free_port
from tests.support.redis_server import RedisCluster, RedisServer, Sentinels
from tests.support.server import wait_until

MIGRATE_MS = 10_000
REPLICATION = {
    "user": "replication on >secret +psync +replconf +ping",
    "masteruser": "replication",
    "masterauth": "secret",
}
"""Replicas have a user of their own, who can be taken away from them."""


def cut_off_replicas(master: RedisServer) -> None:
    """They get nothing more from this master."""
    master.client.execute_command("ACL DELUSER replication")


def is_master(server: RedisServer) -> bool:
    """What the server itself says."""
    role: Any = server.client.execute_command("ROLE")
    return role[0] == b"master"


class WatchedReplicas(Sentinels):
    """A master with two replicas: after a failover there is still one that `WAIT` can ask."""

    def __init__(self, **options: str) -> None:
        super().__init__(**REPLICATION, **options)
        self.other = RedisServer(
            replicaof=f"127.0.0.1 {self.master.port}", **dict[str, Any](REPLICATION | options)
        )

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for server in (self.master, self.replica, self.other):
                stack.enter_context(server)
            wait_until(lambda: self._connected() == 2, "both replicas")
            stack.enter_context(self.sentinel)
            wait_until(self._knows_both, "the Sentinel's knowledge of the replicas")
            self._stack = stack.pop_all()
        return self

    def successor(self) -> RedisServer | None:
        """The replica that has become master."""
        return next((one for one in (self.replica, self.other) if is_master(one)), None)

    def _connected(self) -> int:
        info: Any = self.master.client.info("replication")
        return sum(
            1
            for name, value in info.items()
            if name.startswith("slave") and isinstance(value, dict) and value["state"] == "online"
        )

    def _knows_both(self) -> bool:
        found: Any = self.sentinel.client.execute_command("SENTINEL REPLICAS", "runcast")
        return len(found) == 2


class ReplicatedCluster(RedisCluster):
    """Three masters that share the slots, each with a replica that takes over after two seconds or so."""

    def __init__(self, **options: str) -> None:
        super().__init__(**REPLICATION, **options)
        self.replicas = [
            RedisServer(
                cluster_enabled="yes",
                cluster_port=str(free_port()),
                cluster_node_timeout="2000",
                cluster_require_full_coverage="no",
                cluster_replica_validity_factor="0",
                **dict[str, Any](REPLICATION | options),
            )
            for _ in self.servers
        ]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for server in self.replicas:
                stack.enter_context(server)
            super().__enter__()
            stack.push(self._stack)  # of the masters
            for replica, master in zip(self.replicas, self.servers, strict=True):
                self._follow(replica, master)
            wait_until(self._are_in_step, "the replicas of the Cluster")
            self._stack = stack.pop_all()
        return self

    def _follow(self, replica: RedisServer, master: RedisServer) -> None:
        replica.client.execute_command(
            "CLUSTER MEET", "127.0.0.1", master.port, int(master.config["cluster-port"])
        )
        name: Any = master.client.execute_command("CLUSTER MYID")
        wait_until(lambda: _knows(replica, name), "the replica's knowledge of its master")
        replica.client.execute_command("CLUSTER REPLICATE", name)

    def _are_in_step(self) -> bool:
        for replica in self.replicas:
            info: Any = replica.client.info("replication")
            if info.get("master_link_status") != "up":
                return False
        everyone = len(self.servers) + len(self.replicas)
        return all(len(_nodes(server)) == everyone for server in (*self.servers, *self.replicas))


def owner_of(cluster: RedisCluster, key: str) -> int:
    """The number of the master that has a key."""
    slot: Any = cluster.servers[0].client.execute_command("CLUSTER KEYSLOT", key)
    bounds = [5461, 10923, 16384]
    return next(number for number, bound in enumerate(bounds) if slot < bound)


class Migration:
    """A slot on its way from one master to another, as `redis-cli --cluster reshard` moves it."""

    def __init__(self, cluster: RedisCluster, key: str, source: int, target: int) -> None:
        self._servers = cluster.servers
        self._source, self._target = cluster.servers[source], cluster.servers[target]
        slot: Any = self._source.client.execute_command("CLUSTER KEYSLOT", key)
        self.slot: int = slot
        self.moved = 0
        self._names: list[Any] = [
            one.client.execute_command("CLUSTER MYID") for one in (self._source, self._target)
        ]

    def begin(self) -> None:
        """Both sides know that it moves."""
        source, target = self._names
        self._target.client.execute_command("CLUSTER SETSLOT", self.slot, "IMPORTING", source)
        self._source.client.execute_command("CLUSTER SETSLOT", self.slot, "MIGRATING", target)

    def step(self, most: int = 10) -> bool:
        """Move some of its keys; returns whether there were any."""
        client = self._source.client
        keys: Any = client.execute_command("CLUSTER GETKEYSINSLOT", self.slot, most)
        if keys:
            client.execute_command(
                "MIGRATE", "127.0.0.1", self._target.port, "", 0, MIGRATE_MS, "KEYS", *keys
            )
            self.moved += len(keys)
        return bool(keys)

    def finish(self) -> None:
        """Everybody is told where it is now, the new owner first."""
        for server in (self._target, self._source, *self._servers):
            server.client.execute_command("CLUSTER SETSLOT", self.slot, "NODE", self._names[1])


def _nodes(server: RedisServer) -> list[Any]:
    told: Any = server.client.execute_command("CLUSTER NODES")
    return [one for one in told.values() if "handshake" not in one["flags"]]


def _knows(server: RedisServer, name: Any) -> bool:
    told: Any = server.client.execute_command("CLUSTER NODES")
    text = name.decode() if isinstance(name, bytes) else name
    return any(one["node_id"] == text for one in told.values())
