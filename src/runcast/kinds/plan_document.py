"""A plan's state as clients read it: the document of one plan, and its line in a list."""

from __future__ import annotations

from collections import Counter
from typing import Any

from runcast.core.event import format_time
from runcast.kinds.plan_graph import blocked_by, layers
from runcast.kinds.plan_state import PlanState, StepState


def plan_document(plan_id: str, state: PlanState) -> dict[str, Any]:
    """Everything about one plan; times by RFC 3339, null where something has not happened.

    `reviews` are the gates that wait for a person, `layers` the steps in rows for a drawing. A step whose result is
    too long to be shown here has `result_seq`, the seq of the event that holds it.
    """
    blocked = blocked_by(state.graph(), state.in_status("failed"))
    return {
        **plan_line(plan_id, state),
        "metadata": state.metadata,
        "parallel_steps": state.parallel_steps,
        "steps": [
            _step_document(step_id, step, is_blocked=step_id in blocked)
            for step_id, step in state.steps.items()
        ],
        "layers": layers(state.graph()),
        "reviews": [_review(step_id, state.steps[step_id]) for step_id in state.in_status("review")],
        "pending_commands": [
            {"command_id": command.command_id, "command": command.command, "by": command.by}
            for command in state.pending.values()
        ],
        "health": state.health or None,
        "metrics": state.metrics or None,
    }


def plan_line(plan_id: str, state: PlanState) -> dict[str, Any]:
    """A plan in a few words, for a list."""
    counts = Counter(step.status for step in state.steps.values())
    done = counts["completed"] + counts["skipped"]
    return {
        "plan_id": plan_id,
        "status": state.status,
        "managed": state.managed,
        "name": state.name,
        "query": state.query,
        "by": state.by,
        "total_steps": state.total_steps or len(state.steps),
        "steps_by_status": dict(counts),
        "progress": round(done / len(state.steps), 4) if state.steps else 0.0,
        "created_at": _time(state.begun_at),
        "completed_at": _time(state.ended_at),
        "updated_at": _time(state.latest_at),
        "error": state.error,
        "events": state.events,
    }


def _step_document(step_id: str, step: StepState, *, is_blocked: bool) -> dict[str, Any]:
    definition = step.definition
    gate = definition.quality_gate
    return {
        "step_id": step_id,
        "name": definition.title,
        "description": definition.description,
        "action": definition.action,
        "depends_on": list(definition.depends_on),
        "params": definition.params,
        "max_attempts": definition.max_attempts,
        "backoff_s": definition.backoff_s,
        "timeout_s": definition.timeout_s,
        "quality_gate": None
        if gate is None
        else {"min_score": gate.min_score, "on_fail": gate.on_fail, "check": gate.check},
        "status": step.status,
        "blocked": is_blocked,
        "attempt": step.attempt,
        "progress": step.progress,
        "message": step.message,
        "result": step.result,
        "result_seq": step.result_seq,
        "quality_score": step.quality_score,
        "error": step.error,
        "reason": step.reason,
        "seconds": step.seconds,
        "started_at": _time(step.begun_at),
        "completed_at": _time(step.ended_at),
        "retry_at": _time(step.retry_at),
    }


def _review(step_id: str, step: StepState) -> dict[str, Any]:
    return {"gate": step_id, "step_id": step_id, "reason": step.reason, "quality_score": step.quality_score}


def _time(time_us: int | None) -> str | None:
    return None if time_us is None else format_time(time_us)
