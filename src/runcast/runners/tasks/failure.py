"""What goes wrong in a task, and what those who watch are told of it."""

from __future__ import annotations

import logging

from runcast.errors import RuncastError

logger = logging.getLogger("runcast.tasks")

MAX_SENTENCE_CHARS = 2_000


class TaskError(Exception):
    """Raise it in a task: its message is shown to those who watch, and it is not tried again unless `retry`.

    The text of any other exception is not shown, as it may hold anything: watchers are told its type, the log of
    the process has the traceback, and the task is tried again.
    """

    def __init__(self, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.retry = retry


class TaskLost(BaseException):
    """The task belongs to another process now: nothing more is told by this one.

    Raised by every call of the context from then on. Not an `Exception`, so that it passes by `except Exception`.
    """


class TaskCancelled(BaseException):
    """Somebody has cancelled the task: it is to end here.

    Raised by every call of the context from then on; `finally` blocks run. Not an `Exception`, so that it passes by
    `except Exception`.
    """


def sentence_of(error: BaseException, who: str) -> str:
    """What is told of `error`, in a sentence; what is not told goes to the log."""
    if isinstance(error, TaskError | RuncastError) and str(error):
        return str(error)[:MAX_SENTENCE_CHARS].encode(errors="replace").decode()
    logger.error("%s failed", who, exc_info=error)
    return f"{type(error).__name__}."


def is_final(error: BaseException) -> bool:
    """Whether it would fail again for sure."""
    if isinstance(error, TaskError):
        return not error.retry
    return isinstance(error, RuncastError) and not error.retryable
