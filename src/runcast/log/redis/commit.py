"""One commit to one partition: what the script is sent, and what its answer means."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from uuid_utils import uuid7

from runcast.chance import CHANCE
from runcast.core.event import Event, NewEvent, new_epoch
from runcast.log.base import Appended, Change, Control, Lease, Record

GIVEN = 1
"""A flag: the publisher gave the id. Beside it stands the event's edge, times two."""
FLAGS = "012345"
STRING = b"\xdb"
"""Begins a string in MessagePack, as Redis' library reads it: it knows no other kind of bytes."""
REPEATED, TRIMMED, CLOSED = -1, -2, 0
"""What a segment is instead of new events, by its count."""


class Batch(msgspec.Struct, frozen=True):
    """The events of one job that go to one partition."""

    events: Sequence[NewEvent]
    lease: Lease | None = None


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What the script answers; see `append.lua`."""

    before: int
    position: int
    generation: int
    results: list[int]
    segments: list[tuple[int, str, int, int, int]]


class Stored(msgspec.Struct, frozen=True):
    """What became of a commit: for each batch what became of its events (None: its lease is stale)."""

    before: int
    position: int
    generation: int
    appended: list[list[Appended] | None]
    records: list[Record]


_pack = msgspec.msgpack.Encoder().encode
_length = struct.Struct(">I").pack
_answer = msgspec.msgpack.Decoder(Answer)


class Commit:
    """Batches on their way to one partition. Their events get their ids here, so that to repeat it changes nothing."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches = batches
        self._ids = [[event.id or str(uuid7()) for event in batch.events] for batch in batches]
        self._streams = list(dict.fromkeys(event.stream for batch in batches for event in batch.events))
        self._packed = b""

    @property
    def positions(self) -> int:
        """How many positions it may take: one for each event, and one for each run that an event may close."""
        return sum(1 + (event.edge == 1) for batch in self._batches for event in batch.events)

    def packed(self) -> bytes:
        """Streams and jobs, as `append.lua` takes them."""
        if not self._packed:
            self._packed = _pack(self._build())
        return self._packed

    def read(self, answer: bytes) -> Stored:
        """What the script's answer says of each event."""
        reply = _answer.decode(answer)
        places = self._places(reply)
        appended: list[list[Appended] | None] = []
        records: list[Record] = []
        for batch, ids, stale in zip(self._batches, self._ids, reply.results, strict=True):
            if stale:
                appended.append(None)
                continue
            own: list[Appended] = []
            for event, event_id in zip(batch.events, ids, strict=True):
                place = next(places)
                while isinstance(place, Control):
                    records.append(place)
                    place = next(places)
                epoch, seq, position, is_new = place
                own.append(Appended(event.stream, epoch, seq, position, event_id, duplicate=not is_new))
                if is_new:
                    records.append(
                        Event(
                            event.stream, epoch, seq, position, event_id, event.type, event.time, event.data
                        )
                    )
            appended.append(own)
        records.extend(place for place in places if isinstance(place, Control))
        return Stored(reply.before, reply.position, reply.generation, appended, records)

    def _places(self, reply: Answer) -> Iterator[tuple[str, int, int, bool] | Control]:
        for index, epoch, seq, position, count in reply.segments:
            if count == REPEATED:
                yield epoch, seq, position, False
            elif count <= 0:
                change = Change.END if count == CLOSED else Change.TRIM
                yield Control(self._streams[index - 1], epoch, position, change, oldest=seq)
            for step in range(count):
                yield epoch, seq + step, position + step, True

    def _build(self) -> list[Any]:
        streams = [(stream, new_epoch(stream, CHANCE.getrandbits(40))) for stream in self._streams]
        numbers = {stream: index for index, stream in enumerate(self._streams, start=1)}
        jobs: list[Any] = []
        for batch, ids in zip(self._batches, self._ids, strict=True):
            segments: list[tuple[int, list[Any]]] = []
            last: str | None = None
            for event, event_id in zip(batch.events, ids, strict=True):
                if event.stream != last:
                    last = event.stream
                    segments.append((numbers[last], []))
                flags = FLAGS[2 * event.edge + bool(event.id)]
                body = _pack((event_id, event.type, event.time, event.data))
                segments[-1][1].extend((flags + event.id, msgspec.Raw(STRING + _length(len(body)) + body)))
            lease = batch.lease
            owner = (lease.name, str(lease.token), lease.owner) if lease else ("", "", "")
            jobs.append((*owner, segments))
        return [streams, jobs]
