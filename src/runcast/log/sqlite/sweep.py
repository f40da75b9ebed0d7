"""The janitor's steps: delete a bounded number of rows, and when there are none left, drop what is idle."""

from __future__ import annotations

import json
import sqlite3


def find_idle(connection: sqlite3.Connection, idle_since: int, limit: int) -> tuple[list[int], list[str]]:
    """Runs that nobody has touched since `idle_since`, and the names of streams whose current ones are open."""
    runs, streams = connection.execute(_FIND_IDLE, (idle_since, limit)).fetchone()
    return json.loads(runs), json.loads(streams)


def drop_idle(connection: sqlite3.Connection, found: list[int], idle_since: int) -> None:
    """Make those of the runs that were `found`, and are sealed and still idle, invisible at once.

    With a current run goes its whole stream.
    """
    runs = _array(connection, _STILL_IDLE, (json.dumps(found), idle_since))
    streams = _array(connection, _STREAMS_OF, (runs,))
    for change in _DROP_STREAMS:
        connection.execute(change, (streams,))
    connection.execute(f"UPDATE runs SET dropped = 1 WHERE run IN {_EACH}", (runs,))


def sweep(connection: sqlite3.Connection, idle_since: int, limit: int) -> int:
    """Delete at most `limit` rows that are invisible already, and old leases; return how many."""
    swept = _sweep_dropped(connection, limit)
    swept += _sweep_trimmed(connection, limit - swept)
    swept += connection.execute(_OLD_LEASES, (idle_since, limit - swept)).rowcount
    return swept


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
        connection.execute(_NAME_WITHOUT_RUNS, {"stream": stream})
    return swept


def _sweep_trimmed(connection: sqlite3.Connection, limit: int) -> int:
    """Delete what lies before the first event that is kept: earlier events, and the notes of earlier trims."""
    trimmed = connection.execute(
        "SELECT run, oldest FROM runs WHERE swept < oldest AND dropped = 0 LIMIT ?", (limit,)
    ).fetchall()
    swept = 0
    for run, oldest in trimmed:
        for rows in (_EVENTS_BEFORE, _CONTROLS_BEFORE):
            before = {"run": run, "oldest": oldest, "limit": limit - swept}
            swept += connection.execute(rows, before).rowcount
        if swept >= limit:
            break
        connection.execute("UPDATE runs SET swept = oldest WHERE run = ?", (run,))
    return swept


def _array(connection: sqlite3.Connection, sql: str, parameters: tuple[str | int, ...]) -> str:
    return connection.execute(sql, parameters).fetchone()[0]


_EACH = "(SELECT value FROM json_each(?))"
_FIND_IDLE = """
SELECT json_group_array(run), json_group_array(name) FILTER (WHERE name IS NOT NULL) FROM (
  SELECT r.run, s.name FROM runs r LEFT JOIN streams s ON s.stream = r.stream AND s.run = r.run AND r.closed = 0
  WHERE r.dropped = 0 AND r.updated < ? LIMIT ?)"""
_STILL_IDLE = f"""
SELECT json_group_array(run) FROM runs WHERE run IN {_EACH} AND dropped = 0 AND closed > 0 AND updated < ?"""
_STREAMS_OF = f"""
SELECT json_group_array(s.stream) FROM runs r JOIN streams s ON s.stream = r.stream AND s.run = r.run
WHERE r.run IN {_EACH}"""
_DROP_STREAMS = (
    f"UPDATE streams SET run = NULL WHERE stream IN {_EACH}",
    f"DELETE FROM snapshots WHERE stream IN {_EACH}",
    f"UPDATE runs SET dropped = 1 WHERE stream IN {_EACH}",
)
_ROWS_OF_RUN = """
DELETE FROM events WHERE position IN (SELECT position FROM events WHERE run = ? LIMIT ?)"""
_EVENTS_BEFORE = """
DELETE FROM events WHERE position IN (
  SELECT position FROM events WHERE run = :run AND seq < :oldest ORDER BY seq LIMIT :limit)"""
_CONTROLS_BEFORE = """
DELETE FROM events WHERE position IN (
  SELECT position FROM events WHERE run = :run AND seq IS NULL
  AND position < (SELECT position FROM events WHERE run = :run AND seq = :oldest) LIMIT :limit)"""
_NAME_WITHOUT_RUNS = """
DELETE FROM streams WHERE stream = :stream AND run IS NULL
AND NOT EXISTS (SELECT 1 FROM runs WHERE stream = :stream)"""
_OLD_LEASES = """
DELETE FROM leases WHERE token IN (SELECT token FROM leases WHERE expires < ? LIMIT ?)"""
