"""A base class for Celery tasks of one's own: what becomes of them is told without a further line.

app = Celery(task_cls="runcast.runners.tasks.celery_task:ProgressTask")

@app.task(bind=True, max_retries=3)
def analyse(self, text):
self.progress("Reading…", percent=10, step="entity_extraction")
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, Final

import msgspec

from runcast.config import Settings
from runcast.kinds.task import COMPLETED, FAILED, PROCESSING, RETRYING, STARTED, task_stream
from runcast.runners.tasks.attempt import read_story
from runcast.runners.tasks.celery_app import workplace
from runcast.runners.tasks.failure import TaskError, sentence_of
from runcast.runners.tasks.work_lease import new_owner
from runcast.sources.progress import ProgressPublisher

FLUSH_S: Final = 5.0
MAX_RESULT_BYTES: Final = 64 * 1024
SPARE_ATTEMPTS: Final = 3
"""So often a task's worker may die, beside the retries that it has of its own: one that kills its worker ends some time."""

_celery: Any = import_module("celery")
_exceptions: Any = import_module("celery.exceptions")


class ProgressTask(_celery.Task):
    """A Celery task whose id is a task's id here: `started`, `retrying`, `completed` and `failed` are told by themselves.

    It is acknowledged late and given back if its worker dies. `attempt` counts every beginning, redeliveries after a
    worker's death among them, which Celery's own counter of retries does not. `failed` is told when no retry remains.
    A redelivery of a task that is over is ignored.
    """

    abstract = True
    acks_late = True
    reject_on_worker_lost = True

    def progress(
        self,
        message: str,
        percent: float = 0,
        step: str = PROCESSING,
        tool: str | None = None,
        error: bool = False,
        **fields: Any,
    ) -> None:
        """Tell how far it is; see `ProgressPublisher.publish`."""
        fields.setdefault("attempt", self._attempt)
        self._publisher(self.request.id).publish(message, percent, step, tool, error, **fields)

    # what Celery calls

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Tell that it begins, for the how manieth time."""
        del args, kwargs
        state = self._read(task_id)
        delivery: dict[str, Any] = self.request.delivery_info or {}
        if state.is_over and delivery.get("redelivered"):
            raise _exceptions.Ignore
        attempt = 1 if state.is_over else state.attempt + 1
        self.request.runcast_attempt = attempt
        if attempt > (self.max_retries or 0) + 1 + SPARE_ATTEMPTS:
            raise TaskError("The processes that worked at it have died too often.")
        told: dict[str, Any] = {"attempt": attempt, "worker": new_owner(), "task_name": self.name}
        self._publisher(task_id).publish(f"Started, attempt {attempt}", 0, STARTED, **told)
        self._publisher(task_id).flush(FLUSH_S)  # counted before the task can cost us the process

    def on_retry(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Tell that another attempt follows."""
        del args, kwargs, einfo
        why = sentence_of(_cause(exc), f"the task {self.name}")
        self._tell(
            task_id, f"Attempt {self._attempt} failed: {why} Another one follows.", RETRYING, reason=why
        )

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Tell that it is done, and its result if JSON can hold it."""
        del args, kwargs
        self._tell(task_id, "Complete!", COMPLETED, percent=100, result=_as_json(retval))

    def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Tell that it has failed for good."""
        del args, kwargs, einfo
        why = sentence_of(exc, f"the task {self.name}")
        self._tell(task_id, f"Failed: {why}", FAILED, error=True)

    # how it is told

    @property
    def _attempt(self) -> int:
        return getattr(self.request, "runcast_attempt", 1)

    def _publisher(self, task_id: str) -> ProgressPublisher:
        return ProgressPublisher(task_id, Settings.from_env(os.environ))

    def _tell(self, task_id: str, message: str, step: str, percent: int = 0, **fields: Any) -> None:
        publisher = self._publisher(task_id)
        if step != COMPLETED:
            publisher.flush(FLUSH_S)
            percent = self._read(task_id).percent
        publisher.publish(message, percent, step, attempt=self._attempt, **fields)
        publisher.flush(FLUSH_S)  # before Celery acknowledges it, and before a process that is replaced ends

    def _read(self, task_id: str) -> Any:
        return read_story(workplace().log, task_stream(task_id)).state


def _cause(error: BaseException) -> BaseException:
    """What made it retry."""
    inner = getattr(error, "exc", None)
    return inner if isinstance(inner, BaseException) else error


def _as_json(value: object) -> Any:
    try:
        encoded = msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError):
        return None
    return msgspec.json.decode(encoded) if len(encoded) <= MAX_RESULT_BYTES else None
