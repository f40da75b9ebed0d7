"""A stage for running plans on a virtual clock: time passes when nothing else is to be done, and nothing is random."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

from tests.support.virtual import run_virtual

from runcast.config import Settings
from runcast.core.event import Event
from runcast.kinds.plan import PLAN
from runcast.kinds.plan_state import PlanState
from runcast.live.bus import Bus
from runcast.log.memory import MemoryLog
from runcast.runners.host import RunnerHost
from runcast.runners.plans.context import StepContext
from runcast.runners.plans.doing import Functions
from runcast.runners.plans.registry import Registry
from runcast.runners.plans.service import Plans

BEGIN_US = 1_770_000_000_000_000


class HeldThreads:
    """Does what is submitted at once, in the loop; what `hold` says is only done when the test lets it."""

    def __init__(self) -> None:
        self.hold: Callable[[StepContext], bool] = lambda ctx: False
        self.held: dict[str, tuple[Future[Any], Callable[[], Any]]] = {}

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        ctx = work.args[0]
        if self.hold(ctx):
            assert ctx.step_id not in self.held, "two attempts at once"
            self.held[ctx.step_id] = (future, work)
        else:
            future.set_result(work())
        return future

    def release(self, step_id: str) -> None:
        """Let a step that was held be done now."""
        future, work = self.held.pop(step_id)
        future.set_result(work())


class PlanStage:
    """A bus over a memory log, with plans that run, and a record of what was executed."""

    def __init__(self, **settings: Any) -> None:
        loop = asyncio.get_running_loop()
        self.now_us = lambda: BEGIN_US + round(loop.time() * 1_000_000)
        self.bus = Bus(MemoryLog(), [PLAN], Settings(**settings), now_us=self.now_us)
        self.threads = HeldThreads()
        self.functions = Functions(Registry("action"), Registry("quality gate"))
        self.executed: list[tuple[str, int]] = []
        self.seen: dict[str, StepContext] = {}
        self.results: dict[str, Callable[[StepContext], Any]] = {}
        self.functions.actions.add("work", self._work)
        self.plans = Plans(self.bus, functions=self.functions, threads=self.threads)

    def _work(self, ctx: StepContext) -> Any:
        self.executed.append((ctx.step_id, ctx.attempt))
        self.seen[ctx.step_id] = ctx
        return self.results.get(ctx.step_id, lambda ctx: {"by": ctx.step_id})(ctx)

    async def start(self, *steps: dict[str, Any], **plan: Any) -> str:
        """Start a plan whose steps do `work`, unless they say otherwise."""
        return await self.plans.start({"steps": [{"action": "work", **step} for step in steps], **plan})

    async def events(self, plan_id: str) -> list[Event]:
        """All that was told so far."""
        return (await self.bus.read(f"plan:{plan_id}")).events

    async def told(self, plan_id: str, *types: str) -> list[tuple[str, str | None, dict[str, Any]]]:
        """What was told, decoded: type, step, data; of these types, or of all."""
        told = []
        for event in await self.events(plan_id):
            if not types or event.type in types:
                stored = json.loads(event.data)
                told.append((event.type, stored["step_id"], stored["data"]))
        return told

    async def types(self, plan_id: str) -> list[str]:
        """What was told, in short: `step_started a`."""
        told = await self.told(plan_id)
        return [f"{name} {step}" if step else name for name, step, _ in told if "_update" not in name]

    async def until(self, plan_id: str, wanted: Callable[[PlanState], bool]) -> PlanState:
        """The state, as soon as it is as `wanted`; an hour of virtual time at most."""
        async with asyncio.timeout(3_600):
            while not wanted(state := await self.plans.state(plan_id)):
                await asyncio.sleep(0.01)
        return state

    async def over(self, plan_id: str) -> PlanState:
        """The state at the end."""
        return await self.until(plan_id, lambda state: state.is_over)

    async def do(self, plan_id: str, command: str, **arguments: Any) -> Any:
        """Give a command that is carried out."""
        outcome = await self.plans.command(plan_id, command, **arguments)
        assert outcome.status == "done", outcome
        return outcome

    async def refused(self, plan_id: str, command: str, **arguments: Any) -> str:
        """Give a command that is refused; returns why."""
        outcome = await self.plans.command(plan_id, command, **arguments)
        assert outcome.status == "refused", outcome
        assert outcome.reason is not None
        return outcome.reason


def on_plan_stage(test: Callable[[PlanStage], Awaitable[None]], **settings: Any) -> None:
    """Run a test on a stage where a host runs plans, on a virtual clock."""

    async def play() -> None:
        stage = PlanStage(**settings)
        async with stage.bus:
            host = asyncio.create_task(RunnerHost(stage.bus, [stage.plans.runner]).run())
            try:
                await test(stage)
            finally:
                host.cancel()
                await asyncio.wait([host])

    run_virtual(play())
