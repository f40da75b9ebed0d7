"""What a thread does with one attempt: the action, its result as JSON, its quality score. Returns what came of it."""

from __future__ import annotations

import math
from typing import Any, Final, cast

import msgspec

from runcast.errors import InvalidEvent, InvalidInput
from runcast.kinds.base import check_nesting
from runcast.kinds.plan_definition import StepDefinition
from runcast.runners.plans.context import StepContext, clean
from runcast.runners.plans.registry import ACTIONS, GATES, Action, Gate, Registry
from runcast.runners.plans.schedule import Failed, Returned
from runcast.runners.workflows.failure import Cancelled, WorkflowError, sentence_of

MAX_ERROR_CHARS: Final = 2_000
ROOM_BYTES: Final = 8 * 1024
"""Of an event, for what stands beside the result."""
MAX_NESTING: Final = 60


class StepError(WorkflowError):
    """Raise it in an action: its message is what watchers are told. Without `retry` the step is not tried again.

    The text of any other exception is not told, as it may hold anything: it goes to the log of the process.
    """

    def __init__(self, message: str, *, retry: bool = True) -> None:
        super().__init__(message)
        self.retry = retry


class Functions(msgspec.Struct, frozen=True):
    """Where actions and gates are found."""

    actions: Registry[Action] = ACTIONS
    gates: Registry[Gate] = GATES


def do_step(
    ctx: StepContext, step: StepDefinition, functions: Functions, event_bytes: int
) -> Returned | Failed | None:
    """Run the action of `step` to its end; None if the attempt was cancelled. For the attempt's thread.

    A result is stored as JSON in one event of at most `event_bytes`. A longer one is no result: the step fails, and is
    not tried again, as it would be as long again.
    """
    action = functions.actions.get(step.action)
    if action is None:
        known = ", ".join(sorted(functions.actions))
        return Failed(
            f'There is no action "{step.action}" in this process; there are: {known}.', may_help=False
        )
    try:
        result = settle_result(action(ctx), event_bytes)
        score, scored_by = _score(ctx, step, functions, result)
        ctx.flush()
        return Returned(result, score, scored_by)
    except Cancelled:
        return None
    except Exception as error:  # noqa: BLE001 - a thread's root: the action is anybody's code
        return _failure(step, error)


def settle_result(result: Any, event_bytes: int) -> Any:
    """A result as those who depend on it get it, now and after a restart: what JSON makes of it.

    Raises:
        InvalidInput: it is not representable as JSON, nested too deeply, or too long.
    """
    try:
        data = msgspec.json.encode(result)
    except (ArithmeticError, TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"The result cannot be stored as JSON: {clean(str(error), 200)}.") from None
    limit = event_bytes - ROOM_BYTES
    if len(data) > limit:
        raise InvalidInput(
            f"The result is {len(data)} bytes of JSON; the limit is {limit}. Store it elsewhere, and return where."
        )
    settled = msgspec.json.decode(data)
    try:
        check_nesting(settled, MAX_NESTING)
    except InvalidEvent:
        raise InvalidInput(f"The result is nested deeper than {MAX_NESTING} levels.") from None
    return settled


def own_score(result: Any) -> float | None:
    """The score that a result says of itself: its `quality_score`, else its `confidence`; None without."""
    if not isinstance(result, dict):
        return None
    fields = cast("dict[str, Any]", result)
    for name in ("quality_score", "confidence"):
        value = fields.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return None


def _score(
    ctx: StepContext, step: StepDefinition, functions: Functions, result: Any
) -> tuple[float | None, str]:
    check = step.quality_gate.check if step.quality_gate else None
    if check is None:
        return own_score(result), "result"
    gate = functions.gates.get(check)
    if gate is None:
        raise InvalidInput(f'There is no quality gate "{check}" in this process.')
    score = gate(result, ctx)
    if isinstance(cast("object", score), bool) or not isinstance(cast("object", score), int | float):
        raise InvalidInput(f'The quality gate "{check}" must return a number.')
    if not math.isfinite(score):
        raise InvalidInput(f'The quality gate "{check}" returned {score}; a finite number is expected.')
    return float(score), check


def _failure(step: StepDefinition, error: Exception) -> Failed:
    """What watchers are told: the sentence of an error that is meant for people, else only what kind it was."""
    may_help = error.retry if isinstance(error, StepError) else getattr(error, "retryable", True)
    return Failed(clean(sentence_of(error, step.title), MAX_ERROR_CHARS), bool(may_help))
