"""What a stream is called, what an event is, and how a place in a stream is written down."""

from __future__ import annotations

import re
import zlib
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from functools import lru_cache

import msgspec

from runcast.errors import InvalidCursor, InvalidEvent, InvalidStreamName

MAX_TYPE_CHARS = 100
MAX_ID_CHARS = 200
MAX_CURSOR_CHARS = 100
MICROSECONDS = 1_000_000
DAY_US = 86_400 * MICROSECONDS

ANY_TAG = -1
"""The tag of a cursor that was computed instead of seen: reading goes on from it without a comparison."""

START = "start"
"""What stands for a cursor where reading begins with the first event of the current run."""

_KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")
_STREAM_ID = re.compile(r"[A-Za-z0-9._~@+-]{1,200}")
_STREAM_CURSOR = re.compile(r"([0-9a-f]{16})-(0|[1-9][0-9]{0,17})-([0-9a-f]{4})")


class Edge(IntEnum):
    """What an event does to the run of its stream (DESIGN: a stream may be run again and again)."""

    NONE = 0
    START = 1
    """Opens a new epoch if the current run is over."""
    TERMINAL = 2
    """The run is over with this event; later ones are still accepted."""


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """An event on its way into the log: normalised, not yet numbered.

    `data` is a JSON object as compact UTF-8 bytes. `id` is empty unless the publisher gave one: only those
    are checked for repetition. `time` is in microseconds since the Unix epoch.
    """

    stream: str
    type: str
    data: bytes
    time: int
    id: str = ""
    edge: Edge = Edge.NONE

    @property
    def size_bytes(self) -> int:
        """About what it takes in a queue."""
        return len(self.data) + 200


class Event(msgspec.Struct, frozen=True, gc=False):
    """One immutable fact in a stream, as the log keeps it.

    `seq` counts 1, 2, 3, … within `epoch`; `position` grows over the whole log, in commit order, with
    holes. `time` is in microseconds since the Unix epoch; order never comes from it. `data` is a JSON
    object as compact UTF-8 bytes, and is delivered as stored.
    """

    stream: str
    epoch: str
    seq: int
    position: int
    id: str
    type: str
    time: int
    data: bytes

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory and on the wire."""
        return len(self.data) + 200


class Cursor(msgspec.Struct, frozen=True, gc=False):
    """A place in a stream or firehose: the last event seen, or the start (`offset` 0).

    `offset` is the event's seq in a stream and its position in a firehose. `tag` is 16 bits of the event's
    id, so that a log which lost events and numbered others the same way is noticed.
    """

    epoch: str
    offset: int
    tag: int = 0

    def __str__(self) -> str:
        # A stream that does not exist yet has no epoch: whoever read it so far has seen nothing.
        return f"{self.epoch}-{self.offset}-{self.tag:04x}" if self.epoch else START


def id_tag(event_id: str) -> int:
    """The 16 bits of an event's id that its cursor carries."""
    return zlib.crc32(event_id.encode()) & 0xFFFF


def cursor_of(event: Event) -> Cursor:
    """The place right after `event` in its own stream."""
    return Cursor(event.epoch, event.seq, id_tag(event.id))


def parse_cursor(text: str) -> Cursor:
    """Read what `str(cursor)` wrote.

    Raises:
        InvalidCursor: `text` is not a cursor.
    """
    match = _STREAM_CURSOR.fullmatch(text) if len(text) <= MAX_CURSOR_CHARS else None
    if match is None:
        raise InvalidCursor(
            "after: not a cursor of this server; use one it sent, or start, or now.", field="after"
        )
    return Cursor(match[1], int(match[2]), int(match[3], 16))


def new_epoch(scope: str, random_bits: int) -> str:
    """A name for one incarnation of `scope` (a stream's name): 16 hex digits, 40 bits of them random.

    The first six digits come from the name itself, so that a cursor of one stream is never taken for a
    cursor of another (`epoch_belongs`).
    """
    return f"{_scope_tag(scope)}{random_bits & 0xFF_FFFF_FFFF:010x}"


def epoch_belongs(epoch: str, scope: str) -> bool:
    """Whether `epoch` can be one of `scope`'s."""
    return epoch.startswith(_scope_tag(scope))


def _scope_tag(scope: str) -> str:
    return f"{zlib.crc32(scope.encode()) & 0xFF_FFFF:06x}"


def check_kind(kind: str) -> str:
    """Return `kind` if a stream's kind may be called so.

    Raises:
        InvalidStreamName: it does not match `[a-z][a-z0-9_]{0,31}`.
    """
    if _KIND.fullmatch(kind) is None:
        raise InvalidStreamName("kind: 1 to 32 of a-z, 0-9 and _, beginning with a letter.", field="kind")
    return kind


def stream_name(kind: str, stream_id: str) -> str:
    """Join and check the two parts of a stream's name.

    Raises:
        InvalidStreamName: `kind` or `stream_id` has a character or a length that it must not have.
    """
    check_kind(kind)
    if _STREAM_ID.fullmatch(stream_id) is None or stream_id in {".", ".."}:
        raise InvalidStreamName(
            f"{kind} id: 1 to 200 characters of A-Z, a-z, 0-9 and . _ ~ @ + -, and neither . nor ..",
            field="stream",
        )
    return f"{kind}:{stream_id}"


@lru_cache(maxsize=4_096)  # every publish asks, and mostly of the same few streams
def split_stream(stream: str) -> tuple[str, str]:
    """The kind and the id of a stream's name, both checked.

    Raises:
        InvalidStreamName: the name is not `kind:id`.
    """
    kind, colon, stream_id = stream.partition(":")
    if not colon:
        raise InvalidStreamName("stream: a name is kind:id, for example session:demo.", field="stream")
    stream_name(kind, stream_id)
    return kind, stream_id


def check_type(event_type: object, field: str = "type") -> str:
    """Return `event_type` if an event may have it: 1 to 100 printable characters, otherwise an open set.

    Raises:
        InvalidEvent: it is no string, empty, too long, or has control characters.
    """
    return _printable(event_type, MAX_TYPE_CHARS, field)


def check_id(event_id: object, field: str = "id") -> str:
    """Return `event_id` if an event may have it: 1 to 200 printable characters.

    Raises:
        InvalidEvent: it is no string, empty, too long, or has control characters.
    """
    return _printable(event_id, MAX_ID_CHARS, field)


def parse_time(text: str, now_us: int, field: str = "time") -> int:
    """Read an RFC 3339 time, as microseconds since the Unix epoch; one without a zone is taken as UTC.

    Raises:
        InvalidEvent: it is no such time, lies before 1970, or more than a day after `now_us`.
    """
    try:
        moment = datetime.fromisoformat(text.upper())  # RFC 3339 §5.6 allows t and z; fromisoformat no z
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        delta = moment - _UNIX_EPOCH
    except (ValueError, OverflowError):
        raise InvalidEvent(
            f"{field}: not a time by RFC 3339, such as 2026-01-31T12:00:00Z.", field=field
        ) from None
    time_us = (delta.days * 86_400 + delta.seconds) * MICROSECONDS + delta.microseconds
    return check_time(time_us, now_us, field)


def check_time(time_us: object, now_us: int, field: str = "time") -> int:
    """Return `time_us` if an event may have it: microseconds since the Unix epoch.

    Raises:
        InvalidEvent: it is no integer, lies before 1970, or more than a day after `now_us`.
    """
    if isinstance(time_us, bool) or not isinstance(time_us, int):
        raise InvalidEvent(f"{field}: a text by RFC 3339, or microseconds since 1970.", field=field)
    if time_us < 0:
        raise InvalidEvent(f"{field}: before 1970.", field=field)
    if time_us > now_us + DAY_US:
        raise InvalidEvent(f"{field}: more than a day in the future.", field=field)
    return time_us


def format_time(time_us: int) -> str:
    """RFC 3339 in UTC with `Z`: milliseconds, or microseconds where there are any."""
    second, fraction = divmod(time_us, MICROSECONDS)
    digits = f"{fraction // 1000:03d}" if fraction % 1000 == 0 else f"{fraction:06d}"
    return f"{_format_second(second)}.{digits}Z"


@lru_cache(maxsize=256)  # events come in order of time, mostly: many share their second
def _format_second(second: int) -> str:
    return (_UNIX_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")


def _printable(value: object, max_chars: int, field: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= max_chars or not value.isprintable():
        raise InvalidEvent(f"{field}: a string of 1 to {max_chars} printable characters.", field=field)
    return value


_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
