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
    left = limit
    for step in (_delete_dropped, _delete_trimmed):
        left -= step(connection, left)
    old = "DELETE FROM leases WHERE token IN (SELECT token FROM leases WHERE expires < ? LIMIT ?)"
    left -= connection.execute(old, (idle_since, left)).rowcount
    return limit - left


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


def _delete_dropped(connection: sqlite3.Connection, limit: int) -> int:
    dropped = connection.execute(
        "SELECT run, stream FROM runs WHERE dropped = 1 LIMIT ?", (limit,)
    ).fetchall()
    left = limit
    for run, stream in dropped:
        left -= connection.execute(f"{_DELETE} WHERE run = ? LIMIT ?)", (run, left)).rowcount
        if left <= 0:
            break
        left -= connection.execute("DELETE FROM runs WHERE run = ?", (run,)).rowcount
        connection.execute(
            """DELETE FROM streams WHERE stream = ?1 AND run IS NULL
               AND NOT EXISTS (SELECT 1 FROM runs WHERE stream = ?1)""",
            (stream,),
        )
    return limit - left


def _delete_trimmed(connection: sqlite3.Connection, limit: int) -> int:
    trimmed = connection.execute(
        "SELECT run, oldest FROM runs WHERE swept < oldest AND dropped = 0 LIMIT ?", (limit,)
    ).fetchall()
    left = limit
    for run, oldest in trimmed:
        if left <= 0:
            break
        deleted = connection.execute(
            f"{_DELETE} WHERE run = ? AND seq < ? ORDER BY seq LIMIT ?)", (run, oldest, left)
        ).rowcount
        if deleted < left:
            # The control rows of earlier trims lie before the first event that is kept. The last one lies after it.
            connection.execute(
                f"""{_DELETE} WHERE run = ?1 AND seq IS NULL
                    AND position < (SELECT position FROM events WHERE run = ?1 AND seq = ?2))""",
                (run, oldest),
            )
            connection.execute("UPDATE runs SET swept = oldest WHERE run = ?", (run,))
        left -= deleted
    return limit - left


def _json(rows: Iterable[tuple[int]]) -> str:
    return json.dumps([row[0] for row in rows])


_EACH = "(SELECT value FROM json_each(?))"
_DELETE = "DELETE FROM events WHERE position IN (SELECT position FROM events"
