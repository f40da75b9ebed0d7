"""What a list says of a plan: its state without what is long, so that thousands can be looked through at once."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from runcast.core.event import Event
from runcast.kinds.base import Fold
from runcast.kinds.plan_fold import advance_plan
from runcast.kinds.plan_state import PlanState


def summarise(state: PlanState, event: Event) -> None:
    """Take one event into the state, in place: as `advance_plan`, but for descriptions, parameters and results."""
    advance_plan(state, event)
    match event.type:
        case "plan_started" | "step_added":
            state.metadata = {}
            for step in state.steps.values():
                step.definition = replace(step.definition, description="", params={})
        case "step_completed":
            for step in state.steps.values():
                step.result = None
        case "health_update" | "metrics_update":
            state.health, state.metrics = {}, {}
        case _:
            pass


PLAN_SUMMARY: Final = Fold("summary", 1, PlanState, summarise, keep_every=1, as_json=True)
