"""What is read from the log, each within one read transaction. No reader ever holds up the writer."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Mapping
from typing import cast

from runcast.core.event import Cursor, Event, id_tag
from runcast.core.resume import Run, Start, resume
from runcast.log.base import Page, StreamInfo
from runcast.log.ledger import RunState, no_stream
from runcast.log.pages import firehose_end, no_page, page_of
from runcast.log.sqlite.rows import LAST_POSITION, RUN, RUN_COLUMNS, fetch_page, many_runs, page_sql

SCAN_POSITIONS = 10_000
"""How much of the log one page of a firehose looks through: a rare kind must not hold a transaction for seconds."""


def read(
    connection: sqlite3.Connection, stream: str, after: Cursor | None, *, limit: int, until: int
) -> Page:
    """A page of one stream."""
    current, named, tag = _runs_at(connection, stream, after)
    if current is None:
        return no_page(after)
    start = resume(after, named and named.span(), current.span(), tag)
    run = named if named and start.run.epoch == named.epoch else current
    head = _head_until(connection, run, until)
    page = {"run": run.run, "after": start.after, "last": min(start.after + limit, head)}
    events = _fetch_events(connection, _PAGE, page)[0] if head > start.after else []
    last = (events[-1].seq, events[-1]) if events else (start.after, None)
    return page_of(start, after, events, last, head, closed=0 < run.closed <= until)


def read_all(
    connection: sqlite3.Connection,
    epoch: str,
    kind: str | None,
    after: Cursor | None,
    *,
    limit: int,
    until: int,
) -> Page:
    """A page of the firehose of `kind`, or of all."""
    log = Run(epoch, 1, connection.execute(LAST_POSITION).fetchone()[0])
    start = _start_all(connection, log, after)
    head = min(until, log.head)
    last = _scan_end(connection, start.after, head)
    page = {"after": start.after, "last": last, "limit": limit, "low": f"{kind}:", "high": f"{kind};"}
    events, cut = _fetch_events(connection, _PAGE_OF_KIND if kind else _PAGE_OF_ALL, page)
    end = firehose_end(start, events, last, cut or len(events) == limit)
    return page_of(start, after, events, end, head, closed=False)


def info(connection: sqlite3.Connection, stream: str) -> StreamInfo:
    """Where the current run of a stream begins and ends."""
    position, *run = connection.execute(_INFO, (stream,)).fetchone()
    return RunState(*run).info(position) if run[0] else no_stream(stream, position)


def head(connection: sqlite3.Connection, epoch: str) -> Cursor:
    """The place after all that is committed."""
    position: int = connection.execute(LAST_POSITION).fetchone()[0]
    return Cursor(epoch, position, _tag_at(connection, position) or 0)


def streams(connection: sqlite3.Connection, kind: str | None, after: str, limit: int) -> list[StreamInfo]:
    """The streams of `kind`, or all, in the order of their names."""
    low, high = _names(kind)
    found, position = connection.execute(_STREAMS, (max(low, after), low, high, limit)).fetchone()
    return [run.info(position) for run in many_runs.decode(found)]


def recent(connection: sqlite3.Connection, kind: str | None, before: int, limit: int) -> list[StreamInfo]:
    """The streams of `kind`, or all, whose newest events lie before a position; the newest first."""
    low, high = _names(kind)
    found, position = connection.execute(_RECENT, (low, high, before, limit)).fetchone()
    return [run.info(position) for run in many_runs.decode(found)]


def _names(kind: str | None) -> tuple[str, str]:
    """Between which texts the names of a kind's streams lie, or all."""
    return (f"{kind}:", f"{kind};") if kind else ("", "\x7f")


def _runs_at(
    connection: sqlite3.Connection, stream: str, after: Cursor | None
) -> tuple[RunState | None, RunState | None, int | None]:
    """The stream's current run, the one that `after` names, and the tag of the event there."""
    epoch, seq = (after.epoch, after.offset) if after else ("", 0)
    row = connection.execute(_RUNS_AT, {"stream": stream, "epoch": epoch, "seq": seq}).fetchone()
    if row is None:
        return None, None, None
    current, named, event_id = row[:RUN_COLUMNS], row[RUN_COLUMNS:-1], row[-1]
    return (
        RunState(*current),
        RunState(*named) if named[1] else None,
        None if event_id is None else id_tag(event_id),
    )


def _head_until(connection: sqlite3.Connection, run: RunState, until: int) -> int:
    """The last seq whose position is not over `until`."""
    if run.position <= until:
        return run.head

    def position_of(seq: int) -> int:
        return connection.execute(_POSITION, (run.run, seq)).fetchone()[0]

    return run.oldest - 1 + bisect_right(range(run.oldest, run.head + 1), until, key=position_of)


def _start_all(connection: sqlite3.Connection, log: Run, after: Cursor | None) -> Start:
    named = log if after and after.epoch == log.epoch else None
    tag = _tag_at(connection, after.offset) if after and after.tag else None
    return resume(after, named, log, tag)


def _tag_at(connection: sqlite3.Connection, position: int) -> int | None:
    row = connection.execute(
        "SELECT id FROM events WHERE position = ? AND seq IS NOT NULL", (position,)
    ).fetchone()
    return id_tag(row[0]) if row else None


def _scan_end(connection: sqlite3.Connection, after: int, head: int) -> int:
    """Up to where a page looks: a bounded stretch, counted from the first position that is not a hole."""
    first = connection.execute("SELECT min(position) FROM events WHERE position > ?", (after,)).fetchone()[0]
    return head if first is None else min(head, first - 1 + SCAN_POSITIONS)


def _fetch_events(
    connection: sqlite3.Connection, sql: str, page: Mapping[str, int | str]
) -> tuple[list[Event], bool]:
    records, cut = fetch_page(connection, sql, page)
    return cast("list[Event]", records), cut


_PAGE = page_sql(
    """SELECT position, length(data) AS size FROM events
    WHERE run = :run AND seq > :after AND seq <= :last ORDER BY seq"""
)
_OF_ALL = """SELECT e.position AS position, length(e.data) AS size FROM events e
    CROSS JOIN runs r ON r.run = e.run AND r.dropped = 0 AND e.seq >= r.oldest {of_kind}
    WHERE e.position > :after AND e.position <= :last AND e.seq IS NOT NULL ORDER BY e.position LIMIT :limit"""
_PAGE_OF_ALL = page_sql(_OF_ALL.format(of_kind=""))
_PAGE_OF_KIND = page_sql(
    _OF_ALL.format(of_kind="CROSS JOIN streams s ON s.stream = e.stream AND s.name > :low AND s.name < :high")
)
_POSITION = "SELECT position FROM events WHERE run = ? AND seq = ?"

_INFO = f"""
SELECT last.position, {RUN("r")} FROM (SELECT ({LAST_POSITION}) AS position) last
LEFT JOIN streams s ON s.name = ? AND s.run IS NOT NULL
LEFT JOIN runs r ON r.run = s.run"""

_STREAMS = f"""
SELECT json_group_array(json(run)), ({LAST_POSITION}) FROM (
  SELECT json_array({RUN("r")}) AS run FROM streams s CROSS JOIN runs r ON r.run = s.run
  WHERE s.run IS NOT NULL AND s.name > ? AND s.name > ? AND s.name < ? ORDER BY s.name LIMIT ?)"""

# A look at all runs: 10,000 take 10 ms, and an index would cost every commit.
_RECENT = f"""
SELECT json_group_array(json(run)), ({LAST_POSITION}) FROM (
  SELECT json_array({RUN("r")}) AS run FROM (
    SELECT r.run AS run FROM streams s CROSS JOIN runs r ON r.run = s.run
    WHERE s.run IS NOT NULL AND s.name > ? AND s.name < ? AND r.position < ?
    ORDER BY r.position DESC LIMIT ?) newest
  CROSS JOIN runs r ON r.run = newest.run CROSS JOIN streams s ON s.stream = r.stream
  ORDER BY r.position DESC)"""

_RUNS_AT = f"""
SELECT {RUN("r")}, {RUN("n")}, e.id FROM streams s
CROSS JOIN runs r ON r.run = s.run
LEFT JOIN runs n ON n.epoch = :epoch AND n.stream = s.stream AND n.dropped = 0
LEFT JOIN events e ON e.run = n.run AND e.seq = :seq AND e.seq >= n.oldest
WHERE s.name = :stream AND s.run IS NOT NULL"""
