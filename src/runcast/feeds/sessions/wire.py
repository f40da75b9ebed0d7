"""The frames of the session feed.

A client made from the document reads `count` and `events` of every message without looking at its type: so
each control frame has them too, empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from runcast.auth.principal import Principal
from runcast.core.event import Event, format_time
from runcast.core.subscription import End, Missing, Notice, Reset
from runcast.errors import InvalidInput, RuncastError
from runcast.kinds.session import encode_document
from runcast.live.codec import Message, Piece, split

BATCH_OVERHEAD_BYTES = 128


class BatchCodec:
    """`batch` frames of up to `batch_size` events."""

    piece_key = "session"

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.key = f"session-batch/{batch_size}"

    def piece(self, event: Event, cursor: str) -> bytes:
        """The event with its 14 documented fields, `seq`, `cursor`, and all others of its publisher."""
        return encode_document(event, cursor)

    def messages(self, pieces: Sequence[Piece], now_us: int) -> list[Message]:
        """As many batches as it takes."""
        time = format_time(now_us)
        return [self._batch(run, time) for run in split(pieces, self.batch_size, BATCH_OVERHEAD_BYTES)]

    def notice(self, notice: Notice, now_us: int) -> list[Message]:
        """A control frame."""
        return [notice_message(notice, now_us)]

    def _batch(self, run: Sequence[Piece], time: str) -> Message:
        events = b",".join([piece.data for piece in run])
        head = f'{{"type":"batch","count":{len(run)},"timestamp":"{time}","events":['.encode()
        return Message(b"".join((head, events, b"]}")), run[-1].cursor)


class EventCodec:
    """The documented single `event` frames, for clients that ask for `?format=event`."""

    key = "session-event"
    piece_key = "session"

    def piece(self, event: Event, cursor: str) -> bytes:
        """As in a batch."""
        return encode_document(event, cursor)

    def messages(self, pieces: Sequence[Piece], now_us: int) -> list[Message]:
        """A frame for each event; its `timestamp` is the event's."""
        del now_us
        return [Message(b'{"type":"event",' + piece.data[1:], piece.cursor) for piece in pieces]

    def notice(self, notice: Notice, now_us: int) -> list[Message]:
        """A control frame."""
        return [notice_message(notice, now_us)]


def notice_message(notice: Notice, now_us: int) -> Message:
    """`reset`, `gap` or `end`, each with the `cursor` to go on from."""
    cursor = str(notice.cursor)
    match notice:
        case Reset(reason=reason):
            return _control("reset", now_us, {"reason": reason, "cursor": cursor}, cursor)
        case Missing(first=first, last=last):
            return _control("gap", now_us, {"first_seq": first, "last_seq": last, "cursor": cursor}, cursor)
        case End():
            return _control("end", now_us, {"cursor": cursor}, cursor)


def pong_message(now_us: int) -> Message:
    """The answer to a client's `ping`."""
    return _control("pong", now_us, {})


def authenticated_message(now_us: int, principal: Principal) -> Message:
    """The answer to an `auth` message on a connection that reads already."""
    expires_s = principal.expires_s
    expires = None if expires_s is None else format_time(round(expires_s * 1e6))
    return _control("authenticated", now_us, {"sub": principal.sub, "expires": expires})


def error_message(error: RuncastError, now_us: int) -> Message:
    """What is wrong, in a sentence; `code` for programs, `field` where there is one."""
    fields: dict[str, Any] = {"code": error.code, "message": str(error), "retryable": error.retryable}
    if isinstance(error, InvalidInput) and error.field:
        fields["field"] = error.field
    return _control("error", now_us, fields)


def _control(frame_type: str, now_us: int, fields: Mapping[str, Any], cursor: str = "") -> Message:
    frame: dict[str, Any] = {
        "type": frame_type,
        "count": 0,
        "timestamp": format_time(now_us),
        "events": [],
        **fields,
    }
    return Message(msgspec.json.encode(frame), cursor, frame_type)
