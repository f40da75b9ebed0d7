"""What a plan and its steps are in after the events so far: the fold that runner, pages and commands rest on."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, Literal

import msgspec

from runcast.kinds.plan_definition import StepDefinition

PlanStatus = Literal["unknown", "running", "paused", "completed", "failed", "cancelled"]
StepStatus = Literal[
    "waiting", "running", "retrying", "review", "completed", "failed", "skipped", "cancelled"
]

TERMINAL: Final = frozenset({"completed", "failed", "cancelled"})
DONE: Final = frozenset({"completed", "skipped"})
"""What a step must be in for those that depend on it."""

MAX_PENDING: Final = 256
"""Commands that wait for their answer; more are not heard."""


class StepState(msgspec.Struct, omit_defaults=True):
    """One step. Times are in microseconds since the Unix epoch.

    `attempt` counts all attempts that began; `tries` those that `max_attempts` counts, which is all since the step
    was last opened by hand. A result that is too long to be kept here is in the event `result_seq` of the stream.
    `reason` says why it waits for a review, or is skipped.
    """

    definition: StepDefinition
    status: StepStatus = "waiting"
    attempt: int = 0
    tries: int = 0
    begun_at: int | None = None
    ended_at: int | None = None
    retry_at: int | None = None
    progress: float = 0.0
    message: str = ""
    result: Any = None
    result_seq: int | None = None
    quality_score: float | None = None
    error: str | None = None
    reason: str | None = None
    seconds: float | None = None

    @property
    def is_begun(self) -> bool:
        """Whether anything was done for it yet."""
        return self.attempt > 0 or self.status != "waiting"


class Command(msgspec.Struct, omit_defaults=True):
    """What somebody wants of a plan. Which of the fields count depends on `command`."""

    command: str
    command_id: str
    by: str | None = None
    reason: str | None = None
    step_id: str | None = None
    step: StepDefinition | None = None
    depends_on: tuple[str, ...] | None = None
    order: tuple[str, ...] | None = None
    gate: str | None = None
    approved: bool | None = None
    comment: str | None = None


class PlanState(msgspec.Struct, omit_defaults=True):
    """A plan after the events so far; `steps` in the order in which ready ones are begun.

    `managed`: a runner of ours does its steps, and obeys commands; other plans are only told of. `pending` are
    the commands without an answer, by their ids. `health` and `metrics` are what was told last.
    """

    status: PlanStatus = "unknown"
    managed: bool = False
    name: str = ""
    query: str = ""
    metadata: dict[str, Any] = {}
    parallel_steps: int | None = None
    total_steps: int = 0
    steps: dict[str, StepState] = {}
    begun_at: int | None = None
    ended_at: int | None = None
    latest_at: int | None = None
    by: str | None = None
    error: str | None = None
    events: int = 0
    removed: int = 0
    pending: dict[str, Command] = {}
    health: dict[str, Any] = {}
    metrics: dict[str, Any] = {}

    @property
    def is_over(self) -> bool:
        """Whether it has ended; a failed plan may be taken up again by a command."""
        return self.status in TERMINAL

    def graph(self) -> dict[str, tuple[str, ...]]:
        """Which step depends on which."""
        return {step_id: step.definition.depends_on for step_id, step in self.steps.items()}

    def in_status(self, *statuses: StepStatus) -> list[str]:
        """The steps in one of these, in order."""
        return [step_id for step_id, step in self.steps.items() if step.status in statuses]

    def is_done(self, step_ids: Collection[str]) -> bool:
        """Whether all of these steps are completed or skipped."""
        return all(name in self.steps and self.steps[name].status in DONE for name in step_ids)
