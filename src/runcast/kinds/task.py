"""The task kind: what a background task tells of its progress, and the flat frame in which its clients read it.

An event's type is its step. `completed` and `failed` end a run; one that was cancelled ends with `failed` and `"status":
"cancelled"`, because clients wait for one of the two. The set of steps is open. Whoever published it, each
event has `message`, `percent` (an integer from 0 to 100), `error` (a boolean) and `tool`: a client that decodes
strictly stops for ever at the first frame that is otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from runcast.core.event import check_id, check_type, parse_time, stream_name
from runcast.errors import InvalidEvent
from runcast.kinds.base import Kind, Publish
from runcast.kinds.flat import Flat
from runcast.kinds.session import cut_text
from runcast.kinds.task_state import TASK_STATE

NAME: Final = "task"
QUEUED: Final = "queued"
STARTED: Final = "started"
RETRYING: Final = "retrying"
COMPLETED: Final = "completed"
FAILED: Final = "failed"
COMMAND: Final = "task_command"
"""Tells whoever runs the task what to do: `"command": "cancel"` is the one there is."""
CANCEL: Final = "cancel"
CANCELLED: Final = "cancelled"
"""The `status` of a `failed` that was wanted."""
PROCESSING: Final = "processing"
"""The step of whoever does not say."""
FIRST_STEP: Final = "entity_extraction"
"""What the documented agent begins with, at 10 percent."""

MAX_MESSAGE_CHARS: Final = 4_000
MAX_TOOL_CHARS: Final = 200

_ANY_TIME_US: Final = 2**62  # `accept` knows the clock and refuses the future; here only the form is checked
_OUTSIDE: Final = frozenset({"step", "task_id", "event_id", "timestamp", "seq", "cursor"})

_FLAT: Final = Flat(NAME, "step", "task_id")
task_stream = _FLAT.stream
task_id_of = _FLAT.id_of
encode_frame = _FLAT.encode_frame
to_frame = _FLAT.to_frame


def normalise(publish: Publish) -> dict[str, Any]:
    """The fields to be stored: `message`, `percent`, `error`, `tool`, always and of their types, then the publisher's own.

    An absent `percent` is 100 for `completed` and 0 otherwise; one with a fraction is rounded down, so that 100 means
    done. `failed` is an error, whatever it says. `heartbeat` is the server's word: false is dropped. Reserved names
    are moved under `data`; the envelope's names are dropped if they repeat what the envelope says.

    Raises:
        InvalidEvent: a field has a wrong type or value, or contradicts the envelope; the message names it.
    """
    fields = _FLAT.fields(_without_heartbeat(publish))
    if publish.type == COMMAND and fields.get("command") != CANCEL:
        raise InvalidEvent(f"command: {CANCEL} is the one there is.", field="command")
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
    got further than that. A command is for the run that there is.
    """
    return step != COMMAND and fields["percent"] == 0 and not fields["error"]


def check_own_step(step: str) -> None:
    """Refuse what only those may tell who run a task, in the code of the task itself.

    Raises:
        InvalidEvent: it is such a step.
    """
    if step in {COMPLETED, FAILED}:
        raise InvalidEvent(f"step: {step} is told when the task's function ends.", field="step")
    if step in {QUEUED, STARTED, RETRYING, COMMAND}:
        raise InvalidEvent(
            f"step: {step} is the word of those who run the task; choose another, such as {PROCESSING}.",
            field="step",
        )


def from_frame(task_id: str, frame: Mapping[str, Any]) -> Publish:
    """Read a documented message that somebody sends to a task, ready for the bus.

    Without a `step` it is `processing`; `event_id`, `timestamp` and `task_id` may be absent or null; `seq` and `cursor`
    are the log's to give, and left out.

    Raises:
        InvalidEvent: one of these is malformed, or names another task.
        InvalidStreamName: no task can be called `task_id`.
    """
    named = frame.get("task_id")
    if named is not None and named != task_id:
        raise InvalidEvent("task_id: not the task that this is sent to.", field="task_id")
    step, event_id, timestamp = (_string(name, frame.get(name)) for name in ("step", "event_id", "timestamp"))
    return Publish(
        stream=stream_name(NAME, task_id),
        type=check_type(PROCESSING if step is None else step, "step"),
        data={name: value for name, value in frame.items() if name not in _OUTSIDE},
        id=None if event_id is None else check_id(event_id, "event_id"),
        time=None if timestamp is None else parse_time(timestamp, _ANY_TIME_US, "timestamp"),
    )


# --- fields -------------------------------------------------------------------------------------


def _string(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise InvalidEvent(f"{name}: a string or null is expected.", field=name)


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


def _without_heartbeat(publish: Publish) -> Publish:
    fields = publish.data
    if "heartbeat" not in fields:
        return publish
    if _flag("heartbeat", fields["heartbeat"]):
        raise InvalidEvent("heartbeat: the server sends those; publish a step.", field="heartbeat")
    return replace(publish, data={name: value for name, value in fields.items() if name != "heartbeat"})


def _tool(value: object) -> str | None:
    if value is None or (isinstance(value, str) and len(value) <= MAX_TOOL_CHARS):
        return value or None
    raise InvalidEvent(f"tool: a string of at most {MAX_TOOL_CHARS} characters, or null.", field="tool")


TASK: Final = Kind(
    name=NAME,
    starts=frozenset({QUEUED, STARTED, FIRST_STEP}),
    terminals=frozenset({COMPLETED, FAILED}),
    watch_from="start",
    normalise=normalise,
    folds={TASK_STATE.name: TASK_STATE},
    begins=begins,
)
