"""What a task has come to: a fold over its stream, for those who ask and for whoever runs it.

Light enough for lists: it holds neither the task's input nor its story. What comes after the first terminal event
changes nothing.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from runcast.core.event import Event, format_time
from runcast.kinds.base import Fold
from runcast.kinds.stored import Fields, fields_of, text, whole

MAX_RESULT_BYTES: Final = 32 * 1024
"""A longer result is read from the stream by who wants it."""
MAX_ATTEMPTS: Final = 10
STATUSES: Final = ("queued", "running", "retrying", "completed", "failed")


class TaskState(msgspec.Struct):
    """Everything that is known of one run. Times are in microseconds since the Unix epoch.

    `managed`: it was begun by `queued`, so a runner is to bring it to its end; of others only somebody else's events
    are known. `attempt` counts the `started`. `due_at`: when the next attempt is to begin, 0 for at once. `executor` is
    what runs it: `celery`, `processes` or `threads`; `worker` which process of it began the last attempt. `result` is a JSON value, empty if there is none.
    """

    status: str = ""
    managed: bool = False
    type: str | None = None
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
    created_at: int = 0
    began_at: int = 0
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
    def is_open(self) -> bool:
        """Whether a runner is to bring it to its end."""
        return self.managed and not self.is_over


def step(state: TaskState, event: Event) -> None:
    """Take one event into `state`, in place."""
    if not state.created_at:
        state.created_at = event.time or 1
    if state.is_over:
        return
    fields = fields_of(event)
    state.updated_at = max(event.time, state.updated_at)
    state.step, state.tool = event.type, text(fields, "tool")
    state.message = text(fields, "message") or ""
    state.percent, state.error = (whole(fields, "percent") or 0), fields.get("error") is True
    match event.type:
        case "queued":
            _queued(state, fields)
        case "started":
            state.status = "running"
            state.attempt += 1
            state.worker = text(fields, "worker")
            state.began_at = state.began_at or event.time
        case "retrying":
            state.status, state.due_at = "retrying", (whole(fields, "due_at") or 0)
        case "completed" | "failed":
            state.status, state.completed_at = event.type, event.time or 1
            _take_result(state, fields)
        case _:
            state.status = "running"
            state.began_at = state.began_at or event.time


def to_document(state: TaskState, task_id: str) -> dict[str, Any]:
    """What a client is told that asks for the task."""
    return {
        "task_id": task_id,
        "status": state.status,
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
    state.by = text(fields, "by")
    state.max_attempts = min(max((whole(fields, "max_attempts") or 0), 1), MAX_ATTEMPTS)


def _take_result(state: TaskState, fields: Fields) -> None:
    result = msgspec.json.encode(fields.get("result"))
    if result != b"null" and len(result) <= MAX_RESULT_BYTES:
        state.result = result


TASK_STATE: Final = Fold("task", 1, TaskState, step, keep_every=16)
