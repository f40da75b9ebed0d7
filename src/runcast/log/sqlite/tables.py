"""Leases and fold snapshots: what lies beside the streams, in tables of its own.

Each function is one job in a transaction of the writer's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from runcast.log.base import Lease, Snapshot
from runcast.log.rules import lease_holds


def acquire(connection: sqlite3.Connection, name: str, owner: str, ttl: int, now: int) -> Lease | None:
    """Give the lease `name` to `owner` for `ttl` microseconds, unless another's holds."""
    held = connection.execute(
        "SELECT token, owner, expires, ttl FROM leases WHERE name = ?", (name,)
    ).fetchone()
    if held and held[1] == owner:
        connection.execute(
            "UPDATE leases SET expires = ?, ttl = ? WHERE token = ?", (now + ttl, ttl, held[0])
        )
        return Lease(name, owner, held[0], now + ttl)
    if held and lease_holds(held[2], held[3], now):
        return None
    connection.execute("DELETE FROM leases WHERE name = ?", (name,))
    token = connection.execute(
        "INSERT INTO leases (name, owner, expires, ttl) VALUES (?, ?, ?, ?)", (name, owner, now + ttl, ttl)
    ).lastrowid
    assert token is not None
    return Lease(name, owner, token, now + ttl)


def renew(connection: sqlite3.Connection, leases: Sequence[Lease], ttl: int, now: int) -> list[bool]:
    """Give `leases` to their owners for `ttl` microseconds more; False for those that are theirs no longer."""
    tokens = msgspec.json.encode([lease.token for lease in leases]).decode()
    rows = connection.execute(_RENEW, (now + ttl, ttl, tokens)).fetchall()
    held = {token for (token,) in rows}
    return [lease.token in held for lease in leases]


def release(connection: sqlite3.Connection, lease: Lease) -> None:
    """Take `lease` back, if it is still its owner's."""
    connection.execute("DELETE FROM leases WHERE token = ?", (lease.token,))


def load_snapshot(connection: sqlite3.Connection, stream: str, fold: str, version: int) -> Snapshot | None:
    """The snapshot of `fold`, if it is of this version and its run is kept."""
    row = connection.execute(_LOAD, (stream, fold, version)).fetchone()
    return Snapshot(*row) if row else None


def load_snapshots(
    connection: sqlite3.Connection, streams: Sequence[str], fold: str, version: int
) -> dict[str, Snapshot]:
    """The snapshots of `fold` over those of the streams that have one."""
    names = msgspec.json.encode(streams).decode()
    rows = connection.execute(_LOAD_MANY, (names, fold, version)).fetchone()[0]
    return {
        stream: Snapshot(epoch, seq, tag, bytes.fromhex(state))
        for stream, epoch, seq, tag, state in _snapshots.decode(rows)
    }


def save_snapshot(
    connection: sqlite3.Connection, stream: str, fold: str, version: int, snapshot: Snapshot
) -> None:
    """Keep `snapshot`, unless its run is gone or a later one of the same fold and version is there."""
    names = {"stream": stream, "fold": fold, "version": version}
    connection.execute(_SAVE, names | msgspec.structs.asdict(snapshot))


_LOAD = """
SELECT r.epoch, n.seq, n.tag, n.state FROM streams s
JOIN snapshots n ON n.stream = s.stream
JOIN runs r ON r.run = n.run AND r.dropped = 0
WHERE s.name = ? AND s.run IS NOT NULL AND n.fold = ? AND n.version = ?"""

_LOAD_MANY = """
SELECT json_group_array(json_array(s.name, r.epoch, n.seq, n.tag, hex(n.state))) FROM json_each(?) w
CROSS JOIN streams s ON s.name = w.value AND s.run IS NOT NULL
CROSS JOIN snapshots n ON n.stream = s.stream AND n.fold = ? AND n.version = ?
CROSS JOIN runs r ON r.run = n.run AND r.dropped = 0"""

_snapshots = msgspec.json.Decoder(list[tuple[str, str, int, int, str]])

_SAVE = """
INSERT INTO snapshots (stream, fold, version, run, seq, tag, state)
SELECT s.stream, :fold, :version, r.run, :seq, :tag, :state FROM streams s
JOIN runs r ON r.stream = s.stream AND r.epoch = :epoch AND r.dropped = 0
WHERE s.name = :stream AND s.run IS NOT NULL
ON CONFLICT (stream, fold) DO UPDATE
SET version = excluded.version, run = excluded.run, seq = excluded.seq, tag = excluded.tag,
  state = excluded.state
WHERE version <> excluded.version OR run < excluded.run OR (run = excluded.run AND seq <= excluded.seq)"""
_RENEW = (
    "UPDATE leases SET expires = ?, ttl = ? WHERE token IN (SELECT value FROM json_each(?)) RETURNING token"
)
