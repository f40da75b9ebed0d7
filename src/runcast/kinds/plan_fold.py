"""How each event changes a plan's state. Events that make no sense where they come change nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast

import msgspec

from runcast.core.event import MICROSECONDS, Event
from runcast.errors import InvalidInput
from runcast.kinds.base import Fold
from runcast.kinds.plan_commands import COMMAND_EVENT, read_command
from runcast.kinds.plan_definition import MAX_STEPS, StepDefinition, parse_plan, parse_step
from runcast.kinds.plan_state import MAX_PENDING, PlanState, StepState, StepStatus

KEPT_RESULT_BYTES: Final = 32 * 1024
"""Results of events that are longer than this are not kept in the state, but read from the stream again."""
KEPT_FIGURES_BYTES: Final = 4 * 1024
MAX_KEPT_CHARS: Final = 2_000


class Told(NamedTuple):
    """An event with its data decoded."""

    event: Event
    step_id: str | None
    data: dict[str, Any]

    def text(self, name: str, limit: int = MAX_KEPT_CHARS) -> str:
        """A text of the data, cut; empty if there is none."""
        value = self.data.get(name)
        return value[:limit] if isinstance(value, str) else ""

    def number(self, name: str) -> float | None:
        """A finite number of the data."""
        value = self.data.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value) if abs(value) < 1e15 and math.isfinite(value) else None

    def whole(self, name: str, default: int) -> int:
        """A number of the data that counts something."""
        value = self.data.get(name)
        return (
            value
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9
            else default
        )


class _Stored(msgspec.Struct, gc=False):
    step_id: str | None = None
    data: dict[str, Any] = {}


_decode = msgspec.json.Decoder(_Stored).decode


def advance_plan(state: PlanState, event: Event) -> None:
    """Take one event into `state`, in place. It never fails, whatever the event holds."""
    state.events += 1
    state.latest_at = event.time
    try:
        stored = _decode(event.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    told = Told(event, stored.step_id, stored.data)
    if event.type == COMMAND_EVENT:
        _take_command(state, told)
        return
    if change := _OF_PLAN.get(event.type):
        change(state, told)
    elif on_step := _OF_STEP.get(event.type):
        step = _step(state, stored.step_id)
        if step is not None and not (state.managed and not _makes_sense(state, step, told)):
            on_step(step, told)
    answered = stored.data.get("command_id")
    if isinstance(answered, str):
        state.pending.pop(answered, None)


PLAN_STATE: Final = Fold("state", 1, PlanState, advance_plan, as_json=True)


def _makes_sense(state: PlanState, step: StepState, told: Told) -> bool:
    """Whether a step of a plan of ours can do this now: what anybody else publishes must not confuse its runner."""
    if state.is_over:
        return False
    if told.event.type == "step_retrying" and "command_id" in told.data:
        return step.is_begun and step.status != "running"
    return step.status in _FROM[told.event.type]


def _step(state: PlanState, step_id: str | None) -> StepState | None:
    """The step of this name; of a plan that somebody else runs, steps are learned as they are told of."""
    if step_id is None:
        return None
    step = state.steps.get(step_id)
    if step is None and not state.managed and len(state.steps) < MAX_STEPS:
        step = state.steps[step_id] = StepState(StepDefinition(step_id=step_id))
    return step


# --- the plan ------------------------------------------------------------------------------------


def _plan_started(state: PlanState, told: Told) -> None:
    if state.managed and not state.is_over:
        return  # it is running: whoever says this does not know
    fresh = PlanState(
        status="running",
        name=told.text("name"),
        query=told.text("query", 10_000),
        by=told.text("by") or None,
        begun_at=told.event.time,
        latest_at=told.event.time,
        events=state.events,
    )
    _read_definition(fresh, told.data)
    for name in fresh.__struct_fields__:
        setattr(state, name, getattr(fresh, name))


def _read_definition(state: PlanState, data: dict[str, Any]) -> None:
    wanted = {
        name: data[name] for name in ("steps", "parallel_steps", "metadata") if data.get(name) is not None
    }
    try:
        plan = parse_plan(wanted)
    except InvalidInput:
        total = data.get("total_steps")
        state.total_steps = total if isinstance(total, int) and 0 <= total < 10**9 else 0
        return
    state.managed = data.get("managed") is True
    state.steps = {step.step_id: StepState(step) for step in plan.steps}
    state.total_steps = len(plan.steps)
    state.parallel_steps = plan.parallel_steps
    state.metadata = plan.metadata


def _plan_paused(state: PlanState, told: Told) -> None:
    if not state.is_over:
        state.status = "paused"


def _plan_resumed(state: PlanState, told: Told) -> None:
    if state.status in {"paused", "failed", "unknown"}:
        state.status, state.ended_at, state.error = "running", None, None


def _plan_completed(state: PlanState, told: Told) -> None:
    if not state.is_over:
        state.status, state.ended_at = "completed", told.event.time


def _plan_failed(state: PlanState, told: Told) -> None:
    if not state.is_over:
        state.status, state.ended_at = "failed", told.event.time
        state.error = told.text("error")


def _plan_cancelled(state: PlanState, told: Told) -> None:
    if not state.is_over:
        state.status, state.ended_at = "cancelled", told.event.time
        state.error = told.text("reason") or None
        for step in state.steps.values():
            if step.status in {"running", "retrying", "review"}:
                step.status, step.ended_at, step.retry_at = "cancelled", told.event.time, None


def _step_added(state: PlanState, told: Told) -> None:
    try:
        step = parse_step(told.data.get("step"))
    except InvalidInput:
        return
    if step.step_id not in state.steps and len(state.steps) < MAX_STEPS and not state.is_over:
        state.steps[step.step_id] = StepState(step)
        state.total_steps = len(state.steps)


def _step_removed(state: PlanState, told: Told) -> None:
    if told.step_id in state.steps and not state.is_over:
        del state.steps[told.step_id]
        state.removed += 1
        state.total_steps = len(state.steps)


def _steps_reordered(state: PlanState, told: Told) -> None:
    order = told.data.get("order")
    if isinstance(order, list):
        first = [
            name for name in cast("list[object]", order) if isinstance(name, str) and name in state.steps
        ]
        names = dict.fromkeys([*first, *state.steps])
        state.steps = {name: state.steps[name] for name in names}


def _dependencies_changed(state: PlanState, told: Told) -> None:
    needed, step = told.data.get("depends_on"), state.steps.get(told.step_id or "")
    if step is not None and isinstance(needed, list):
        names = tuple(name for name in cast("list[object]", needed) if isinstance(name, str))
        step.definition = msgspec.structs.replace(step.definition, depends_on=names)


def _health_update(state: PlanState, told: Told) -> None:
    if len(told.event.data) <= KEPT_FIGURES_BYTES:
        state.health = told.data


def _metrics_update(state: PlanState, told: Told) -> None:
    if len(told.event.data) <= KEPT_FIGURES_BYTES:
        state.metrics = told.data


MAX_DELAY_S: Final = 366 * 86_400.0
"""Before a step is tried again; what anybody tells may be more than a date can be."""


def _take_command(state: PlanState, told: Told) -> None:
    try:
        command = read_command(told.step_id, told.data)
    except InvalidInput:
        return
    if len(state.pending) < MAX_PENDING:
        state.pending[command.command_id] = command


# --- one step ------------------------------------------------------------------------------------


def _step_started(step: StepState, told: Told) -> None:
    step.attempt = told.whole("attempt", step.attempt + 1)
    step.tries += 1
    step.status = "running"
    step.begun_at, step.ended_at, step.retry_at = told.event.time, None, None
    step.progress, step.message, step.error, step.reason, step.seconds = 0.0, "", None, None, None
    step.result = step.result_seq = step.quality_score = None
    if name := told.text("name", 500):
        step.definition = msgspec.structs.replace(step.definition, name=step.definition.name or name)


def _step_progress(step: StepState, told: Told) -> None:
    progress = told.number("progress")
    if progress is not None and step.status == "running":
        step.progress, step.message = progress, told.text("message", 500)


def _step_completed(step: StepState, told: Told) -> None:
    step.status = "completed"
    step.ended_at, step.retry_at = told.event.time, None
    step.progress, step.error, step.reason = 1.0, None, None
    score = told.number("quality_score")
    step.quality_score = step.quality_score if score is None else score
    step.seconds = told.number("seconds")
    if "result_seq" in told.data:  # after a review: the event that asked for it has the result
        step.result_seq = told.whole("result_seq", 0) or None
    else:
        _keep_result(step, told, told.data.get("result", told.data))


def _step_failed(step: StepState, told: Told) -> None:
    step.status = "retrying" if told.data.get("will_retry") is True else "failed"
    step.ended_at, step.retry_at = told.event.time, None  # `step_retrying` says when
    step.error = told.text("error")
    step.seconds = told.number("seconds")


def _step_retrying(step: StepState, told: Told) -> None:
    delay_s = told.number("delay_s") or 0.0
    step.status = "retrying"
    step.retry_at = told.event.time + round(min(max(delay_s, 0.0), MAX_DELAY_S) * MICROSECONDS)
    if "command_id" in told.data:  # opened by hand: all its attempts are before it again
        step.tries, step.error, step.reason = 0, None, None
        step.ended_at = step.seconds = step.result = step.result_seq = step.quality_score = None
        step.progress, step.message = 0.0, ""


def _step_skipped(step: StepState, told: Told) -> None:
    step.status = "skipped"
    step.ended_at, step.retry_at = told.event.time, None
    step.reason = told.text("reason") or None
    step.result = step.result_seq = None


def _quality_check(step: StepState, told: Told) -> None:
    step.quality_score = told.number("quality_score")


def _review_required(step: StepState, told: Told) -> None:
    step.status = "review"
    step.reason = told.text("reason") or None
    step.quality_score = told.number("quality_score")
    step.seconds = told.number("seconds")
    _keep_result(step, told, told.data.get("result"))


def _keep_result(step: StepState, told: Told, result: Any) -> None:
    if len(told.event.data) <= KEPT_RESULT_BYTES:
        step.result, step.result_seq = result, None
    else:
        step.result, step.result_seq = None, told.event.seq


_OF_PLAN: Final[dict[str, Callable[[PlanState, Told], None]]] = {
    "plan_started": _plan_started,
    "plan_paused": _plan_paused,
    "plan_resumed": _plan_resumed,
    "plan_completed": _plan_completed,
    "plan_failed": _plan_failed,
    "plan_cancelled": _plan_cancelled,
    "step_added": _step_added,
    "step_removed": _step_removed,
    "steps_reordered": _steps_reordered,
    "dependencies_changed": _dependencies_changed,
    "health_update": _health_update,
    "metrics_update": _metrics_update,
}

_OF_STEP: Final[dict[str, Callable[[StepState, Told], None]]] = {
    "step_started": _step_started,
    "step_progress": _step_progress,
    "step_completed": _step_completed,
    "step_failed": _step_failed,
    "step_retrying": _step_retrying,
    "step_skipped": _step_skipped,
    "quality_check": _quality_check,
    "review_required": _review_required,
}

_FROM: Final[Mapping[str, frozenset[StepStatus]]] = {
    "step_started": frozenset({"waiting", "retrying"}),
    "step_progress": frozenset({"running"}),
    "step_completed": frozenset({"running", "review"}),
    "step_failed": frozenset({"running", "review", "retrying"}),
    "step_retrying": frozenset({"running", "retrying"}),
    "step_skipped": frozenset({"waiting", "running", "retrying", "review", "failed"}),
    "quality_check": frozenset({"running"}),
    "review_required": frozenset({"running"}),
}
