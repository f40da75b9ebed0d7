"""Running somebody's agent on a plan, and telling every step of it as it happens."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from runcast.core.event import format_time
from runcast.errors import RuncastError
from runcast.feeds.plans.agent_call import AgentCall, Progress
from runcast.feeds.plans.events import EventType, StreamEvent, plan_stream
from runcast.feeds.plans.given_plan import (
    GivenPlan,
    GivenStep,
    failure_of,
    read_plan,
    score_of,
    to_json_mapping,
)
from runcast.feeds.plans.manager import StreamingManager
from runcast.runners.workflows.failure import WorkflowError

MAX_ERROR_CHARS: Final = 2_000
HANDED_OVER: Final = (0.25, "Handed to the agent")
RETURNED: Final = (0.5, "The agent has returned")
PASSED: Final = (0.75, "Quality gate passed")


class StreamingExecutionWrapper:
    """Lets `agent` do the steps of a plan, one after the other; `manager` tells of it. Without one it just runs them.

    `agent.execute_step(step, context)` does one step: a coroutine function in the event loop, a plain one in a thread.
    If it takes a `progress_callback` (or a third parameter), it gets a function `(fraction, message="")` that
    may be called from any thread, and that may be awaited.
    """

    def __init__(self, agent: object, manager: StreamingManager | None = None) -> None:
        self.agent = agent
        self.streaming_manager = manager

    async def execute_research_plan_streaming(self, plan: object, context: object = None) -> dict[str, Any]:
        """Run a plan, a mapping or an object with `plan_id`, `query` and `steps`; the agent gets `context` as it is.

        Told are `plan_started`; for each step `step_started`, its progress, `quality_check` if the step has a
        `quality_gate` with a `min_score`, and `step_completed`; then `plan_completed`. Progress is what the agent
        reports. If it reports none, it is 0.25 when the step was handed to the agent, 0.5 when that has returned, and
        0.75 when the quality gate was passed: so a plan of three steps is told in 17 events.

        Returns `status`, `plan_id`, `total_steps`, `completed_steps` and `results` by step. If the agent says that
        it has failed (a `status` of failed or error), or a gate is not passed, then `step_failed` and `plan_failed`
        are told, no further step is done, and `status` is failed, with `error` and `failed_step`.

        Raises:
            InvalidInput: the plan or the agent cannot be used; nothing was told.
            Exception: whatever the agent raises, after `step_failed` and `plan_failed` were told. Those who watch are
                told its type only, as its text may hold anything; that of a `WorkflowError` is told.
            LogError: what has happened could not be stored.

        Cancelled, it tells `plan_cancelled`. A step that runs in a thread goes on there; nobody can stop that.
        """
        given, call = read_plan(plan), AgentCall(self.agent)
        plan_stream(given.plan_id)
        run = _Run(given, call, {} if context is None else context, self.streaming_manager)
        try:
            return await run.run()
        except asyncio.CancelledError:
            run.cancelled()
            raise


class _Failed(Exception):
    """A step has failed without an exception of the agent's."""


class _Run:
    """One run of one plan."""

    def __init__(
        self, plan: GivenPlan, call: AgentCall, context: object, manager: StreamingManager | None
    ) -> None:
        self._plan = plan
        self._call = call
        self._context = context
        self._manager = manager
        self._results: dict[str, Any] = {}
        self._is_open = False
        """Whether it was begun and is not over, as told: noted before it is told."""

    async def run(self) -> dict[str, Any]:
        self._is_open = True
        await self._tell(EventType.PLAN_STARTED, self._plan.told)
        for step in self._plan.steps:
            try:
                await self._step(step)
            except _Failed as failure:
                await self._failed(step, str(failure))
                return self._summary("failed", error=str(failure), failed_step=step.step_id)
        self._is_open = False
        await self._tell(EventType.PLAN_COMPLETED, self._counts("completed"))
        return self._summary("completed")

    def cancelled(self) -> None:
        """Tell that nobody waits for it any more; without waiting, as it is being cancelled."""
        if self._manager is not None and self._is_open:
            data = {**self._counts("cancelled"), "reason": "The run was cancelled."}
            self._manager.stream_event_soon(
                StreamEvent(EventType.PLAN_CANCELLED, self._plan.plan_id, data=data)
            )

    async def _step(self, step: GivenStep) -> None:
        await self._tell(EventType.STEP_STARTED, {**step.told, "attempt": 1}, step)
        result, has_told = await self._execute(step)
        if error := failure_of(result):
            raise _Failed(error)
        await self._check(step, result)
        if not has_told:
            await self._progress(step, PASSED)
        self._results[step.step_id] = result
        await self._tell(EventType.STEP_COMPLETED, to_json_mapping(result), step)

    async def _execute(self, step: GivenStep) -> tuple[Any, bool]:
        """What the agent returns, and whether it has told its progress itself."""
        progress = Progress(self._reporter(step))
        begun_us = self._manager.bus.now_us() if self._manager else 0
        if not self._call.takes_progress:
            await self._progress(step, HANDED_OVER)
        try:
            result = await self._call(step.given, self._context, progress)
        except Exception as error:
            progress.close()
            await self._failed(step, _sentence_of(error, step))
            raise
        progress.close()
        if not progress.was_told:
            if self._call.takes_progress:  # only now it is known that it would not say it itself
                await self._progress(step, HANDED_OVER, begun_us)
            await self._progress(step, RETURNED)
        return result, progress.was_told

    async def _check(self, step: GivenStep, result: object) -> None:
        """Hold the result against the step's quality gate, if it has one."""
        if step.min_score is None:
            return
        score = score_of(result)
        passed = score is not None and score >= step.min_score
        told = {"gate": step.step_id, "min_score": step.min_score, "passed": passed}
        told |= {} if score is None else {"quality_score": score}
        await self._tell(EventType.QUALITY_CHECK, told, step)
        if not passed:
            said = "has no quality_score" if score is None else f"has a quality_score of {score}"
            raise _Failed(f"The result {said}; the gate asks for {step.min_score}.")

    async def _failed(self, step: GivenStep, error: str) -> None:
        error = error[:MAX_ERROR_CHARS]
        await self._tell(EventType.STEP_FAILED, {"error": error, "attempt": 1, "will_retry": False}, step)
        told = {**self._counts("failed"), "error": error, "failed_step": step.step_id}
        await self._tell(EventType.PLAN_FAILED, told)

    async def _progress(
        self, step: GivenStep, milestone: tuple[float, str], time_us: int | None = None
    ) -> None:
        progress, message = milestone
        await self._tell(EventType.STEP_PROGRESS, {"progress": progress, "message": message}, step, time_us)

    async def _tell(
        self,
        event_type: EventType,
        data: dict[str, Any],
        step: GivenStep | None = None,
        time_us: int | None = None,
    ) -> None:
        if self._manager is not None:
            event = StreamEvent(event_type, self._plan.plan_id, step.step_id if step else None, data)
            if time_us is not None:
                event.timestamp = format_time(time_us)
            await self._manager.stream_event(event)

    def _reporter(self, step: GivenStep) -> Any:
        manager, plan_id = self._manager, self._plan.plan_id
        if manager is None:
            return None

        def report(progress: float, message: str) -> Any:
            data = {"progress": progress, "message": message}
            return manager.stream_event_soon(
                StreamEvent(EventType.STEP_PROGRESS, plan_id, step.step_id, data)
            )

        return report

    def _counts(self, status: str) -> dict[str, Any]:
        return {
            "status": status,
            "total_steps": len(self._plan.steps),
            "completed_steps": len(self._results),
        }

    def _summary(self, status: str, **more: Any) -> dict[str, Any]:
        plan_id = self._plan.plan_id
        return {"plan_id": plan_id, **self._counts(status), "results": self._results, **more}


def _sentence_of(error: Exception, step: GivenStep) -> str:
    """What watchers are told of an exception: its text may hold anything, unless it was made for them."""
    if isinstance(error, WorkflowError | RuncastError) and str(error):
        return str(error)
    return f"The step {step.step_id} failed: {type(error).__name__}."
