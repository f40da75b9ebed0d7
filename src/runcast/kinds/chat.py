"""The chat kind: a conversation of people with an agent, and the flat frame in which its clients read it.

The stream is the history. It has no end of its own: a conversation goes on whenever somebody says something. The set
of types is open. The fields that documented clients read without a look are in every event of a known type.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from runcast.core.event import Event, cursor_of, format_time, parse_time
from runcast.errors import InvalidEvent
from runcast.kinds.base import RESERVED, Kind, Publish, move_reserved
from runcast.kinds.chat_fields import settle
from runcast.kinds.chat_state import CHAT_STATE
from runcast.kinds.chat_summary import CHAT_SUMMARY

NAME: Final = "chat"
CREATED: Final = "session_created"
MESSAGE: Final = "message"
RETRY: Final = "retry"
TOKEN: Final = "token"  # noqa: S105 - a type of events
COMPLETE: Final = "complete"
ERROR: Final = "error"
COMMAND: Final = "chat_command"

_PREFIX: Final = NAME + ":"
_ANY_TIME_US: Final = 2**62  # `accept` knows the clock and refuses the future; here only the form is checked


class _Head(msgspec.Struct, gc=False):
    """What a frame begins with."""

    type: str
    session_id: str


class _Tail(msgspec.Struct, gc=False):
    """What a frame ends with."""

    timestamp: str
    event_id: str
    seq: int
    cursor: str


_encode = msgspec.json.Encoder().encode


def chat_stream(session_id: str) -> str:
    """The stream of a conversation; whether the name can be is checked where it is used."""
    return _PREFIX + session_id


def session_id_of(stream: str) -> str:
    """The conversation whose stream this is."""
    return stream.removeprefix(_PREFIX)


def normalise(publish: Publish) -> dict[str, Any]:
    """The fields to be stored: those of its type, always there and of their type, then the publisher's own.

    An absent or null field becomes what stands for unknown, over-long texts are cut with a mark, reserved names are
    moved under `data`. The envelope's names are dropped if they repeat what the envelope says.

    Raises:
        InvalidEvent: a field has a wrong type or value, or contradicts the envelope; the message names it.
    """
    fields = publish.data
    if not _NOT_IN_DATA.isdisjoint(fields):
        fields = move_reserved(_without_envelope(publish))
    return settle(publish.type, fields)


def encode_frame(event: Event, cursor: str = "") -> bytes:
    """The flat frame as compact JSON: `type`, `session_id`, the stored fields, then `timestamp` and its place.

    The stored data is joined on as it is: it is neither decoded nor checked. Without a `cursor`, that of its own
    stream.
    """
    head = _encode(_Head(event.type, event.stream.removeprefix(_PREFIX)))
    tail = _encode(_Tail(format_time(event.time), event.id, event.seq, cursor or str(cursor_of(event))))
    fields = event.data[1:-1]
    parts = (head[:-1], fields, tail[1:]) if fields else (head[:-1], tail[1:])
    return b",".join(parts)


def to_frame(event: Event, cursor: str = "") -> dict[str, Any]:
    """The flat frame as `encode_frame` writes it."""
    return msgspec.json.decode(encode_frame(event, cursor))


_NOT_IN_DATA: Final = frozenset({"event_id", "timestamp", "session_id", *RESERVED})


def _without_envelope(publish: Publish) -> dict[str, Any]:
    """The fields without the envelope's names, where these say nothing else than the envelope."""
    said = {
        "event_id": publish.id,
        "timestamp": publish.time,
        "session_id": session_id_of(publish.stream),
        "type": publish.type,
    }
    fields = dict(publish.data)
    for name, own in said.items():
        value = fields.get(name)
        if value is None or _instant(name, value) == _instant(name, own):
            fields.pop(name, None)
        elif name != "type":  # which is moved under `data`, as everywhere
            raise InvalidEvent(
                f"{name}: does not agree with the event's own; give it there, not in data.", field=name
            )
    return fields


def _instant(name: str, value: object) -> object:
    is_text_time = name == "timestamp" and isinstance(value, str)
    return parse_time(value, _ANY_TIME_US, name) if is_text_time and isinstance(value, str) else value


CHAT: Final = Kind(
    name=NAME,
    starts=frozenset({CREATED}),
    watch_from="now",
    normalise=normalise,
    folds={CHAT_STATE.name: CHAT_STATE, CHAT_SUMMARY.name: CHAT_SUMMARY},
)
