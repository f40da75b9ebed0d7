"""What a task has come to: a fold over its stream, for those who ask and for whoever runs it.

Light enough for lists: it holds neither the task's input nor its story. What comes after the first terminal event
changes nothing.
"""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from runcast.core.event import Event, format_time
from runcast.kinds.base import Fold
from runcast.kinds.stored import Fields, fields_of, text, whole

MAX_RESULT_BYTES: Final = 32 * 1024
"""A longer result is read from the stream by who wants it."""
MAX_ATTEMPTS: Final = 10
MAX_TITLE_CHARS: Final = 160
STATUSES: Final = ("queued", "running", "retrying", "completed", "failed", "cancelled")


class TaskState(msgspec.Struct):
    """Everything that is known of one run. Times are in microseconds since the Unix epoch.

    `managed`: it was begun by `queued`, so a runner is to bring it to its end; of others only somebody else's events
    are known. `attempt` counts the `started`; of a managed one those that name their `worker`, and its `retrying` names `due_at`: others
    may use these words, too. `due_at`: when the next attempt is to begin, 0 for at once. `executor` is
    what runs it: `celery`, `processes` or `threads`; `worker` which process of it began the last attempt. `cancel` is set
    when a command to cancel came. `title` is the first line of what it was begun with. `result` is a JSON value, empty if
    there is none.
    """

    status: str = ""
    managed: bool = False
    type: str | None = None
    title: str = ""
    executor: str | None = None
    worker: str | None = None
    by: str | None = None
    max_attempts: int = 1
    attempt: int = 0
    due_at: int = 0
    step: str = ""
    tool: str | None = None
    message: str = ""
    percent: int = 0
    error: bool = False
    cancel: bool = False
    cancelled_by: str | None = None
    cancel_reason: str | None = None
    created_at: int = 0
    began_at: int = 0
    attempt_at: int = 0
    """When the last attempt began."""
    updated_at: int = 0
    completed_at: int = 0
    result: bytes = b""

    @property
    def is_known(self) -> bool:
        """Whether anything was ever told of it."""
        return self.created_at > 0

    @property
    def is_over(self) -> bool:
        """Whether a terminal event came."""
        return self.completed_at > 0

    @property
    def can_be_cancelled(self) -> bool:
        """Whether somebody would hear of it: our runners, and Celery tasks with our base class."""
        return self.managed or self.executor == "celery"

    @property
    def is_open(self) -> bool:
        """Whether a runner is to bring it to its end."""
        return self.managed and not self.is_over

    @property
    def is_guarded(self) -> bool:
        """Whether Celery brings it to its end, and a server on the same broker sees whether its worker lives."""
        return not self.managed and self.executor == "celery" and not self.is_over


def step(state: TaskState, event: Event) -> None:
    """Take one event into `state`, in place."""
    if not state.created_at:
        state.created_at = event.time or 1
    if state.is_over:
        return
    fields = fields_of(event)
    state.updated_at = max(event.time, state.updated_at)
    if event.type == "task_command":
        _command(state, fields)
        return
    state.step, state.tool = event.type, text(fields, "tool")
    state.message = text(fields, "message") or ""
    state.percent, state.error = (whole(fields, "percent") or 0), fields.get("error") is True
    match event.type:
        case "queued":
            _queued(state, fields)
        case "started" if not state.managed or text(fields, "worker"):
            _started(state, event, fields)
        case "retrying" if not state.managed or whole(fields, "due_at"):
            state.status, state.due_at = "retrying", (whole(fields, "due_at") or 0)
        case "completed" | "failed":
            state.status, state.completed_at = _outcome(event, fields), event.time or 1
            _take_result(state, fields)
        case _:
            state.status = "running"
            state.began_at = state.began_at or event.time


def to_document(state: TaskState, task_id: str) -> dict[str, Any]:
    """What a client is told that asks for the task."""
    return {
        "task_id": task_id,
        "status": state.status,
        "title": state.title or None,
        "step": state.step,
        "tool": state.tool,
        "message": state.message,
        "percent": state.percent,
        "error": state.error,
        "type": state.type,
        "executor": state.executor,
        "worker": state.worker,
        "attempt": state.attempt,
        "max_attempts": state.max_attempts if state.managed else None,
        "by": state.by,
        "cancel_requested": state.cancel,
        "cancelled_by": state.cancelled_by,
        "cancel_reason": state.cancel_reason,
        "created_at": format_time(state.created_at),
        "started_at": format_time(state.began_at) if state.began_at else None,
        "updated_at": format_time(state.updated_at),
        "completed_at": format_time(state.completed_at) if state.is_over else None,
        "result": msgspec.json.decode(state.result) if state.result else None,
    }


def _queued(state: TaskState, fields: Fields) -> None:
    if state.managed or state.attempt:
        return
    state.status = "queued"
    state.type, state.executor = text(fields, "task_type"), text(fields, "executor")
    state.managed = state.type is not None
    state.title = _title(fields.get("params"))
    state.by = text(fields, "by")
    state.max_attempts = min(max((whole(fields, "max_attempts") or 0), 1), MAX_ATTEMPTS)


def _started(state: TaskState, event: Event, fields: Fields) -> None:
    state.status = "running"
    state.attempt += 1
    state.worker = text(fields, "worker")
    state.attempt_at = event.time
    state.began_at = state.began_at or event.time
    if not state.managed:  # a program's own task: it says itself what it is
        state.type = text(fields, "task_type") or state.type
        state.executor = text(fields, "executor") or state.executor


def _command(state: TaskState, fields: Fields) -> None:
    if fields.get("command") == "cancel" and not state.cancel:
        state.cancel, state.cancelled_by = True, text(fields, "by")
        state.cancel_reason = text(fields, "reason")


def _outcome(event: Event, fields: Fields) -> str:
    is_wanted = event.type == "failed" and fields.get("status") == "cancelled"
    return "cancelled" if is_wanted else event.type


def _title(params: object) -> str:
    """The first line of a title or a text among the parameters."""
    if not isinstance(params, dict):
        return ""
    given = cast("Fields", params)
    lines = (text(given, "title") or text(given, "text") or "").strip().splitlines()
    line = lines[0].strip() if lines else ""
    return line if len(line) <= MAX_TITLE_CHARS else f"{line[:MAX_TITLE_CHARS]}…"


def _take_result(state: TaskState, fields: Fields) -> None:
    result = msgspec.json.encode(fields.get("result"))
    if result != b"null" and len(result) <= MAX_RESULT_BYTES:
        state.result = result


TASK_STATE: Final = Fold("task", 2, TaskState, step, keep_every=16)
