"""The workflow kind: what a workflow of agents tells, and the flat frame in which its clients read it.

A run begins with `workflow_created` (if this software runs it) and ends with `workflow_complete` or
`workflow_error`. The set of types is open: others' events are kept and passed on. The fields that clients read
without a look are in every event of a known type, whoever published it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from runcast.core.event import Event, cursor_of, format_time, parse_time
from runcast.errors import InvalidEvent
from runcast.kinds.base import RESERVED, Kind, Publish, move_reserved
from runcast.kinds.workflow_fields import settle
from runcast.kinds.workflow_state import WORKFLOW_STATE
from runcast.kinds.workflow_summary import WORKFLOW_SUMMARY

CREATED: Final = "workflow_created"
COMMAND: Final = "workflow_command"
COMPLETE: Final = "workflow_complete"
ERROR: Final = "workflow_error"
NAME: Final = "workflow"

_PREFIX: Final = NAME + ":"
_ANY_TIME_US: Final = 2**62  # `accept` knows the clock and refuses the future; here only the form is checked


class _Head(msgspec.Struct, gc=False):
    """What a frame begins with."""

    type: str
    workflow_id: str


class _Tail(msgspec.Struct, gc=False):
    """What a frame ends with."""

    timestamp: str
    event_id: str
    seq: int
    cursor: str


_encode = msgspec.json.Encoder().encode


def workflow_stream(workflow_id: str) -> str:
    """The stream of a workflow; whether the name can be is checked where it is used."""
    return _PREFIX + workflow_id


def workflow_id_of(stream: str) -> str:
    """The workflow whose stream this is."""
    return stream.removeprefix(_PREFIX)


def normalise(publish: Publish) -> dict[str, Any]:
    """The fields to be stored: those of its type, always there and of their type, then the publisher's own.

    An absent or null field becomes what stands for unknown, over-long texts are cut with a mark, reserved names
    are moved under `data`. The envelope's names are dropped if they repeat what the envelope says.

    Raises:
        InvalidEvent: a field has a wrong type or value, or contradicts the envelope; the message names it.
    """
    fields = publish.data
    if not _NOT_IN_DATA.isdisjoint(fields):
        fields = move_reserved(_without_envelope(publish))
    return settle(publish.type, fields)


def encode_frame(event: Event, cursor: str = "") -> bytes:
    """The flat frame as compact JSON: `type`, `workflow_id`, the stored fields, then `timestamp` and its place.

    The stored data is joined on as it is: it is neither decoded nor checked. Without a `cursor`, that of its
    own stream.
    """
    head = _encode(_Head(event.type, event.stream.removeprefix(_PREFIX)))
    tail = _encode(_Tail(format_time(event.time), event.id, event.seq, cursor or str(cursor_of(event))))
    fields = event.data[1:-1]
    parts = (head[:-1], fields, tail[1:]) if fields else (head[:-1], tail[1:])
    return b",".join(parts)


def to_frame(event: Event, cursor: str = "") -> dict[str, Any]:
    """The flat frame as `encode_frame` writes it."""
    return msgspec.json.decode(encode_frame(event, cursor))


def refers(publish: Publish) -> list[str]:
    """The stream of the workflow that is followed up: its synthesis is given to the agents of this one."""
    parent = publish.data.get("parent_workflow_id") if publish.type == CREATED else None
    return [f"{_PREFIX}{parent}"] if isinstance(parent, str) else []


# --- the envelope's names in data ---------------------------------------------------------------


def _same_time(publish: Publish, value: object) -> bool:
    own = publish.time
    own_us = parse_time(own, _ANY_TIME_US) if isinstance(own, str) else own
    return own_us == (parse_time(value, _ANY_TIME_US, "timestamp") if isinstance(value, str) else value)


_ENVELOPE: Final[dict[str, tuple[str, Callable[[Publish, object], bool]]]] = {
    "type": ("type", lambda publish, value: value == publish.type),
    "event_id": ("id", lambda publish, value: value == publish.id),
    "timestamp": ("time", _same_time),
    "workflow_id": ("stream", lambda publish, value: f"{_PREFIX}{value}" == publish.stream),
}
_NOT_IN_DATA: Final = frozenset({*_ENVELOPE, *RESERVED})


def _without_envelope(publish: Publish) -> dict[str, Any]:
    fields = dict(publish.data)
    for name, (own, agrees) in _ENVELOPE.items():
        value = fields.get(name)
        if name not in RESERVED and value is not None and not agrees(publish, value):
            raise InvalidEvent(
                f"{name}: does not agree with the event's own {own}; give it there, not in data.", field=name
            )
        if name not in RESERVED or value is None or agrees(publish, value):
            fields.pop(name, None)
    return fields


WORKFLOW: Final = Kind(
    name=NAME,
    starts=frozenset({CREATED}),
    terminals=frozenset({COMPLETE, ERROR}),
    watch_from="start",
    normalise=normalise,
    refers=refers,
    folds={WORKFLOW_STATE.name: WORKFLOW_STATE, WORKFLOW_SUMMARY.name: WORKFLOW_SUMMARY},
)
