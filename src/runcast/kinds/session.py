"""The session kind: what one coding agent's session tells, and the flat document its clients read.

A document has fourteen fields. Four of them are the event's envelope (`event_id`, `event_type`, `timestamp`,
`session_id`); the other ten stand in the stored data, always all of them and in this order, and after them
whatever else the publisher gave.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from runcast.core.event import (
    Event,
    check_id,
    check_type,
    cursor_of,
    format_time,
    parse_time,
    stream_name,
)
from runcast.errors import InvalidEvent
from runcast.kinds.base import RESERVED, Kind, Publish, move_reserved
from runcast.kinds.session_summary import SUMMARY
from runcast.kinds.session_totals import TOTALS

MAX_SUMMARY_CHARS: Final = 16_384
"""Longer summaries are cut, with a mark: a tool may print megabytes, and the event still counts."""

MAX_COST_TOKENS: Final = 2**53 - 1
"""The largest integer that a JavaScript client reads exactly."""

_NAME: Final = "session"
_PREFIX: Final = _NAME + ":"
_ANY_TIME_US: Final = 2**62  # `accept` knows the clock and refuses the future; here only the form is checked

_UNKNOWN: Final[dict[str, Any]] = {
    "agent_id": "unknown",
    "tool_name": None,
    "input_summary": None,
    "output_summary": None,
    "status": "recorded",
    "model": None,
    "parent_event_id": None,
    "execution_duration_seconds": 0.0,
    "cost_tokens": 0,
    "feature_id": None,
}

_Summary = Annotated[str, Meta(max_length=MAX_SUMMARY_CHARS)]
_Seconds = Annotated[float, Meta(ge=0, le=sys.float_info.max)]
_Tokens = Annotated[int, Meta(ge=0, le=MAX_COST_TOKENS)]


class _Settled(msgspec.Struct, gc=False):
    """The ten fields when nothing is to be mended; only ever used to check, in one step."""

    agent_id: str
    tool_name: str | None
    input_summary: _Summary | None
    output_summary: _Summary | None
    status: str
    model: str | None
    parent_event_id: str | None
    execution_duration_seconds: _Seconds
    cost_tokens: _Tokens
    feature_id: str | None


class _Head(msgspec.Struct, gc=False):
    """What a document begins with: the envelope, and the place in the stream."""

    event_id: str
    event_type: str
    timestamp: str
    session_id: str
    seq: int
    cursor: str


_encode_head = msgspec.json.Encoder().encode


def normalise(publish: Publish) -> dict[str, Any]:
    """The fields to be stored: the ten of every session event, then the publisher's own.

    An absent or null field becomes what is said for unknown; a number of tokens such as 12.0 becomes an
    integer; a summary over `MAX_SUMMARY_CHARS` is cut; reserved names are moved under `data`. The envelope's
    names are dropped if they repeat what the envelope says.

    Raises:
        InvalidEvent: a field has a wrong type or value, or contradicts the envelope; the message names it.
    """
    fields = {**_UNKNOWN, **publish.data}
    if not _NOT_IN_DATA.isdisjoint(fields):
        _drop_envelope(publish, fields)
        fields = move_reserved(fields)
    try:
        # Nearly every event passes here, in half a microsecond; only others are looked at field by field.
        msgspec.convert(fields, _Settled)
    except msgspec.ValidationError:
        for name, settle in _RULES.items():
            fields[name] = settle(name, fields[name])
    return fields


def from_document(session_id: str, document: Mapping[str, Any]) -> Publish:
    """Read the flat event that a client posted to `session_id`, ready for `accept`.

    `event_type` is required; `event_id`, `timestamp` (RFC 3339) and `session_id` may be absent or null.

    Raises:
        InvalidEvent: one of these is missing, malformed, or names another session.
        InvalidStreamName: no session can be called `session_id`.
    """
    fields = dict(document)
    stream = stream_name(_NAME, session_id)
    named = fields.pop("session_id", None)
    if named is not None and named != session_id:
        raise InvalidEvent("session_id: not the session that this is published to.", field="session_id")
    event_type = _string("event_type", fields.pop("event_type", None))
    if event_type is None:
        raise InvalidEvent("event_type: missing.", field="event_type")
    event_id = _string("event_id", fields.pop("event_id", None))
    timestamp = _string("timestamp", fields.pop("timestamp", None))
    return Publish(
        stream=stream,
        type=check_type(event_type, "event_type"),
        data=fields,
        id=None if event_id is None else check_id(event_id, "event_id"),
        time=None if timestamp is None else parse_time(timestamp, _ANY_TIME_US, "timestamp"),
    )


def encode_document(event: Event, cursor: str) -> bytes:
    """The flat event as compact JSON, with its `seq` and the `cursor` given.

    The stored data is joined on as it is: it is neither decoded nor checked.
    """
    head = _encode_head(
        _Head(
            event.id,
            event.type,
            format_time(event.time),
            event.stream.removeprefix(_PREFIX),
            event.seq,
            cursor,
        )
    )
    data = event.data
    return head if len(data) <= 2 else head[:-1] + b"," + data[1:]


def to_document(event: Event, cursor: str | None = None) -> dict[str, Any]:
    """The flat event as `encode_document` writes it; without a `cursor`, with that of its own stream."""
    return msgspec.json.decode(encode_document(event, cursor or str(cursor_of(event))))


def cut_text(text: str, limit: int = MAX_SUMMARY_CHARS) -> str:
    """At most `limit` characters (at least 40) of `text`; where it was cut, a mark says how long it was."""
    if len(text) <= limit:
        return text
    mark = f"… [cut, {len(text)} characters]"
    return text[: limit - len(mark)] + mark


# --- the envelope's names in data --------------------------------------------------------------


def _same_time(publish: Publish, value: object) -> bool:
    own = publish.time
    own_us = parse_time(own, _ANY_TIME_US) if isinstance(own, str) else own
    return own_us == (parse_time(value, _ANY_TIME_US, "timestamp") if isinstance(value, str) else value)


_ENVELOPE: Final[dict[str, tuple[str, Callable[[Publish, object], bool]]]] = {
    "event_id": ("id", lambda publish, value: value == publish.id),
    "event_type": ("type", lambda publish, value: value == publish.type),
    "timestamp": ("time", _same_time),
    "session_id": ("stream", lambda publish, value: f"{_PREFIX}{value}" == publish.stream),
}
_NOT_IN_DATA: Final = frozenset({*_ENVELOPE, *RESERVED})


def _drop_envelope(publish: Publish, fields: dict[str, Any]) -> None:
    for name, (own, agrees) in _ENVELOPE.items():
        value = fields.pop(name, None)
        if value is not None and not agrees(publish, value):
            raise InvalidEvent(
                f"{name}: does not agree with the event's own {own}; give it there, not in data.", field=name
            )


# --- one rule per field, for what the quick check did not pass ----------------------------------


def _string(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise InvalidEvent(f"{name}: a string or null is expected.", field=name)


def _string_or_default(name: str, value: object) -> str:
    text = _string(name, value)
    return _UNKNOWN[name] if text is None else text


def _summary(name: str, value: object) -> str | None:
    text = _string(name, value)
    return None if text is None else cut_text(text)


def _seconds(name: str, value: object) -> float:
    if value is None:
        return 0.0
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= sys.float_info.max:
        return float(value)
    raise InvalidEvent(f"{name}: a finite number of at least 0 is expected.", field=name)


def _tokens(name: str, value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COST_TOKENS:
        return value
    raise InvalidEvent(f"{name}: an integer from 0 to {MAX_COST_TOKENS} is expected.", field=name)


_RULES: Final[dict[str, Callable[[str, object], str | float | None]]] = {
    "agent_id": _string_or_default,
    "tool_name": _string,
    "input_summary": _summary,
    "output_summary": _summary,
    "status": _string_or_default,
    "model": _string,
    "parent_event_id": _string,
    "execution_duration_seconds": _seconds,
    "cost_tokens": _tokens,
    "feature_id": _string,
}


SESSION: Final = Kind(
    name=_NAME,
    # No event type begins or ends a run: a session that is resumed after its `end` is the same session, its
    # readers read on and its totals go on. Only `end` or `clear` of the stream itself opens a new epoch.
    watch_from="now",
    normalise=normalise,
    folds={SUMMARY.name: SUMMARY, TOTALS.name: TOTALS},
)
