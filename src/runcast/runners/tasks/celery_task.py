"""A base class for Celery tasks of one's own: what becomes of them is told without a further line.

app = Celery(task_cls="runcast.runners.tasks.celery_task:ProgressTask")

@app.task(bind=True, max_retries=3)
def analyse(self, text):
    self.progress("Reading…", percent=10, step="entity_extraction")
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import msgspec

from runcast.kinds.task import COMPLETED, FAILED, PROCESSING, RETRYING, check_own_step
from runcast.runners.tasks.celery_work import AtWork, Over, Work, tell_end
from runcast.runners.tasks.failure import TaskCancelled, TaskError, sentence_of

MAX_RESULT_BYTES: Final = 64 * 1024
SPARE_ATTEMPTS: Final = 3
"""So often a task's worker may die, beside the retries that it has of its own: one that kills its worker ends some time."""

_celery: Any = import_module("celery")
_exceptions: Any = import_module("celery.exceptions")
_signals: Any = import_module("celery.signals")


class ProgressTask(_celery.Task):
    """A Celery task whose id is a task's id here: `started`, `retrying`, `completed` and `failed` are told by themselves.

    It is acknowledged late and given back if its worker dies. `attempt` counts every beginning, redeliveries after a
    worker's death among them, which Celery's own counter of retries does not. `failed` is told when no retry remains,
    also after a hard time limit or a revocation. A redelivery of a task that is over is ignored; one of a task at which
    another process still is waits for it. Called as a plain function, a task tells nothing.
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
        """Tell how far it is; see `ProgressPublisher.publish`.

        Raises:
            InvalidEvent, TooLarge: a value cannot be; names it.
            TaskCancelled: see `check`.
        """
        work = self._work
        if work is not None:
            work.check()
            check_own_step(step)
            work.tell(step, {"message": message, "percent": percent, "tool": tool, "error": error, **fields})

    def check(self) -> None:
        """See whether to go on: long computations should call it now and then.

        Raises:
            TaskCancelled: somebody has cancelled the task. It is no `Exception`, and not to be caught.
        """
        if self._work is not None:
            self._work.check()

    # what Celery calls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it, and end it quietly if it is cancelled."""
        work = self._work
        if work is None:
            return _celery.Task.__call__(self, *args, **kwargs)
        try:
            return self.run(*args, **kwargs)
        except TaskCancelled:
            work.tell_cancelled()
            work.flush()
            raise _exceptions.Ignore from None

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Tell that it begins, for the how manieth time."""
        del args, kwargs
        delivery: dict[str, Any] = self.request.delivery_info or {}
        redelivered, retries = bool(delivery.get("redelivered")), self.request.retries or 0
        try:
            work = Work.begin(task_id, self.name, retries=retries, redelivered=redelivered)
        except Over:
            raise _exceptions.Ignore from None
        except AtWork:
            raise _exceptions.Reject("another process is at it", requeue=True) from None
        self.request.runcast_work = work
        if work.attempt > (self.max_retries or 0) + 1 + SPARE_ATTEMPTS:
            raise TaskError("The processes that worked at it have died too often.")

    def on_retry(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Tell that another attempt follows."""
        del task_id, args, kwargs, einfo
        work = self._work
        if work is not None:
            why = sentence_of(_cause(exc), f"the task {self.name}")
            message = f"Attempt {work.attempt} failed: {why} Another one follows."
            work.tell(RETRYING, {"message": message, "reason": why})
            work.flush()

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Tell that it is done, and its result if JSON can hold it."""
        del task_id, args, kwargs
        work = self._work
        if work is not None:
            work.tell(COMPLETED, {"message": "Complete!", "percent": 100, "result": _as_json(retval)})
            work.flush()

    def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Tell that it has failed for good."""
        del args, kwargs, einfo
        work = self._work
        if work is None:  # a worker's main process, which has ended the one that was at it
            tell_end(task_id, f"Failed: {_of_limit(exc) or sentence_of(exc, f'the task {self.name}')}")
        elif work.is_cancelled:  # whatever came of being stopped
            work.tell_cancelled()
            work.flush()
        else:
            why = _of_limit(exc) or sentence_of(exc, f"the task {self.name}")
            work.tell(FAILED, {"message": f"Failed: {why}", "error": True})
            work.flush()

    @property
    def _work(self) -> Work | None:
        return getattr(self.request, "runcast_work", None)

    def leave(self) -> None:
        """The delivery is through."""
        if self._work is not None:
            self._work.leave()


def _cause(error: BaseException) -> BaseException:
    """What made it retry."""
    inner = getattr(error, "exc", None)
    return inner if isinstance(inner, BaseException) else error


def _of_limit(error: BaseException) -> str:
    """A time limit in words, empty for anything else."""
    if isinstance(error, _exceptions.SoftTimeLimitExceeded):
        return "It has taken longer than its soft time limit."
    if isinstance(error, _exceptions.TimeLimitExceeded):
        return "It has taken longer than its time limit."
    return ""


def _as_json(value: object) -> Any:
    try:
        encoded = msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError):
        return None
    return msgspec.json.decode(encoded) if len(encoded) <= MAX_RESULT_BYTES else None


# --- what happens to a task without its process -------------------------------------------------


def _left(sender: Any = None, **_: Any) -> None:
    if isinstance(sender, ProgressTask):
        sender.leave()


def _lost(sender: Any = None, task_id: str = "", exception: Any = None, **_: Any) -> None:
    """A time limit, or a death after which it is not given back, told by the worker's main process."""
    is_lost = isinstance(exception, _exceptions.TimeLimitExceeded | _exceptions.WorkerLostError)
    if is_lost and isinstance(sender, ProgressTask):
        tell_end(task_id, f"Failed: {_of_limit(exception) or 'its process has died.'}")


def _revoked(sender: Any = None, request: Any = None, expired: bool = False, **_: Any) -> None:
    if isinstance(sender, ProgressTask) and request is not None:
        tell_end(
            request.id, "It was not begun in time." if expired else "Cancelled: revoked.", cancelled=True
        )


_signals.task_postrun.connect(_left)
_signals.task_failure.connect(_lost)
_signals.task_revoked.connect(_revoked)
