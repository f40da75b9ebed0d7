"""The workflows there are: plain functions, each under a name, of this program and of installed packages."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, TypeVar

from runcast.errors import InvalidInput

if TYPE_CHECKING:
    from runcast.runners.workflows.context import Context

logger = logging.getLogger("runcast.workflows")

ENTRY_POINT_GROUP = "runcast.workflows"
DEFAULT = "research"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")

Workflow = Callable[["Context"], Any]
W = TypeVar("W", bound=Callable[..., Any])

_workflows: dict[str, Workflow] = {}


def workflow(name: str) -> Callable[[W], W]:
    """Register a plain function as the workflow `name`; a later one of the same name takes its place.

    The function gets a `Context` and returns what came of it: a text, or what an agent returned. It runs in a
    thread. After a restart, and when a question was answered that nobody answered for a while, it is called again
    from its beginning, and those of its agents that had completed return at once what they returned then: so what
    takes time or has effects belongs into agents.

    Raises:
        InvalidInput: the name cannot be, or the function is no plain one.
    """
    if _NAME.fullmatch(name) is None:
        raise InvalidInput("name: 1 to 100 characters of A-Z, a-z, 0-9 and _ . -", field="name")

    def register(function: W) -> W:
        if inspect.iscoroutinefunction(function) or not callable(function):
            raise InvalidInput(
                f"workflow {name}: a plain function is expected (def, not async def): it runs in a thread.",
                field="workflow",
            )
        _workflows[name] = function
        return function

    return register


def find(name: str) -> Workflow | None:
    """The workflow of that name, if there is one here."""
    return _workflows.get(name)


def names() -> list[str]:
    """What can be started here."""
    return sorted(_workflows)


def load_entry_points() -> None:
    """Register what installed packages offer under `runcast.workflows`: each by the name of its entry point.

    One that cannot be loaded is logged and left out.
    """
    for point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            workflow(point.name)(point.load())
        except Exception:  # a package's root: it is somebody else's code, and must not cost the server
            logger.exception("the workflow %s of an installed package cannot be loaded", point.name)
