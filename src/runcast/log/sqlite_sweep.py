"""The janitor's one step: mark what retention lets go of, then delete a bounded number of rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable


def idle_streams(connection: sqlite3.Connection, idle_since: int, limit: int) -> list[str]:
    """Streams that nobody has touched since `idle_since`, and that are still open."""
    names = """SELECT json_group_array(name) FROM (
      SELECT s.name FROM runs r JOIN streams s ON s.run = r.run
      WHERE r.dropped = 0 AND r.updated < ? AND r.closed = 0 ORDER BY r.updated LIMIT ?)"""
    return json.loads(connection.execute(names, (idle_since, limit)).fetchone()[0])


def sweep(connection: sqlite3.Connection, idle_since: int, limit: int) -> int:
    """Remove at most `limit` rows; return how many. What is marked here is invisible at once."""
    _mark(connection, idle_since, limit)
    swept = _sweep_dropped(connection, limit)
    swept += _sweep_trimmed(connection, limit - swept)
    swept += connection.execute(_OLD_LEASES, (idle_since, limit - swept)).rowcount
    return swept


def _mark(connection: sqlite3.Connection, idle_since: int, limit: int) -> None:
    """Drop idle runs, and whole streams with the current ones among them."""
    idle = connection.execute(
        "SELECT run FROM runs WHERE dropped = 0 AND updated < ? AND closed > 0 ORDER BY updated LIMIT ?",
        (idle_since, limit),
    ).fetchall()
    if not idle:
        return
    runs = _json(idle)
    streams = _json(
        connection.execute(f"SELECT stream FROM streams WHERE run IN {_EACH}", (runs,)).fetchall()
    )
    connection.execute(f"UPDATE streams SET run = NULL WHERE stream IN {_EACH}", (streams,))
    connection.execute(f"DELETE FROM snapshots WHERE stream IN {_EACH}", (streams,))
    connection.execute(f"UPDATE runs SET dropped = 1 WHERE run IN {_EACH}", (runs,))
    connection.execute(f"UPDATE runs SET dropped = 1 WHERE stream IN {_EACH}", (streams,))


def _sweep_dropped(connection: sqlite3.Connection, limit: int) -> int:
    """Delete the rows of dropped runs, then the runs, then the names of streams that have none left."""
    dropped = connection.execute(
        "SELECT run, stream FROM runs WHERE dropped = 1 LIMIT ?", (limit,)
    ).fetchall()
    swept = 0
    for run, stream in dropped:
        swept += connection.execute(_ROWS_OF_RUN, (run, limit - swept)).rowcount
        if swept >= limit:
            break
        swept += connection.execute("DELETE FROM runs WHERE run = ?", (run,)).rowcount
        connection.execute(_NAME_WITHOUT_RUNS, (stream,))
    return swept


def _sweep_trimmed(connection: sqlite3.Connection, limit: int) -> int:
    """Delete what lies before the first event that is kept: earlier events, and the notes of earlier trims."""
    trimmed = connection.execute(
        "SELECT run, oldest FROM runs WHERE swept < oldest AND dropped = 0 LIMIT ?", (limit,)
    ).fetchall()
    swept = 0
    for run, oldest in trimmed:
        swept += connection.execute(_EVENTS_BEFORE, (run, oldest, limit - swept)).rowcount
        swept += connection.execute(_CONTROLS_BEFORE, (run, oldest, limit - swept)).rowcount
        if swept >= limit:
            break
        connection.execute("UPDATE runs SET swept = oldest WHERE run = ?", (run,))
    return swept


def _json(rows: Iterable[tuple[int]]) -> str:
    return json.dumps([row[0] for row in rows])


_EACH = "(SELECT value FROM json_each(?))"
_ROWS_OF_RUN = """
DELETE FROM events WHERE position IN (SELECT position FROM events WHERE run = ? LIMIT ?)"""
_EVENTS_BEFORE = """
DELETE FROM events WHERE position IN (
  SELECT position FROM events WHERE run = ? AND seq < ? ORDER BY seq LIMIT ?)"""
_CONTROLS_BEFORE = """
DELETE FROM events WHERE position IN (
  SELECT position FROM events WHERE run = ?1 AND seq IS NULL
  AND position < (SELECT position FROM events WHERE run = ?1 AND seq = ?2) LIMIT ?3)"""
_NAME_WITHOUT_RUNS = """
DELETE FROM streams WHERE stream = ?1 AND run IS NULL AND NOT EXISTS (SELECT 1 FROM runs WHERE stream = ?1)"""
_OLD_LEASES = """
DELETE FROM leases WHERE token IN (SELECT token FROM leases WHERE expires < ? LIMIT ?)"""
