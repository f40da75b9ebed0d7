"""Events of sessions, as the tests of their folds write them down."""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from tests.support.strategies import NOW_US, make_event

from runcast.core.event import MICROSECONDS, Event
from runcast.kinds.base import Fold

S = TypeVar("S")


def event(seq: int = 1, *, type: str = "tool_call", at_s: float = 0, id: str = "", **data: Any) -> Event:  # noqa: A002
    """A session's event, so many seconds after the beginning."""
    time = NOW_US + round(at_s * MICROSECONDS)
    return make_event(msgspec.json.encode(data), type=type, seq=seq, time=time, id=id)


def call(name: str, *, at_s: float = 0, **data: Any) -> Event:
    """A tool call that begins."""
    return event(id=name, at_s=at_s, **{"tool_name": "Bash", "status": "started", **data})


def result(name: str, *, at_s: float = 0, type: str = "tool_result", **data: Any) -> Event:  # noqa: A002
    """The result of a call."""
    status = "error" if type == "error" else "completed"
    return event(
        type=type, id=f"{name}:result", at_s=at_s, parent_event_id=name, **{"status": status, **data}
    )


def fold(fold: Fold[S], events: Iterable[Event], state: S | None = None) -> S:
    """The state after `events`."""
    state = fold.initial() if state is None else state
    for each in events:
        fold.step(state, each)
    return state
