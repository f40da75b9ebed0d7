"""Reading streams and the firehose of one partition; each answer is of one moment."""

from __future__ import annotations

from runcast.core.event import Cursor, Event, id_tag
from runcast.core.resume import Run, Start, resume
from runcast.log.base import PAGE_MAX_BYTES, PAGE_MAX_EVENTS, Page, StreamInfo
from runcast.log.ledger import no_stream
from runcast.log.pages import NEWEST, firehose_end, fitting, no_page, page_of
from runcast.log.redis.rows import (
    FirehosePage,
    StreamPage,
    decode_firehose,
    decode_page,
    decode_streams,
    head_cursor,
)
from runcast.log.redis.server import Server

LARGEST = (1 << 53) - 1
"""No position is larger: Lua counts in doubles."""
ENOUGH_BYTES = PAGE_MAX_BYTES + 128 * 1024
"""A script counts what surrounds an event's data, too; what is too much is left off here."""


def read(server: Server, stream: str, after: Cursor | None, limit: int, until: int) -> Page:
    """See `EventLog.read`."""
    asked = after
    reset = ""
    while True:
        found = _read_run(server, stream, asked, limit, until)
        facts = found.facts
        if facts.current is None:
            return no_page(after)
        tag = id_tag(facts.id) if facts.id else None
        start = resume(asked, facts.named(), facts.current.run(), tag)
        if (start.run.epoch, start.after) == (facts.epoch, facts.first):
            break
        asked, reset = None, start.reset or reset  # it begins anew, at the start of the current run
    if reset and not start.reset:
        start = Start(start.run, start.after, reset, start.missing)
    events, _ = fitting([row.event(stream, facts.epoch) for row in found.rows], limit)
    last = (events[-1].seq, events[-1]) if events else (start.after, None)
    return page_of(start, after, events, last, facts.head, closed=facts.closed > 0)


def _read_run(server: Server, stream: str, after: Cursor | None, limit: int, until: int) -> StreamPage:
    epoch, offset = (after.epoch, after.offset) if after else ("", 0)
    answer = server.call(
        "read",
        server.partition_of(stream),
        stream,
        epoch,
        min(offset, LARGEST),
        limit,
        min(until, LARGEST),
        ENOUGH_BYTES,
    )
    return decode_page(answer)


def read_all(server: Server, kind: str | None, after: Cursor | None, limit: int, until: int) -> Page:
    """See `EventLog.read_all`."""
    named = after is not None and after.epoch == server.epoch
    offset = after.offset if after and named else 0
    found = read_firehose(server, 0, kind or "", offset, until=until, limit=limit + 1)
    facts = found.facts
    log = Run(server.epoch, 1, facts.position)
    tag = id_tag(facts.id) if facts.id and after and after.tag else None
    start = resume(after, log if named else None, log, tag)
    if start.after != offset:
        found = read_firehose(server, 0, kind or "", start.after, until=until, limit=limit + 1)
        facts = found.facts
    head = min(until, facts.position)
    events = [record for record in found.records() if isinstance(record, Event)]
    return firehose_page(start, after, events, reach=facts.reach, head=head, limit=limit)


def firehose_page(
    start: Start, after: Cursor | None, found: list[Event], *, reach: int, head: int, limit: int
) -> Page:
    """A page of what was found up to the position `reach`, of `head` that there are; `found` may be one too many."""
    events, cut = fitting(found, limit)
    last = firehose_end(start, events, head, cut)
    if not cut and reach < head:  # it looked at as much as may be looked at in one go
        newest = events[-1] if events else None
        last = (newest.position, newest) if newest and newest.position >= reach else (reach, None)
    return page_of(start, after, events, last, head, closed=False)


def read_firehose(
    server: Server,
    partition: int,
    kind: str,
    after: int,
    *,
    until: int = NEWEST,
    limit: int = PAGE_MAX_EVENTS,
    changes: bool = False,
    wait_s: float | None = None,
) -> FirehosePage:
    """The next part of one partition's firehose."""
    answer = server.call(
        "firehose",
        partition,
        kind,
        min(after, LARGEST),
        min(until, LARGEST),
        limit,
        ENOUGH_BYTES,
        int(changes),
        wait_s=wait_s,
    )
    return decode_firehose(answer)


def info(server: Server, stream: str) -> StreamInfo:
    """See `EventLog.info`."""
    found = decode_streams(server.call("list", server.partition_of(stream), "one", stream, "", 1))
    return found.streams[0].info(found.position) if found.streams else no_stream(stream, found.position)


def head(server: Server) -> Cursor:
    """See `EventLog.head`."""
    return head_cursor(server.epoch, decode_streams(server.call("list", 0, "head", "", "", 0)))


def streams(server: Server, kind: str | None, after: str, limit: int) -> list[StreamInfo]:
    """See `EventLog.streams`."""
    found: list[StreamInfo] = []
    for partition in range(server.partitions):
        part = decode_streams(server.call("list", partition, "name", kind or "", after, limit))
        found += [row.info(part.position) for row in part.streams]
    return sorted(found, key=lambda one: one.stream)[:limit] if server.partitions > 1 else found


def recent(server: Server, kind: str | None, before: int, limit: int) -> list[StreamInfo]:
    """See `EventLog.recent`."""
    found: list[StreamInfo] = []
    for partition in range(server.partitions):
        part = decode_streams(
            server.call("list", partition, "recent", kind or "", min(before, LARGEST), limit)
        )
        found += [row.info(part.position) for row in part.streams]
    return sorted(found, key=lambda one: -one.latest)[:limit] if server.partitions > 1 else found
