"""Events and notices in Runcast's own words, as our clients and pages read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from runcast.core.event import Event, format_time
from runcast.core.subscription import End, Missing, Notice, Reset
from runcast.live.codec import Message, Piece


def native_event(event: Event, cursor: str) -> bytes:
    """One event as JSON: `stream`, `seq`, `id`, `type`, `time`, `cursor`, and `data` as it is stored."""
    head = msgspec.json.encode(
        {
            "stream": event.stream,
            "seq": event.seq,
            "id": event.id,
            "type": event.type,
            "time": format_time(event.time),
            "cursor": cursor,
        }
    )
    return b"".join((head[:-1], b',"data":', event.data, b"}"))


class NativeCodec:
    """A message for each event; notices name themselves (`gap`, `reset`, `end`)."""

    key = "native"
    piece_key = "native"

    def piece(self, event: Event, cursor: str) -> bytes:
        """See `native_event`."""
        return native_event(event, cursor)

    def messages(self, pieces: Sequence[Piece], now_us: int) -> list[Message]:
        """One for each piece."""
        del now_us
        return [Message(piece.data, piece.cursor) for piece in pieces]

    def notice(self, notice: Notice, now_us: int) -> list[Message]:
        """One message, with the `cursor` to go on from."""
        del now_us
        cursor = str(notice.cursor)
        match notice:
            case Reset(reason=reason):
                return [_notice("reset", {"reason": reason}, cursor)]
            case Missing(first=first, last=last):
                return [_notice("gap", {"first_seq": first, "last_seq": last}, cursor)]
            case End():
                return [_notice("end", {}, cursor)]


def _notice(event: str, fields: dict[str, Any], cursor: str) -> Message:
    return Message(msgspec.json.encode({"type": event, **fields, "cursor": cursor}), cursor, event)
