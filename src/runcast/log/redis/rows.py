"""Rows of Redis as values: events, streams, and what else happened."""

from __future__ import annotations

import msgspec

from runcast.core.event import Cursor, Event, id_tag
from runcast.core.resume import Run
from runcast.log.base import Change, Control, Record, StreamInfo


class Body(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is stored of an event beside its place."""

    id: str
    type: str
    time: int
    data: bytes


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event as the scripts hand it out."""

    seq: int
    position: int
    body: Body

    def event(self, stream: str, epoch: str) -> Event:
        """The event of a run."""
        body = self.body
        return Event(stream, epoch, self.seq, self.position, body.id, body.type, body.time, body.data)


class Part(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A stretch of the firehose: events of one run, or one change of a stream."""

    stream: str
    epoch: str
    change: str
    oldest: int
    position: int
    rows: list[Row]

    def records(self) -> list[Record]:
        """What it stands for."""
        if not self.change:
            return [row.event(self.stream, self.epoch) for row in self.rows]
        return [Control(self.stream, self.epoch, self.position, Change(self.change), self.oldest)]


class StreamRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A stream as the scripts hand it out."""

    stream: str
    epoch: str
    head: int
    oldest: int
    id: str
    closed: int
    created: int
    updated: int
    latest: int

    def info(self, position: int) -> StreamInfo:
        """Its public face."""
        return StreamInfo(
            stream=self.stream,
            epoch=self.epoch,
            head=self.head,
            oldest=self.oldest,
            tag=id_tag(self.id) if self.id else 0,
            ended=self.closed > 0,
            created=self.created,
            updated=self.updated,
            position=position,
            latest=self.latest,
        )


class Streams(msgspec.Struct, frozen=True, array_like=True):
    """What `list.lua` answers; `id` is that of the event at `position`, if it is one."""

    position: int
    generation: int
    id: str
    streams: list[StreamRow]


class Changed(msgspec.Struct, frozen=True, array_like=True):
    """What `change.lua` answers."""

    position: int
    generation: int
    stream: StreamRow


class Span(msgspec.Struct, frozen=True, array_like=True):
    """A run, as far as reading it is concerned."""

    epoch: str
    oldest: int
    head: int

    def run(self) -> Run:
        """The same, as the rule for resuming takes it."""
        return Run(self.epoch, self.oldest, self.head)


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """What `read.lua` says beside the events. Only the first two are there if there is no such stream."""

    position: int
    generation: int
    current: Span | None = None
    wanted: list[str | int] = []
    id: str = ""
    epoch: str = ""
    first: int = 0
    head: int = 0
    closed: int = 0

    def named(self) -> Run | None:
        """The run that was asked for, if it is kept."""
        return msgspec.convert(self.wanted, Span).run() if self.wanted else None


class StreamPage(msgspec.Struct, frozen=True, array_like=True):
    """What `read.lua` answers."""

    facts: Facts
    rows: list[Row]


class FirehoseFacts(msgspec.Struct, frozen=True, array_like=True):
    """What `firehose.lua` says beside the events: all up to `reach` was looked at, and `more` may follow.

    `used` has the positions that are used, as far as that: first, count, first, count, …
    """

    position: int
    generation: int
    id: str
    reach: int
    more: int
    used: list[int]


class FirehosePage(msgspec.Struct, frozen=True, array_like=True):
    """What `firehose.lua` answers."""

    facts: FirehoseFacts
    parts: list[Part]

    def records(self) -> list[Record]:
        """All of it, in order."""
        return [record for part in self.parts for record in part.records()]


def head_cursor(epoch: str, streams: Streams) -> Cursor:
    """The place after everything."""
    return Cursor(epoch, streams.position, id_tag(streams.id) if streams.id else 0)


decode_streams = msgspec.msgpack.Decoder(Streams).decode
decode_changed = msgspec.msgpack.Decoder(Changed).decode
decode_page = msgspec.msgpack.Decoder(StreamPage).decode
decode_firehose = msgspec.msgpack.Decoder(FirehosePage).decode
