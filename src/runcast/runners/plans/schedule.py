"""What is to be done next about a plan: pure decisions over its state, without a clock, a thread or a log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from runcast.core.event import MICROSECONDS
from runcast.kinds.plan_commands import Answer, carry_out
from runcast.kinds.plan_definition import QualityGate, StepDefinition
from runcast.kinds.plan_graph import blocked_by
from runcast.kinds.plan_state import DONE, PlanState

MAX_BACKOFF_S: Final = 300.0
STUCK_AFTER_S: Final = 60.0
"""So long an attempt that is over may keep the next one waiting before the step fails for good: nobody can stop a thread."""


class Attempt(NamedTuple):
    """An attempt that is at work in this process; `over_since` (µs) if it was told to stop."""

    number: int
    over_since: int | None = None


class Decision(NamedTuple):
    """What to do: publish `tell`, all in one append; else begin the steps in `start`, in this order.

    `wake_at` (µs) is when to decide again if nothing happens before. `parked`: until somebody gives a command,
    nothing will be to do, so nobody needs to wait for it.
    """

    tell: list[Answer]
    start: list[str]
    wake_at: int | None = None
    parked: bool = False


NOTHING: Final = Decision([], [])


class Returned(NamedTuple):
    """An attempt has returned; `score` is what its gate goes by, and `scored_by` says whose it is."""

    result: Any
    score: float | None
    scored_by: str = "result"


class Failed(NamedTuple):
    """An attempt has not; it is tried again if that may help and attempts are left."""

    error: str
    may_help: bool = True


def decide(state: PlanState, now_us: int, at_work: Mapping[str, Attempt], parallel: int) -> Decision:
    """The next thing to do about a plan of ours.

    `at_work` are the attempts of this process by their steps; `parallel` is the limit of steps at once for a plan
    that names none. Call it again whenever the state, the time or `at_work` has changed.
    """
    if state.pending:
        return Decision(carry_out(state, next(iter(state.pending.values()))), [])
    if state.is_over or not state.managed:
        return NOTHING
    lost = [tell for step_id in state.in_status("running") for tell in _if_lost(state, step_id, at_work)]
    if lost:
        return Decision(lost, [])
    running = state.in_status("running")
    if state.status == "paused":
        return Decision([], [], parked=not running)
    return _begin_or_finish(state, now_us, at_work, parallel, len(running))


def ended(
    state: PlanState, step_id: str, number: int, outcome: Returned | Failed, seconds: float
) -> list[Answer]:
    """What to tell when attempt `number` of a step has ended; nothing if it does not count any more."""
    step = state.steps.get(step_id)
    if state.is_over or step is None or step.status != "running" or step.attempt != number:
        return []
    told: dict[str, Any] = {"attempt": number, "seconds": round(seconds, 3)}
    if isinstance(outcome, Failed):
        return _failed(state, step_id, outcome, told)
    gate = step.definition.quality_gate
    if gate is None:
        return [_completed(step_id, outcome, told)]
    score = outcome.score or 0.0
    passed = outcome.score is not None and score >= gate.min_score
    checked = {
        "gate": step_id,
        "check": outcome.scored_by,
        "quality_score": score,
        "min_score": gate.min_score,
        "passed": passed,
        "attempt": number,
    }
    answers = [Answer("quality_check", step_id, checked)]
    if passed:
        return [*answers, _completed(step_id, outcome, told)]
    return [*answers, *_below(state, step_id, gate, outcome, told)]


def backoff_s(step: StepDefinition, tries: int) -> float:
    """How long to wait after so many tries: the step's own time, doubled with each, five minutes at most."""
    return min(step.backoff_s * 2 ** (tries - 1), max(MAX_BACKOFF_S, step.backoff_s))


def _begin_or_finish(
    state: PlanState, now_us: int, at_work: Mapping[str, Attempt], parallel: int, running: int
) -> Decision:
    blocked = blocked_by(state.graph(), state.in_status("failed"))
    hopeful = [step_id for step_id in state.in_status("waiting", "retrying") if step_id not in blocked]
    reviews = state.in_status("review")
    if not (hopeful or running or reviews):
        return Decision([_finished(state, now_us)], [])
    start: list[str] = []
    wake: list[int] = []
    for step_id in hopeful:
        step, attempt = state.steps[step_id], at_work.get(step_id)
        if not state.is_done(step.definition.depends_on):
            continue
        if attempt is not None:  # its last attempt is over, and has yet to notice
            due = max(attempt.over_since or now_us, step.retry_at or 0)
            stuck_at = due + round(STUCK_AFTER_S * MICROSECONDS)
            if stuck_at <= now_us:
                return Decision([_stuck(step_id, attempt)], [])
            wake.append(stuck_at)
        elif step.status == "waiting" or (step.retry_at is not None and step.retry_at <= now_us):
            start.append(step_id)
        elif step.retry_at is not None:
            wake.append(step.retry_at)
    room = max((state.parallel_steps or parallel) - running, 0)
    return Decision([], start[:room], min(wake, default=None), parked=not (running or start or wake))


def _if_lost(state: PlanState, step_id: str, at_work: Mapping[str, Attempt]) -> list[Answer]:
    """A step is said to run, and its attempt is not at work here: it went down with its process."""
    step, attempt = state.steps[step_id], at_work.get(step_id)
    if attempt is not None and attempt.number == step.attempt and attempt.over_since is None:
        return []
    reason = "The process that ran it has ended."
    if step.tries >= step.definition.max_attempts:
        error = {"attempt": step.attempt, "error": reason, "will_retry": False}
        return [Answer("step_failed", step_id, error)]
    return [Answer("step_retrying", step_id, {"attempt": step.attempt + 1, "delay_s": 0.0, "reason": reason})]


def _failed(state: PlanState, step_id: str, outcome: Failed, told: dict[str, Any]) -> list[Answer]:
    step = state.steps[step_id]
    again = outcome.may_help and step.tries < step.definition.max_attempts
    answers = [Answer("step_failed", step_id, {"error": outcome.error, "will_retry": again, **told})]
    if again:
        delay_s = backoff_s(step.definition, step.tries)
        retrying = {"attempt": step.attempt + 1, "delay_s": delay_s, "reason": outcome.error}
        answers.append(Answer("step_retrying", step_id, retrying))
    return answers


def _below(
    state: PlanState, step_id: str, gate: QualityGate, outcome: Returned, told: dict[str, Any]
) -> list[Answer]:
    """The result is not good enough."""
    if outcome.score is None:
        reason = "The result has no quality_score or confidence to go by."
    else:
        reason = f"The quality is {outcome.score:.2f}; {gate.min_score:.2f} is asked for."
    if gate.on_fail == "review":
        review = {"gate": step_id, "reason": reason, "quality_score": outcome.score or 0.0}
        return [Answer("review_required", step_id, {**review, "result": outcome.result, **told})]
    return _failed(state, step_id, Failed(reason, may_help=gate.on_fail == "retry"), told)


def _completed(step_id: str, outcome: Returned, told: dict[str, Any]) -> Answer:
    return Answer(
        "step_completed", step_id, {"result": outcome.result, "quality_score": outcome.score, **told}
    )


def _stuck(step_id: str, attempt: Attempt) -> Answer:
    error = (
        f"Attempt {attempt.number} was told to stop and does not; the next one has waited {STUCK_AFTER_S:.0f} s for it. "
        "Let the action call its context now and then."
    )
    return Answer("step_failed", step_id, {"error": error, "attempt": attempt.number, "will_retry": False})


def _finished(state: PlanState, now_us: int) -> Answer:
    failed = state.in_status("failed")
    seconds = round((now_us - (state.begun_at or now_us)) / MICROSECONDS, 3)
    told: dict[str, Any] = {
        "total_steps": len(state.steps),
        "completed_steps": len(state.in_status("completed")),
        "skipped_steps": len(state.in_status("skipped")),
        "seconds": seconds,
    }
    if not failed:
        return Answer("plan_completed", None, {"status": "completed", **told})
    not_run = [step_id for step_id, step in state.steps.items() if step.status not in {*DONE, "failed"}]
    first = state.steps[failed[0]]
    error = f'The step "{first.definition.title}" has failed: {first.error or "no reason was given"}'
    return Answer(
        "plan_failed",
        None,
        {"status": "failed", "error": error, "failed_steps": failed, "not_run": not_run, **told},
    )
