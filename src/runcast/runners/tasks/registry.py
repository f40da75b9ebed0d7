"""The tasks there are: plain functions, each under a name, of this program and of installed packages."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from runcast.errors import InvalidInput
from runcast.kinds.task_state import MAX_ATTEMPTS

if TYPE_CHECKING:
    from runcast.runners.tasks.context import TaskContext

logger = logging.getLogger("runcast.tasks")

ENTRY_POINT_GROUP = "runcast.tasks"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")

TaskFunction = Callable[["TaskContext"], Any]
Check = Callable[[dict[str, Any]], None]
F = TypeVar("F", bound=Callable[..., Any])


class Registered(msgspec.Struct, frozen=True):
    """A function and how it is to be run. `check` refuses parameters before a task is begun."""

    function: TaskFunction
    max_attempts: int = 3
    backoff_s: float = 2.0
    check: Check | None = None


_tasks: dict[str, Registered] = {}


def task(
    name: str, *, max_attempts: int = 3, backoff_s: float = 2.0, check: Check | None = None
) -> Callable[[F], F]:
    """Register a plain function as the task `name`; a later one of the same name takes its place.

    The function gets a `TaskContext` and returns what came of it: what JSON can hold, or None. It runs in a process
    of its own (in a thread of the server where the log is in memory), and is called again from its beginning if it
    fails or its process dies: at most `max_attempts` (1 to 10) times, `backoff_s` seconds after the first failure,
    twice as long after each further one.

    Args:
        check: raises `InvalidInput` for parameters that cannot be, before anything is begun.

    Raises:
        InvalidInput: the name or a number cannot be, or the function is no plain one.
    """
    if _NAME.fullmatch(name) is None:
        raise InvalidInput("name: 1 to 100 characters of A-Z, a-z, 0-9 and _ . -", field="name")
    if not 1 <= max_attempts <= MAX_ATTEMPTS:
        raise InvalidInput(f"max_attempts: an integer from 1 to {MAX_ATTEMPTS}.", field="max_attempts")

    def register(function: F) -> F:
        if inspect.iscoroutinefunction(function) or not callable(function):
            raise InvalidInput(
                f"task {name}: a plain function is expected (def, not async def).", field="task"
            )
        _tasks[name] = Registered(function, max_attempts, backoff_s, check)
        return function

    return register


def find(name: str) -> Registered | None:
    """The task of that name, if there is one here."""
    return _tasks.get(name)


def names() -> list[str]:
    """What can be begun here."""
    return sorted(_tasks)


def load_entry_points() -> None:
    """Register what installed packages offer under `runcast.tasks`: each by the name of its entry point.

    One that cannot be loaded is logged and left out.
    """
    for point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            task(point.name)(point.load())
        except Exception:  # a package's root: it is somebody else's code, and must not cost the server
            logger.exception("the task %s of an installed package cannot be loaded", point.name)
