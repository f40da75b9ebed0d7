"""Leases, which fence off a runner that was thought dead, and the folds' snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runcast.log.base import Lease, Snapshot
from runcast.log.redis.server import Argument, Server


def acquire(server: Server, name: str, owner: str, ttl: int, now: int) -> Lease | None:
    """See `EventLog.acquire`; times in microseconds, `now` 0: by the clock of Redis."""
    answer = server.call("lease", server.partition_of_lease(name), now, "acquire", name, owner, ttl)
    return Lease(name, owner, int(answer[0]), int(answer[1])) if answer else None


def release(server: Server, lease: Lease, now: int) -> None:
    """See `EventLog.release`."""
    server.call(
        "lease", server.partition_of_lease(lease.name), now, "release", lease.name, lease.owner, lease.token
    )


def renew(server: Server, leases: Sequence[Lease], ttl: int, now: int) -> list[bool]:
    """See `RenewsMany`: each partition renews its own in one step."""
    places: dict[int, list[int]] = {}
    for place, lease in enumerate(leases):
        places.setdefault(server.partition_of_lease(lease.name), []).append(place)
    held = [False] * len(leases)
    for partition, own in places.items():
        proofs = [part for at in own for part in (leases[at].name, leases[at].owner, leases[at].token)]
        answer = server.call("lease", partition, now, "renew", ttl, *proofs)
        for at, holds in zip(own, answer, strict=True):
            held[at] = holds == 1
    return held


def load(server: Server, streams: Sequence[str], fold: str, version: int) -> dict[str, Snapshot]:
    """See `EventLog.load_snapshots`."""
    if not streams:
        return {}

    def fetch() -> list[bytes | None]:
        with server.client().pipeline(transaction=False) as pipeline:
            for stream in streams:
                pipeline.hget(f"{server.root(server.partition_of(stream))}f:{stream}", fold)
            return pipeline.execute()

    found = zip(streams, server.patiently(fetch), strict=True)
    return {stream: _snapshot(kept) for stream, kept in found if kept and _version(kept) == version}


def save(server: Server, fold: str, version: int, snapshots: Mapping[str, Snapshot]) -> None:
    """See `EventLog.save_snapshots`."""
    arguments: dict[int, list[Argument]] = {}
    for stream, one in snapshots.items():
        own = arguments.setdefault(server.partition_of(stream), [fold, version])
        own += (stream, one.epoch, one.seq, one.tag, one.state)
    for partition, own in arguments.items():
        server.call("snapshots", partition, *own)


def _version(kept: bytes) -> int:
    return int(kept.partition(b" ")[0])


def _snapshot(kept: bytes) -> Snapshot:
    _, epoch, seq, tag, state = kept.split(b" ", 4)
    return Snapshot(epoch.decode(), int(seq), int(tag), state)
