"""The plan kind: the vocabulary of a plan's stream, its rules for events, and the frame its clients read.

What is stored of an event is `{"step_id": …, "data": {…}}`; its type, id and time are the envelope's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import msgspec

from runcast.core.event import Event, cursor_of, format_time
from runcast.errors import InvalidEvent, InvalidInput
from runcast.kinds.base import Kind, Publish
from runcast.kinds.plan_commands import COMMAND_EVENT, read_command
from runcast.kinds.plan_definition import parse_plan
from runcast.kinds.plan_fold import PLAN_STATE
from runcast.kinds.plan_summary import PLAN_SUMMARY

_NAME: Final = "plan"
_PREFIX: Final = _NAME + ":"
MAX_STEP_ID_CHARS: Final = 200
"""Of whatever somebody calls a step; those of plans that we run are stricter."""

DOCUMENTED: Final = (
    "plan_started",
    "plan_completed",
    "plan_failed",
    "plan_paused",
    "plan_resumed",
    "step_started",
    "step_completed",
    "step_failed",
    "step_progress",
    "quality_check",
    "review_required",
    "metrics_update",
    "health_update",
    "error",
    "ping",
    "pong",
)
OURS: Final = (
    "plan_cancelled",
    "step_skipped",
    "step_retrying",
    "step_added",
    "step_removed",
    "steps_reordered",
    "dependencies_changed",
    "review_resolved",
    COMMAND_EVENT,
    "command_refused",
)
TYPES: Final = frozenset((*DOCUMENTED, *OURS))
TERMINALS: Final = frozenset({"plan_completed", "plan_failed", "plan_cancelled"})


class _Head(msgspec.Struct, gc=False):
    event_type: str
    plan_id: str


class _Tail(msgspec.Struct, gc=False):
    timestamp: str
    event_id: str
    seq: int
    cursor: str


_encode = msgspec.json.Encoder().encode


def event_type_of(name: str) -> str:
    """An event's type as it is stored: the known ones in lower case, however they are written."""
    lower = name.lower()
    return lower if lower in TYPES else name


_RESERVED_IDS: Final = {"command:": COMMAND_EVENT, "start:": "plan_started"}


def normalise(publish: Publish) -> dict[str, Any]:
    """The fields to be stored, `step_id` and `data`, with what documented clients read without checking.

    The type of `publish` is put in lower case, if it is a known one. Fields beside `data` are moved into it; those
    of the frame's envelope are dropped if they say what the envelope says.

    Raises:
        InvalidEvent: a field has a wrong type or value, or contradicts the envelope; the message names it.
    """
    publish.type = event_type_of(publish.type)
    _check_reserved(publish)
    fields = dict(publish.data)
    step_id = fields.pop("step_id", None)
    if step_id is not None and not (
        isinstance(step_id, str) and 1 <= len(step_id) <= MAX_STEP_ID_CHARS and step_id.isprintable()
    ):
        raise InvalidEvent(
            f"step_id: null, or a text of 1 to {MAX_STEP_ID_CHARS} printable characters, is expected.",
            field="step_id",
        )
    inner = fields.pop("data", None)
    if inner is not None and not isinstance(inner, dict):
        raise InvalidEvent("data: an object is expected.", field="data")
    data = dict(cast("dict[str, Any]", inner or {}))
    if fields:
        _move_into(data, publish, fields)
    if settle := _RULES.get(publish.type):
        settle(step_id, data)
    return {"step_id": step_id, "data": data}


def _check_reserved(publish: Publish) -> None:
    """An id that is a command's, or a start's, must not be taken by anything else: it would never be stored."""
    for prefix, event_type in _RESERVED_IDS.items():
        if publish.id is not None and publish.id.startswith(prefix) and publish.type != event_type:
            raise InvalidEvent(f"id: one that begins with {prefix} is for {event_type} only.", field="id")


def encode_frame(event: Event, cursor: str) -> bytes:
    """The documented frame as compact JSON, with the event's `seq` and the `cursor` given.

    The stored `step_id` and `data` are joined in as they are: they are neither decoded nor checked.
    """
    head = _encode(_Head(event.type, event.stream.removeprefix(_PREFIX)))
    tail = _encode(_Tail(format_time(event.time), event.id, event.seq, cursor))
    middle = event.data if event.data.startswith(b'{"step_id":') else _stored(event.data)
    return b"%b,%b,%b" % (head[:-1], middle[1:-1], tail[1:])


def to_frame(event: Event, cursor: str | None = None) -> dict[str, Any]:
    """The frame as `encode_frame` writes it; without a `cursor`, with that of its own stream."""
    return msgspec.json.decode(encode_frame(event, cursor or str(cursor_of(event))))


def _stored(data: bytes) -> bytes:
    """What was stored by somebody who does not know the rules of this kind, by these rules."""
    return _encode({"step_id": None, "data": msgspec.json.decode(data)})


def _move_into(data: dict[str, Any], publish: Publish, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if name in _ENVELOPE:
            if value is not None and not _ENVELOPE[name](publish, value):
                raise InvalidEvent(f"{name}: does not agree with the event's own.", field=name)
        elif name in data:
            raise InvalidEvent(f"{name}: stands beside data and in it.", field=name)
        else:
            data[name] = value


_ENVELOPE: Final[dict[str, Callable[[Publish, Any], bool]]] = {
    "event_type": lambda publish, value: isinstance(value, str) and event_type_of(value) == publish.type,
    "plan_id": lambda publish, value: f"{_PREFIX}{value}" == publish.stream,
    "event_id": lambda publish, value: value == publish.id,
    # what only the log gives: in an event that is told again they are those of the first telling
    "timestamp": lambda publish, value: True,
    "seq": lambda publish, value: True,
    "cursor": lambda publish, value: True,
}


# --- one rule per type ---------------------------------------------------------------------------


def _progress(step_id: str | None, data: dict[str, Any]) -> None:
    progress = data.get("progress")
    if isinstance(progress, bool) or not isinstance(progress, int | float) or not 0 <= progress <= 1:
        raise InvalidEvent("data.progress: a number from 0 to 1 is expected.", field="data.progress")
    _text(data, "message", "")


def _quality(step_id: str | None, data: dict[str, Any]) -> None:
    """Clients compare the score with a number of theirs, so there is always one."""
    score = data.get("quality_score", data.get("score"))
    if score is None:
        score = 1.0 if data.get("passed") is True else 0.0
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise InvalidEvent("data.quality_score: a number is expected.", field="data.quality_score")
    data["quality_score"] = score if math.isfinite(score) else 0.0


def _error(step_id: str | None, data: dict[str, Any]) -> None:
    _text(data, "error", "It failed.")


def _plan_started(step_id: str | None, data: dict[str, Any]) -> None:
    """A plan that a runner of ours shall take up is one that it can run."""
    if data.get("managed") is True:
        wanted = {name: data[name] for name in ("steps", "parallel_steps", "metadata") if name in data}
        _refuse(lambda: parse_plan(wanted))


def _command(step_id: str | None, data: dict[str, Any]) -> None:
    _refuse(lambda: read_command(step_id, data))


def _refuse(read: Callable[[], object]) -> None:
    try:
        read()
    except InvalidInput as error:
        field = f"data.{error.field}" if error.field else "data"
        raise InvalidEvent(f"data.{error}", field=field) from None


def _text(data: dict[str, Any], name: str, default: str) -> None:
    value = data.get(name)
    if value is None:
        data[name] = default
    elif not isinstance(value, str):
        raise InvalidEvent(f"data.{name}: a text is expected.", field=f"data.{name}")


_RULES: Final[dict[str, Callable[[str | None, dict[str, Any]], None]]] = {
    "plan_started": _plan_started,
    "plan_failed": _error,
    "step_progress": _progress,
    "step_failed": _error,
    "quality_check": _quality,
    COMMAND_EVENT: _command,
}


_SIGNED: Final = frozenset({"plan_started", COMMAND_EVENT, "review_resolved"})


def sign(publish: Publish, name: str) -> None:
    """Who starts a plan, gives it a command or answers for a gate is who publishes that."""
    data = publish.data.get("data")
    if publish.type.lower() in _SIGNED and isinstance(data, dict):
        publish.data = {**publish.data, "data": {**data, "by": name}}


PLAN: Final = Kind(
    name=_NAME,
    starts=frozenset({"plan_started"}),
    terminals=TERMINALS,
    watch_from="start",
    normalise=normalise,
    sign=sign,
    folds={PLAN_STATE.name: PLAN_STATE, PLAN_SUMMARY.name: PLAN_SUMMARY},
)
