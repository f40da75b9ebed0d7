"""Flat frames, `{"type", …}`: one message for each event, and control frames of the same shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from runcast.auth.principal import Principal
from runcast.core.event import Event, check_id, check_type, format_time, parse_time
from runcast.core.subscription import End, Missing, Notice, Reset
from runcast.errors import InvalidEvent, InvalidInput, RuncastError
from runcast.kinds.base import Publish
from runcast.live.codec import Message, Piece

_ENVELOPE: Final = ("type", "event_id", "timestamp", "seq", "cursor")
_ANY_TIME_US: Final = 2**62  # `accept` knows the clock and refuses the future; here only the form is checked

EncodeFrame = Callable[[Event, str], bytes]
"""An event as its flat frame, with its cursor."""


class FlatFrames:
    """The codec of a feed with flat frames, and what else is said in its words.

    Args:
        key: names the codec.
        encode: an event's frame.
        named: fields of every control frame, such as which workflow it is of.
        tells_end: whether a reader is told by an `end` frame that the run is over.
    """

    def __init__(
        self,
        key: str,
        encode: EncodeFrame,
        named: Mapping[str, Any] | None = None,
        *,
        tells_end: bool = True,
    ) -> None:
        self.key = self.piece_key = key
        self._encode = encode
        self._named = dict(named or {})
        self._tells_end = tells_end

    def piece(self, event: Event, cursor: str) -> bytes:
        """The event's flat frame."""
        return self._encode(event, cursor)

    def messages(self, pieces: Sequence[Piece], now_us: int) -> list[Message]:
        """One for each piece."""
        del now_us
        return [Message(piece.data, piece.cursor) for piece in pieces]

    def notice(self, notice: Notice, now_us: int) -> list[Message]:
        """`reset`, `gap` or `end`, with the `cursor` to go on from."""
        match notice:
            case Reset(reason=reason):
                fields: dict[str, Any] = {"reason": reason}
                return [self._notice("reset", notice, now_us, fields)]
            case Missing(first=first, last=last):
                return [self._notice("gap", notice, now_us, {"first_seq": first, "last_seq": last})]
            case End():
                return [self.end(notice, now_us)] if self._tells_end else []

    def end(self, notice: End, now_us: int) -> Message:
        """There is nothing more to come."""
        return self._notice("end", notice, now_us, {})

    def control(self, frame_type: str, now_us: int, fields: Mapping[str, Any] | None = None) -> Message:
        """A frame that is no event: without a place in the stream."""
        frame = {"type": frame_type, **self._named, **(fields or {}), "timestamp": format_time(now_us)}
        return Message(msgspec.json.encode(frame), "", frame_type)

    def error(self, error: RuncastError, now_us: int) -> Message:
        """What is wrong, in a sentence; `code` for programs, `field` where there is one."""
        fields: dict[str, Any] = {"code": error.code, "message": str(error), "retryable": error.retryable}
        if isinstance(error, InvalidInput) and error.field:
            fields["field"] = error.field
        return self.control("error", now_us, fields)

    def authenticated(self, principal: Principal, now_us: int) -> Message:
        """The answer to an `auth` message on a connection that reads already."""
        expires_s = principal.expires_s
        expires = None if expires_s is None else format_time(round(expires_s * 1e6))
        return self.control("authenticated", now_us, {"sub": principal.sub, "expires": expires})

    def _notice(self, frame_type: str, notice: Notice, now_us: int, fields: dict[str, Any]) -> Message:
        cursor = str(notice.cursor)
        frame = self.control(frame_type, now_us, {**fields, "cursor": cursor})
        return frame._replace(cursor=cursor)


def publish_of(stream: str, frame: Mapping[str, Any]) -> Publish:
    """Read a flat frame that somebody sends to `stream`, ready for the bus.

    `type` is required; `event_id` and `timestamp` (RFC 3339) may be absent or null; `seq` and `cursor` are the log's to
    give, and left out.

    Raises:
        InvalidEvent: one of these is missing or malformed.
    """
    event_id, timestamp = (_string(name, frame.get(name)) for name in ("event_id", "timestamp"))
    return Publish(
        stream=stream,
        type=check_type(frame.get("type")),
        data={name: value for name, value in frame.items() if name not in _ENVELOPE},
        id=None if event_id is None else check_id(event_id, "event_id"),
        time=None if timestamp is None else parse_time(timestamp, _ANY_TIME_US, "timestamp"),
    )


def _string(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise InvalidEvent(f"{name}: a string or null is expected.", field=name)
