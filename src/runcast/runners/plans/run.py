"""The running of one plan: what is decided is published, then done; what is done is published, then decided upon."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec

from runcast.core.event import ANY_TAG, MICROSECONDS, Cursor
from runcast.errors import Busy, LogFull
from runcast.kinds.base import Publish
from runcast.kinds.plan import TERMINALS
from runcast.kinds.plan_commands import Answer
from runcast.kinds.plan_state import PlanState
from runcast.log.base import Appended
from runcast.runners.claim import Claim
from runcast.runners.plans.account import Account
from runcast.runners.plans.attempt import Spent, StepAttempt
from runcast.runners.plans.context import Dependency, StepContext
from runcast.runners.plans.doing import do_step
from runcast.runners.plans.figures import health, metrics
from runcast.runners.plans.schedule import Attempt, Failed, Returned, decide, ended
from runcast.runners.plans.shared import Shared

logger = logging.getLogger("runcast.plans")

PUBLISH_AGAIN_S: Final = 0.5

Outcome = Returned | Failed | None


class EventDropped(Exception):
    """A processor of the user's dropped an event that a plan's state rests on."""


class PlanRun:
    """Brings one plan forward, under its claim, until it is over or nothing is to be done without a command."""

    def __init__(self, claim: Claim, shared: Shared) -> None:
        self._claim = claim
        self._shared = shared
        self._bus = shared.bus
        self._stream = claim.stream
        self._loop = asyncio.get_running_loop()
        self._bell = asyncio.Event()
        self._wake = self._bell.set
        self._account = Account(shared.bus, claim.stream, self._wake)
        self._outcomes: deque[tuple[StepAttempt, Outcome]] = deque()
        self._spent = Spent()
        self._figures_s = self._loop.time() + self._bus.settings.health_interval_s

    async def run(self) -> None:
        """Until there is nothing more to do. Cancelled, it stops its attempts and publishes nothing more.

        Raises:
            StaleToken: the claim was lost.
            LogError: the log cannot be used.
        """
        for attempt in self._attempts.values():
            attempt.when_ended = self._wake  # of an earlier run here: its thread has yet to end
        self._shared.lag.begin()
        try:
            with self._claim.listen(self._account.hear):
                await self._account.open()
                while await self._do_next():
                    pass
            await self._account.save()
        finally:
            self._shared.lag.end()
            self._shared.slots.forget(self._wake)
            for attempt in self._attempts.values():
                attempt.stop(self._bus.now_us())

    @property
    def _state(self) -> PlanState:
        return self._account.state

    @property
    def _attempts(self) -> dict[str, StepAttempt]:
        """Those of this plan that are at work here, by their steps."""
        return {
            step: each for (stream, step), each in self._shared.attempts.items() if stream == self._stream
        }

    async def _do_next(self) -> bool:
        """One thing; returns whether there will be more."""
        self._bell.clear()
        if self._account.is_gone:
            return False
        self._stop_what_does_not_count()
        if self._outcomes:
            await self._tell_outcomes()
            return True
        now_us = self._bus.now_us()
        at_work = {name: Attempt(each.number, each.over_since) for name, each in self._attempts.items()}
        decision = decide(self._state, now_us, at_work, self._bus.settings.plan_parallel_steps)
        if decision.tell:
            await self._tell(decision.tell)
            return True
        if decision.start:
            if await self._begin(decision.start):
                return True
        else:
            self._shared.slots.tell_next()  # it may have been told of one that it does not want
            if self._state.is_over or decision.parked:
                return False
        await self._tell_figures()
        await self._wait(decision.wake_at)
        return True

    async def _wait(self, wake_at: int | None) -> None:
        """Until something happens, or something is due."""
        delay_s = max(self._figures_s - self._loop.time(), 0.0)
        if wake_at is not None:
            delay_s = min(delay_s, max((wake_at - self._bus.now_us()) / MICROSECONDS, 0.0))
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._bell.wait()

    # Telling

    async def _tell(self, answers: Sequence[Answer]) -> None:
        """Publish, all in one append, and take it in. What is told to be over is stopped first."""
        for answer in answers:
            if answer.type in TERMINALS:
                self._stop(*self._attempts)
            elif answer.type == "step_skipped" and answer.step_id is not None:
                self._stop(answer.step_id)
        appended = await self._publish(answers)
        if len(appended) < len(answers):
            raise EventDropped(f"a processor dropped one of: {', '.join(answer.type for answer in answers)}")
        await self._account.take_in(appended[-1])

    async def _publish(self, answers: Sequence[Answer]) -> list[Appended]:
        events = [
            Publish(
                stream=self._stream,
                type=answer.type,
                data={"step_id": answer.step_id, "data": answer.data},
            )
            for answer in answers
        ]
        is_late = False
        while True:
            try:
                return await self._claim.publish(*events)
            except (Busy, LogFull) as error:  # nothing was stored: what was done is not done again for that
                if not is_late:
                    logger.warning("%s waits: %s", self._stream, error)
                is_late = True
            await asyncio.sleep(PUBLISH_AGAIN_S)

    async def _tell_outcomes(self) -> None:
        """Tell what came of attempts, then forget those whose threads have ended."""
        outcomes = list(self._outcomes)
        answers = [
            answer
            for attempt, outcome in outcomes
            if outcome is not None
            for answer in ended(self._state, attempt.step_id, attempt.number, outcome, attempt.seconds)
        ]
        if answers:
            await self._tell(answers)
        for attempt, _ in outcomes:
            self._outcomes.popleft()
            attempt.stop(self._bus.now_us())
            if attempt.has_ended:
                self._forget(attempt)

    async def _tell_figures(self) -> None:
        """Health and metrics, at their interval, while steps are at work."""
        if self._loop.time() < self._figures_s:
            return
        self._figures_s = self._loop.time() + self._bus.settings.health_interval_s
        if self._state.in_status("running"):
            self._count_spent()
            told = [
                Answer("health_update", None, health(self._state, self._shared.lag)),
                Answer("metrics_update", None, metrics(self._state, self._spent, self._bus.now_us())),
            ]
            if appended := await self._publish(told):
                await self._account.take_in(appended[-1])

    def _count_spent(self) -> None:
        for attempt in self._attempts.values():
            self._spent.take(attempt.spent)

    # Attempts

    async def _begin(self, step_ids: Sequence[str]) -> bool:
        """Begin as many of these steps as there are slots for; returns whether that was any."""
        taken: list[str] = []
        for step_id in step_ids:
            if not self._shared.slots.take():
                self._shared.slots.wait(self._wake)
                break
            taken.append(step_id)
        if not taken:
            return False
        begun: list[tuple[StepAttempt, StepContext]] = []
        try:
            begun = [await self._prepare(step_id) for step_id in taken]
            for attempt, _ in begun:
                self._shared.attempts[self._stream, attempt.step_id] = attempt
            await self._tell([_started(ctx) for _, ctx in begun])
        except BaseException:  # they never begin
            for attempt, _ in begun:
                self._forget(attempt)
            for _ in taken:
                self._shared.slots.give()
            raise
        for attempt, ctx in begun:
            self._submit(attempt, ctx)
        return True

    async def _prepare(self, step_id: str) -> tuple[StepAttempt, StepContext]:
        state = self._state
        step = state.steps[step_id]
        attempt = StepAttempt(self._claim, step_id, step.attempt + 1)
        attempt.when_ended = self._wake
        ctx = StepContext(
            attempt,
            step.definition,
            plan={"plan_id": self._stream.partition(":")[2], "query": state.query or state.name},
            dependencies=[await self._dependency(name) for name in step.definition.depends_on],
            resources=self._shared.resources,
        )
        return attempt, ctx

    async def _dependency(self, step_id: str) -> Dependency:
        step = self._state.steps[step_id]
        result = step.result
        if step.result_seq is not None and step.status == "completed":
            result = await self._read_result(step.result_seq)
        return Dependency(step_id, step.definition.title, step.status, result, step.quality_score)

    async def _read_result(self, seq: int) -> Any:
        """A long result, from the event that has it; None if it is not kept any more."""
        page = await self._bus.read(self._stream, Cursor(self._account.epoch, seq - 1, ANY_TAG), limit=1)
        event = next((event for event in page.events if event.seq == seq), None)
        if event is None:
            logger.warning("%s: the result in event %d is not kept any more", self._stream, seq)
            return None
        data = msgspec.json.decode(event.data)["data"]
        return data.get("result", data)

    def _submit(self, attempt: StepAttempt, ctx: StepContext) -> None:
        step = self._state.steps[attempt.step_id].definition
        if step.timeout_s is not None:
            late = partial(self._time_out, attempt, step.timeout_s)
            attempt.timer = self._loop.call_later(step.timeout_s, late)
        work = partial(do_step, ctx, step, self._shared.functions, self._bus.settings.event_max_bytes)
        self._shared.threads.submit(work).add_done_callback(partial(self._returned, attempt))

    def _returned(self, attempt: StepAttempt, future: Future[Outcome]) -> None:
        """In the attempt's thread."""
        with suppress(RuntimeError):  # the loop has ended before
            self._loop.call_soon_threadsafe(self._take_outcome, attempt, future)

    def _take_outcome(self, attempt: StepAttempt, future: Future[Outcome]) -> None:
        """Its thread is free; if the attempt still counts, so does what came of it."""
        self._shared.slots.give()
        attempt.has_ended = True
        self._spent.take(attempt.spent)
        if attempt.over_since is None:
            error = future.exception()
            outcome = future.result() if error is None else Failed(f"It ended by {type(error).__name__}.")
            self._outcomes.append((attempt, outcome))
        elif not any(attempt is waiting for waiting, _ in self._outcomes):
            self._forget(attempt)
        attempt.when_ended()

    def _time_out(self, attempt: StepAttempt, timeout_s: float) -> None:
        if attempt.over_since is None and not attempt.has_ended:
            attempt.stop(self._bus.now_us())
            self._outcomes.append((attempt, Failed(f"It took longer than its {timeout_s:g} s.")))
            self._wake()

    def _stop_what_does_not_count(self) -> None:
        for step_id, attempt in self._attempts.items():
            step = self._state.steps.get(step_id)
            if (
                self._state.is_over
                or step is None
                or step.status != "running"
                or step.attempt != attempt.number
            ):
                self._stop(step_id)

    def _stop(self, *step_ids: str) -> None:
        for step_id in step_ids:
            if attempt := self._shared.attempts.get((self._stream, step_id)):
                attempt.stop(self._bus.now_us())

    def _forget(self, attempt: StepAttempt) -> None:
        key = (self._stream, attempt.step_id)
        if self._shared.attempts.get(key) is attempt:
            del self._shared.attempts[key]


def _started(ctx: StepContext) -> Answer:
    return Answer("step_started", ctx.step_id, {"attempt": ctx.attempt, "name": ctx.name})
