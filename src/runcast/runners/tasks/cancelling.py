"""How a task is cancelled: whoever is at it sees the command in the stream, and the end that it then tells."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, Self

from runcast.core.event import Cursor
from runcast.errors import LogError
from runcast.kinds.stored import fields_of
from runcast.kinds.task import CANCEL, CANCELLED, COMMAND
from runcast.kinds.task_state import TaskState
from runcast.log.base import EventLog

LOOK_S: Final = 0.2
"""Between two looks into the stream."""


def end_of(by: str | None, reason: str | None, percent: int) -> dict[str, Any]:
    """The fields of the `failed` by which a cancelled task ends: clients wait for `completed` or `failed`."""
    who = f" by {by}" if by else ""
    why = f": {reason}" if reason else "."
    return {"message": f"Cancelled{who}{why}", "percent": percent, "error": True, "status": CANCELLED}


def end_of_state(state: TaskState) -> dict[str, Any]:
    """`end_of`, as the stream tells who has cancelled it."""
    return end_of(state.cancelled_by, state.cancel_reason, state.percent)


class CancelWatch:
    """Looks into a task's stream for a command to cancel it, in a thread, while it is used in a `with`.

    Args:
        log: where the stream is.
        stream: the task's.
        cursor: what was read of it already.
    """

    def __init__(self, log: EventLog, stream: str, cursor: Cursor | None) -> None:
        self._log = log
        self._stream = stream
        self._cursor = cursor
        self._cancelled = threading.Event()
        self._is_left = threading.Event()
        self._thread = threading.Thread(target=self._look, name="runcast-cancel", daemon=True)
        self.by: str | None = None
        self.reason: str | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_left.set()
        self._thread.join()

    @property
    def is_cancelled(self) -> Callable[[], bool]:
        """Whether such a command has come."""
        return self._cancelled.is_set

    def _look(self) -> None:
        while not self._is_left.wait(LOOK_S):
            try:
                if self._has_come():
                    self._cancelled.set()
                    return
            except LogError:  # what cannot be read now is read the next time
                continue

    def _has_come(self) -> bool:
        while True:
            page = self._log.read(self._stream, self._cursor)
            if (
                page.reset is not None and self._cursor is not None
            ):  # another run: its commands are not for this one
                self._is_left.set()
                return False
            for event in page.events:
                if event.type == COMMAND and (fields := fields_of(event)).get("command") == CANCEL:
                    self.by, self.reason = fields.get("by"), fields.get("reason")
                    return True
            self._cursor = page.cursor
            if page.complete:
                return False
