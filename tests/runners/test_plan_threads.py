"""Plans with real threads on a real file: cancelling while a step is at it, a slow model, research over documents."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from runcast.config import Settings
from runcast.core.event import Event
from runcast.kinds.plan import PLAN
from runcast.kinds.plan_state import PlanState
from runcast.live.bus import Bus
from runcast.log.open import open_log
from runcast.runners.extractive import ExtractiveModel
from runcast.runners.host import RunnerHost
from runcast.runners.knowledge import KnowledgeBase
from runcast.runners.model import Delta, LanguageModel, Message, Usage
from runcast.runners.plans import research
from runcast.runners.plans.context import StepContext
from runcast.runners.plans.doing import Functions
from runcast.runners.plans.registry import Registry
from runcast.runners.plans.service import Plans
from runcast.runners.workflows.failure import Cancelled

WAIT_S = 20.0

Action = Callable[[StepContext], Any]
Test = Callable[[Plans], Any]


async def play(
    folder: Path,
    test: Test,
    *,
    model: LanguageModel | None = None,
    knowledge: KnowledgeBase | None = None,
    **actions: Action,
) -> None:
    """Run `test` with plans that run, with these actions."""
    bus = Bus(open_log(folder / "log.db"), [PLAN], Settings(plan_parallel_steps=8))
    functions = Functions(Registry("action"), Registry("quality gate"))
    for name, action in actions.items():
        functions.actions.add(name, action)
    async with bus:
        plans = Plans(bus, model, knowledge, functions=functions)
        host = asyncio.create_task(RunnerHost(bus, [plans.runner]).run())
        try:
            async with asyncio.timeout(WAIT_S):
                await test(plans)
        finally:
            host.cancel()
            await asyncio.wait([host])


async def until(plans: Plans, plan_id: str, wanted: Callable[[PlanState], bool]) -> PlanState:
    while not wanted(state := await plans.state(plan_id)):
        await asyncio.sleep(0.005)
    return state


async def told(plans: Plans, plan_id: str, event_type: str) -> list[dict[str, Any]]:
    events = (await plans.bus.read(f"plan:{plan_id}")).events
    return [json.loads(event.data)["data"] for event in events if event.type == event_type]


async def test_a_step_notices_at_its_next_call_that_the_plan_was_cancelled(tmp_path: Path) -> None:
    noticed: dict[str, float] = {}

    def sleeping(ctx: StepContext) -> None:
        try:
            ctx.sleep(3_600)
        except Cancelled:
            noticed["sleeping"] = time.monotonic()
            raise

    def looping(ctx: StepContext) -> None:
        try:
            while True:
                ctx.progress(0.5, "at it")
                time.sleep(0.001)
        except Exception:  # what an action catches carelessly is not this
            noticed["careless"] = 0
        finally:
            noticed["looping"] = time.monotonic()

    async def test(plans: Plans) -> None:
        plan_id = await plans.start({"steps": [{"action": "sleeping"}, {"action": "looping"}]})
        await until(plans, plan_id, lambda state: len(state.in_status("running")) == 2)
        begun = time.monotonic()
        outcome = await plans.command(plan_id, "cancel")
        assert (outcome.status, outcome.event) == ("done", "plan_cancelled")
        assert time.monotonic() - begun < 1
        while len(noticed) < 2:
            await asyncio.sleep(0.005)
        assert max(noticed.values()) - begun < 1
        assert set(noticed) == {"sleeping", "looping"}
        head = (await plans.bus.info(f"plan:{plan_id}")).head
        events = [event async for event in _all(plans.bus, f"plan:{plan_id}")]
        assert (len(events), events[-1].type) == (head, "plan_cancelled")

    await play(tmp_path, test, sleeping=sleeping, looping=looping)


async def test_steps_of_one_plan_run_side_by_side(tmp_path: Path) -> None:
    together = threading.Barrier(4, timeout=WAIT_S)

    async def test(plans: Plans) -> None:
        plan_id = await plans.start({"steps": [{"action": "meet"} for _ in range(4)]})
        assert (await until(plans, plan_id, lambda state: state.is_over)).status == "completed"

    await play(tmp_path, test, meet=lambda ctx: together.wait())


async def _all(bus: Bus, stream: str) -> AsyncIterator[Event]:
    page = await bus.read(stream)
    while page.events:
        for event in page.events:
            yield event
        page = await bus.read(stream, page.cursor)


class SlowModel:
    """Says a word, and then nothing more."""

    name = "slow/model"

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def stream(
        self, messages: Sequence[Message], *, max_tokens: int | None = None
    ) -> AsyncIterator[Delta | Usage]:
        try:
            yield Delta("well,")
            await asyncio.sleep(3_600)
        finally:
            self.ended.set()

    async def close(self) -> None:
        pass


async def test_a_request_to_the_model_is_ended_with_the_plan(tmp_path: Path) -> None:
    model = SlowModel()

    async def test(plans: Plans) -> None:
        plan_id = await plans.start({"steps": [{"action": "ask"}]})
        while not await told(plans, plan_id, "step_progress"):
            await asyncio.sleep(0.005)
        assert (await plans.command(plan_id, "cancel")).status == "done"
        await model.ended.wait()

    await play(tmp_path, test, model=model, ask=lambda ctx: ctx.llm("What?"))


async def test_research_looks_things_up_and_builds_on_what_came_before(tmp_path: Path) -> None:
    knowledge = KnowledgeBase(None)
    knowledge.add(b"# Penguins\n\nPenguins are birds that swim. They live in the south.\n", "penguins.md")
    knowledge.add(b"# Flying\n\nMost birds fly. Penguins do not fly.\n", "birds.md")

    async def test(plans: Plans) -> None:
        plan_id = await plans.start(
            {
                "query": "What can penguins do?",
                "steps": [
                    {"id": "swim", "description": "Where do penguins live and do they swim?"},
                    {
                        "id": "fly",
                        "description": "Do penguins fly?",
                        "depends_on": ["swim"],
                        "quality_gate": {"min_score": 0.5, "on_fail": "fail"},
                    },
                ],
            }
        )
        state = await until(plans, plan_id, lambda state: state.is_over)
        assert state.status == "completed", state.error
        first, second = state.steps["swim"].result, state.steps["fly"].result
        assert "Penguins are birds that swim." in first["content"]
        assert first["sources"][0]["source"] == "penguins.md"
        assert first["model"] == "extractive"
        assert "Penguins do not fly." in second["content"]
        assert second["quality_score"] >= 0.5
        progress = await told(plans, plan_id, "step_progress")
        fractions = [each["progress"] for each in progress]
        second_begins = fractions.index(0.1, 1)
        assert fractions[:second_begins] == sorted(fractions[:second_begins])
        said = "".join(each.get("delta", "") for each in progress)
        assert first["content"] in said

    await play(
        tmp_path, test, model=ExtractiveModel(knowledge), knowledge=knowledge, research=research.research
    )


async def test_research_without_a_model_says_what_is_missing(tmp_path: Path) -> None:
    async def test(plans: Plans) -> None:
        plan_id = await plans.start({"steps": [{"id": "a"}]})
        state = await until(plans, plan_id, lambda state: state.is_over)
        assert state.steps["a"].error == "This process has no language model for steps of plans."
        assert state.steps["a"].attempt == 1

    await play(tmp_path, test, research=research.research)


def test_grounding_is_how_much_of_an_answer_stands_in_its_material() -> None:
    assert research.grounding("Penguins swim [penguins.md]", ["penguins can swim"]) == 1.0
    assert research.grounding("Penguins fly aeroplanes quickly", ["penguins swim"]) == 0.25
    assert research.grounding("Penguins swim", []) is None
    assert research.grounding("", ["penguins swim"]) is None
