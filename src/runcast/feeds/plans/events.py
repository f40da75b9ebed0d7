"""A plan's events as Python code makes and gets them: `EventType` and `StreamEvent`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

import msgspec
import uuid_utils

from runcast.core.event import Event, format_time, stream_name
from runcast.errors import InvalidStreamName
from runcast.kinds.base import Publish
from runcast.kinds.plan import event_type_of, to_frame
from runcast.live.bus import wall_clock_us

KIND = "plan"
MAX_TEXT_CHARS = 2_000
"""Of a value that stands as its text."""


class EventType(StrEnum):
    """The types that have a name; others may be used, too. A member equals its text, which is what is stored."""

    PLAN_STARTED = "plan_started"
    PLAN_COMPLETED = "plan_completed"
    PLAN_FAILED = "plan_failed"
    PLAN_PAUSED = "plan_paused"
    PLAN_RESUMED = "plan_resumed"
    PLAN_CANCELLED = "plan_cancelled"
    PLAN_COMMAND = "plan_command"
    COMMAND_REFUSED = "command_refused"
    STEP_STARTED = "step_started"
    STEP_COMPLETED = "step_completed"
    STEP_FAILED = "step_failed"
    STEP_PROGRESS = "step_progress"
    STEP_SKIPPED = "step_skipped"
    STEP_RETRYING = "step_retrying"
    STEP_ADDED = "step_added"
    STEP_REMOVED = "step_removed"
    STEPS_REORDERED = "steps_reordered"
    DEPENDENCIES_CHANGED = "dependencies_changed"
    QUALITY_CHECK = "quality_check"
    REVIEW_REQUIRED = "review_required"
    REVIEW_RESOLVED = "review_resolved"
    METRICS_UPDATE = "metrics_update"
    HEALTH_UPDATE = "health_update"
    ERROR = "error"
    PING = "ping"
    PONG = "pong"

    @classmethod
    def _missing_(cls, value: object) -> EventType | None:
        """`EventType("PLAN_STARTED")` is understood, too."""
        lower = value.lower() if isinstance(value, str) else None
        return next((one for one in cls if one.value == lower), None)


def type_text(event_type: EventType | str) -> str:
    """The type as it is stored: the known ones in lower case, however they are written."""
    return event_type_of(str(event_type))


def _now() -> str:
    return format_time(wall_clock_us())


def _new_id() -> str:
    return str(uuid_utils.uuid7())


@dataclass
class StreamEvent:
    """One event of a plan. `event_type` is a text, and equals the `EventType` of that name.

    `timestamp` is RFC 3339; now by default. `event_id` makes a repetition harmless: published twice, it is one event.
    """

    event_type: str
    plan_id: str
    step_id: str | None = None
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    timestamp: str = field(default_factory=_now)
    event_id: str = field(default_factory=_new_id)

    def __post_init__(self) -> None:
        self.event_type = type_text(self.event_type)

    def to_dict(self) -> dict[str, Any]:
        """The documented six fields."""
        return asdict(self)

    def to_json(self) -> str:
        """The documented six fields as JSON; what has no form there becomes its text."""
        return msgspec.json.encode({**self.to_dict(), "data": jsonable(self.data)}).decode()


_FIELDS = tuple(one.name for one in fields(StreamEvent))


def plan_stream(plan_id: str) -> str:
    """The stream of a plan.

    Raises:
        InvalidStreamName: no plan can be called so.
    """
    try:
        return stream_name(KIND, plan_id)
    except InvalidStreamName as error:
        raise InvalidStreamName(str(error).replace("plan id", "plan_id", 1), field="plan_id") from None


def to_publish(event: StreamEvent) -> Publish:
    """The event on its way to the bus.

    Raises:
        InvalidStreamName: no plan can be called so.
    """
    return Publish(
        stream=plan_stream(event.plan_id),
        type=event.event_type,
        data={"step_id": event.step_id, "data": jsonable(event.data)},
        id=event.event_id,
        time=event.timestamp,
    )


def jsonable(data: Mapping[Any, Any]) -> dict[str, Any]:
    """A copy of `data` as JSON can hold it; values of classes that have no form there become their text, cut.

    What cannot even be copied, such as what holds itself, is returned as it is: the bus refuses it in words.
    """
    try:
        return msgspec.to_builtins(dict(data), str_keys=True, enc_hook=_to_text)
    except (ArithmeticError, TypeError, ValueError, RecursionError):
        return dict(data)


def _to_text(value: object) -> object:
    dump = getattr(value, "model_dump", None)  # pydantic's
    return dump() if callable(dump) else str(value)[:MAX_TEXT_CHARS]


def from_stored(event: Event) -> StreamEvent:
    """The event as the log has it."""
    frame = to_frame(event)
    return StreamEvent(**{name: frame[name] for name in _FIELDS})
