"""The task kind: what a background task tells of its progress, and the flat frame in which its clients read it.

An event's type is its step. `completed` and `failed` end a run. The set of steps is open. Whoever published it, each
event has `message`, `percent` (an integer from 0 to 100), `error` (a boolean) and `tool`: a client that decodes
strictly stops for ever at the first frame that is otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from runcast.core.event import Event, cursor_of, format_time, parse_time
from runcast.errors import InvalidEvent
from runcast.kinds.base import RESERVED, Kind, Publish, move_reserved
from runcast.kinds.session import cut_text
from runcast.kinds.task_state import TASK_STATE

NAME: Final = "task"
QUEUED: Final = "queued"
STARTED: Final = "started"
RETRYING: Final = "retrying"
COMPLETED: Final = "completed"
FAILED: Final = "failed"
PROCESSING: Final = "processing"
"""The step of whoever does not say."""
FIRST_STEP: Final = "entity_extraction"
"""What the documented agent begins with, at 10 percent."""

MAX_MESSAGE_CHARS: Final = 4_000
MAX_TOOL_CHARS: Final = 200

_PREFIX: Final = NAME + ":"
_ANY_TIME_US: Final = 2**62  # `accept` knows the clock and refuses the future; here only the form is checked


class _Head(msgspec.Struct, gc=False):
    """What a frame begins with."""

    step: str
    task_id: str


class _Tail(msgspec.Struct, gc=False):
    """What a frame ends with."""

    timestamp: str
    event_id: str
    seq: int
    cursor: str


_encode = msgspec.json.Encoder().encode


def task_stream(task_id: str) -> str:
    """The stream of a task; whether the name can be is checked where it is used."""
    return _PREFIX + task_id


def task_id_of(stream: str) -> str:
    """The task whose stream this is."""
    return stream.removeprefix(_PREFIX)


def normalise(publish: Publish) -> dict[str, Any]:
    """The fields to be stored: `message`, `percent`, `error`, `tool`, always and of their types, then the publisher's own.

    An absent `percent` is 100 for `completed` and 0 otherwise; one with a fraction is rounded down, so that 100 means
    done. `failed` is an error, whatever it says. `heartbeat` is the server's word: false is dropped. Reserved names
    are moved under `data`; the envelope's names are dropped if they repeat what the envelope says.

    Raises:
        InvalidEvent: a field has a wrong type or value, or contradicts the envelope; the message names it.
    """
    fields = publish.data
    if not _NOT_IN_DATA.isdisjoint(fields):
        fields = move_reserved(_without_envelope(publish))
    settled = {
        "message": _message(fields.get("message")),
        "percent": _percent(fields.get("percent"), 100 if publish.type == COMPLETED else 0),
        "error": _flag("error", fields.get("error")) or publish.type == FAILED,
        "tool": _tool(fields.get("tool")),
    }
    return {**settled, **{name: value for name, value in fields.items() if name not in settled}}


def begins(step: str, fields: Mapping[str, Any]) -> bool:
    """Whether an event begins a run, if the last one is over: 0 percent, and nothing wrong.

    Ids are used again by publishers that know no word for a beginning. What comes late of a run that is over has
    got further than that.
    """
    del step
    return fields["percent"] == 0 and not fields["error"]


def encode_frame(event: Event, cursor: str = "") -> bytes:
    """The flat frame as compact JSON: `step`, `task_id`, the stored fields, then `timestamp` and its place.

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


# --- fields -------------------------------------------------------------------------------------


def _message(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return cut_text(value, MAX_MESSAGE_CHARS)
    raise InvalidEvent("message: a string is expected.", field="message")


def _percent(value: object, default: int) -> int:
    if value is None:
        return default
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100:
        return math.floor(value)
    raise InvalidEvent("percent: a number from 0 to 100.", field="percent")


def _flag(name: str, value: object) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise InvalidEvent(f"{name}: true or false is expected.", field=name)


def _tool(value: object) -> str | None:
    if value is None or (isinstance(value, str) and len(value) <= MAX_TOOL_CHARS):
        return value or None
    raise InvalidEvent(f"tool: a string of at most {MAX_TOOL_CHARS} characters, or null.", field="tool")


# --- the envelope's names in data ---------------------------------------------------------------


def _same_time(publish: Publish, value: object) -> bool:
    own = publish.time
    own_us = parse_time(own, _ANY_TIME_US) if isinstance(own, str) else own
    return own_us == (parse_time(value, _ANY_TIME_US, "timestamp") if isinstance(value, str) else value)


_ENVELOPE: Final[dict[str, tuple[str, Callable[[Publish, object], bool]]]] = {
    "step": ("type", lambda publish, value: value == publish.type),
    "event_id": ("id", lambda publish, value: value == publish.id),
    "timestamp": ("time", _same_time),
    "task_id": ("stream", lambda publish, value: f"{_PREFIX}{value}" == publish.stream),
}
_NOT_IN_DATA: Final = frozenset({*_ENVELOPE, *RESERVED, "heartbeat"})


def _without_envelope(publish: Publish) -> dict[str, Any]:
    fields = dict(publish.data)
    if _flag("heartbeat", fields.pop("heartbeat", None)):
        raise InvalidEvent("heartbeat: the server sends those; publish a step.", field="heartbeat")
    for name, (own, agrees) in _ENVELOPE.items():
        value = fields.pop(name, None)
        if value is not None and not agrees(publish, value):
            raise InvalidEvent(
                f"{name}: does not agree with the event's own {own}; give it there, not in data.", field=name
            )
    return fields


TASK: Final = Kind(
    name=NAME,
    starts=frozenset({QUEUED, STARTED, FIRST_STEP}),
    terminals=frozenset({COMPLETED, FAILED}),
    watch_from="start",
    normalise=normalise,
    folds={TASK_STATE.name: TASK_STATE},
    begins=begins,
)
