"""Events of plans, as the tests of their fold write them down."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.support.strategies import NOW_US

from runcast.core.event import MICROSECONDS, Event
from runcast.kinds.base import Publish, accept
from runcast.kinds.plan import PLAN
from runcast.kinds.plan_fold import PLAN_STATE
from runcast.kinds.plan_state import PlanState

STREAM = "plan:p"


class Story:
    """The events of a plan, told one after another by the rules of the kind, a second apart."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def tell(self, event_type: str, step_id: str | None = None, **data: Any) -> Story:
        time = NOW_US + len(self.events) * MICROSECONDS
        publish = Publish(stream=STREAM, type=event_type, data={"step_id": step_id, "data": data})
        new = accept(PLAN, publish, time, 256 * 1024)
        seq = len(self.events) + 1
        self.events.append(Event(STREAM, "e", seq, seq, f"e{seq}", new.type, new.time, new.data))
        return self

    @property
    def state(self) -> PlanState:
        return fold(self.events)


def fold(events: Iterable[Event]) -> PlanState:
    state = PlanState()
    for event in events:
        PLAN_STATE.step(state, event)
    return state


def begun(*steps: str | dict[str, Any], **more: Any) -> Story:
    """A plan of ours that has begun."""
    given = [{"step_id": step} if isinstance(step, str) else step for step in steps]
    return Story().tell("plan_started", managed=True, steps=given, total_steps=len(given), **more)
