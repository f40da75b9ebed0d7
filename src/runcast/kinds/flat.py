"""Flat frames: on the wire an event is its stored fields, between its type and owner and its time and place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from runcast.core.event import Event, cursor_of, format_time, parse_time
from runcast.errors import InvalidEvent
from runcast.kinds.base import RESERVED, Publish, move_reserved

_ANY_TIME_US: Final = 2**62  # `accept` knows the clock and refuses the future; here only the form is checked
_encode = msgspec.json.Encoder().encode


class _Tail(msgspec.Struct, gc=False):
    """What a frame ends with."""

    timestamp: str
    event_id: str
    seq: int
    cursor: str


class Flat:
    """The frames of one kind, and the envelope's names in what publishers give.

    Args:
        kind: its name.
        type_name: what an event's type is called in a frame: `type`, `step`.
        id_name: what the second half of the stream's name is called: `workflow_id`.
    """

    def __init__(self, kind: str, type_name: str, id_name: str) -> None:
        self._prefix = f"{kind}:"
        self._type_name = type_name
        self._id_name = id_name
        self._envelope: Mapping[str, tuple[str, Callable[[Publish, object], bool]]] = {
            type_name: ("type", lambda publish, value: value == publish.type),
            "event_id": ("id", lambda publish, value: value == publish.id),
            "timestamp": ("time", _same_time),
            id_name: ("stream", lambda publish, value: f"{self._prefix}{value}" == publish.stream),
        }
        self._not_in_data = frozenset({*self._envelope, *RESERVED})

    def stream(self, own_id: str) -> str:
        """The stream of this id; whether the name can be is checked where it is used."""
        return self._prefix + own_id

    def id_of(self, stream: str) -> str:
        """Whose stream this is."""
        return stream.removeprefix(self._prefix)

    def fields(self, publish: Publish) -> dict[str, Any]:
        """What was given, without the envelope's names where they repeat what the envelope says.

        Reserved names that say something else are moved under `data`. Not to be changed: it may be the publisher's.

        Raises:
            InvalidEvent: a field contradicts the envelope; the message names it.
        """
        if self._not_in_data.isdisjoint(publish.data):
            return publish.data
        return move_reserved(self._without_envelope(publish))

    def encode_frame(self, event: Event, cursor: str = "") -> bytes:
        """The flat frame as compact JSON: type and owner, the stored fields, then `timestamp` and its place.

        The stored data is joined on as it is: it is neither decoded nor checked. Without a `cursor`, that of its
        own stream.
        """
        head = _encode({self._type_name: event.type, self._id_name: self.id_of(event.stream)})
        tail = _encode(_Tail(format_time(event.time), event.id, event.seq, cursor or str(cursor_of(event))))
        fields = event.data[1:-1]
        parts = (head[:-1], fields, tail[1:]) if fields else (head[:-1], tail[1:])
        return b",".join(parts)

    def to_frame(self, event: Event, cursor: str = "") -> dict[str, Any]:
        """The flat frame as `encode_frame` writes it."""
        return msgspec.json.decode(self.encode_frame(event, cursor))

    def _without_envelope(self, publish: Publish) -> dict[str, Any]:
        fields = dict(publish.data)
        for name, (own, agrees) in self._envelope.items():
            value = fields.get(name)
            if value is None or agrees(publish, value):
                fields.pop(name, None)
            elif name not in RESERVED:
                raise InvalidEvent(
                    f"{name}: does not agree with the event's own {own}; give it there, not in data.",
                    field=name,
                )
        return fields


def _same_time(publish: Publish, value: object) -> bool:
    own = publish.time
    own_us = parse_time(own, _ANY_TIME_US) if isinstance(own, str) else own
    return own_us == (parse_time(value, _ANY_TIME_US, "timestamp") if isinstance(value, str) else value)
