"""The actions that steps can name, and the functions that judge their results: found by name, registered by decorators."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from runcast.runners.plans.context import StepContext

from runcast.errors import InvalidInput

logger = logging.getLogger("runcast.plans")

ENTRY_POINT_GROUP: Final = "runcast.plan_steps"

Action = Callable[["StepContext"], Any]
"""Does a step, in a thread. What it returns is the step's result: anything that JSON can hold."""
Gate = Callable[[Any, "StepContext"], float]
"""Judges a step's result, in the step's thread: from 0 to 1."""

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")

F = TypeVar("F", bound=Callable[..., Any])


class Registry(Generic[F]):
    """Functions by their names."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._functions: dict[str, F] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._functions

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)

    def get(self, name: str) -> F | None:
        """The function of this name."""
        return self._functions.get(name)

    def add(self, name: str, function: F) -> F:
        """Register a function; a later one of the same name takes its place.

        Raises:
            InvalidInput: the name cannot be, or the function is no plain one.
        """
        if _NAME.fullmatch(name) is None:
            raise InvalidInput("name: 1 to 100 characters of A-Z, a-z, 0-9 and _ . -", field="name")
        if inspect.iscoroutinefunction(function) or not callable(function):
            raise InvalidInput(
                f"{self._what} {name}: a plain function is expected (def, not async def): it runs in a thread.",
                field="action",
            )
        self._functions[name] = function
        return function


ACTIONS: Final[Registry[Action]] = Registry("action")
GATES: Final[Registry[Gate]] = Registry("quality gate")


def plan_step(name: str) -> Callable[[F], F]:
    """Register a plain function `def f(ctx) -> dict | str` as the action that steps of plans call `name`.

    It runs in a thread, and gets a `StepContext`. What it returns is the step's result; what it raises makes the
    attempt fail. It may run again, after a failure or when its process has died: what must happen once only it looks
    after itself (`ctx.plan_id` and `ctx.step_id` make a good key).
    """

    def register(function: F) -> F:
        ACTIONS.add(name, function)
        return function

    return register


def plan_gate(name: str) -> Callable[[F], F]:
    """Register `def f(result, ctx) -> float` (0 to 1) as the quality gate that steps call `name`."""

    def register(function: F) -> F:
        GATES.add(name, function)
        return function

    return register


def load_entry_points() -> None:
    """Register what installed packages offer as `runcast.plan_steps`: by the entry point's name, or by importing it.

    One that cannot be loaded is logged, and keeps back nothing else.
    """
    for point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            offered = point.load()
            if callable(offered):
                ACTIONS.add(point.name, offered)
        except Exception:  # anybody's code
            logger.exception("the plan steps of %s cannot be loaded", point.value)
