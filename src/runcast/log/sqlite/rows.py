"""How rows come out of SQLite: as JSON, many in one.

Each row that is fetched gives up the GIL once, and beside a busy event loop it may take 5 ms to come back. So
a statement returns one row, however much is in it: heads as one JSON array, and all data of a page as one blob.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

import msgspec

from runcast.core.event import Event
from runcast.log.base import PAGE_MAX_BYTES, Change, Control, Record
from runcast.log.ledger import RunState

RUN = (
    "s.name, {0}.stream, {0}.run, {0}.epoch, {0}.oldest, {0}.head, {0}.tag, {0}.position, {0}.terminal, {0}.closed, "
    "{0}.created, {0}.updated"
).format
"""The columns of a `RunState`, of `streams s` and of `runs` by the name that is given."""
RUN_COLUMNS = len(RunState.__struct_fields__)

LAST_POSITION = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'"


class _Head(msgspec.Struct, array_like=True, gc=False):
    """An event or control row without its data, which are the next `size` bytes of the page's blob."""

    stream: str
    epoch: str
    seq: int | None
    position: int
    id: str
    type: str
    time: int
    size: int


def page_sql(candidates: str) -> str:
    """A statement for the records that `candidates` gives, as many as go into a page, at least one.

    `candidates` selects `position` and `size` from `events`, in order and bounded. The only row has the number of
    candidates, then the heads and the data of those that found room.
    """
    return f"""
    WITH candidates AS (
      SELECT position, size, sum(size) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) AS total
      FROM ({candidates})
    )
    SELECT count(*),
      json_group_array(json_array(s.name, r.epoch, e.seq, e.position, e.id, e.type, e.time, c.size))
        FILTER (WHERE e.position IS NOT NULL),
      CAST(group_concat(e.data, '') AS BLOB)
    FROM candidates c
    LEFT JOIN events e ON e.position = c.position AND (c.total <= {PAGE_MAX_BYTES} OR c.total = c.size)
    LEFT JOIN runs r ON r.run = e.run
    LEFT JOIN streams s ON s.stream = e.stream"""


def fetch_page(
    connection: sqlite3.Connection, sql: str, parameters: Mapping[str, int | str]
) -> tuple[list[Record], bool]:
    """The records of a page, and whether some candidates found no room."""
    candidates, heads, data = connection.execute(sql, parameters).fetchone()
    records: list[Record] = []
    offset = 0
    for head in _heads.decode(heads):
        end = offset + head.size
        records.append(_record(head, data[offset:end]))
        offset = end
    return records, candidates > len(records)


def _record(head: _Head, data: bytes) -> Record:
    if head.seq is None:
        return Control(head.stream, head.epoch, head.position, Change(head.type), int(data))
    return Event(head.stream, head.epoch, head.seq, head.position, head.id, head.type, head.time, data)


def insert_values(record: Record, run: RunState, given: bool, now: int) -> tuple[Any, ...]:
    """The row of `events` for `record`; the inverse of what a page gives."""
    if isinstance(record, Control):
        data = str(record.oldest).encode()
        return (record.position, run.stream_key, run.run, None, "", False, str(record.change), now, data)
    return (
        record.position,
        run.stream_key,
        run.run,
        record.seq,
        record.id,
        given,
        record.type,
        record.time,
        record.data,
    )


_heads = msgspec.json.Decoder(list[_Head])
many_runs = msgspec.json.Decoder(list[RunState], strict=False)
"""Reads a JSON array of `RUN`s; not strict, because SQLite's booleans are numbers."""
