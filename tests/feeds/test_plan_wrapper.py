"""Running an agent on a plan: it is really called, and told of as it works."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from tests.feeds.plans import BareSocket, until

from runcast.errors import InvalidEvent, InvalidInput
from runcast.feeds.plans.manager import StreamingManager
from runcast.feeds.plans.wrapper import StreamingExecutionWrapper
from runcast.runners.workflows.failure import WorkflowError

PLAN = {
    "plan_id": "p",
    "query": "Which heat pump?",
    "research_type": "comprehensive",
    "steps": [
        {"step_id": "search", "action": "search", "agent_type": "registry"},
        {"step_id": "read", "action": "analyze", "depends_on": ["search"]},
        {"step_id": "write", "name": "Write it up", "depends_on": ["read"]},
    ],
}
MILESTONES = [
    (0.25, "Handed to the agent"),
    (0.5, "The agent has returned"),
    (0.75, "Quality gate passed"),
]


@dataclass
class Agent:
    """Does what it is told; remembers what it was given, and in which thread."""

    result: Any = field(default_factory=lambda: {"status": "success", "quality_score": 0.9})
    calls: list[tuple[Any, Any]] = field(default_factory=list[tuple[Any, Any]])
    threads: set[int] = field(default_factory=set[int])

    def execute_step(self, step: Any, context: Any) -> Any:
        self.calls.append((step, context))
        self.threads.add(threading.get_ident())
        return self.result


@pytest.fixture
async def manager() -> AsyncIterator[StreamingManager]:
    manager = StreamingManager()
    yield manager
    await manager.close()


def told(manager: StreamingManager, plan_id: str = "p") -> list[tuple[str, str | None]]:
    return [(event.event_type, event.step_id) for event in manager.get_event_history(plan_id)]


def progress_of(manager: StreamingManager, step_id: str) -> list[tuple[float, str]]:
    events = manager.get_event_history("p")
    return [
        (event.data["progress"], event.data["message"])
        for event in events
        if (event.event_type, event.step_id) == ("step_progress", step_id)
    ]


async def run(
    manager: StreamingManager | None, agent: object, plan: object = PLAN, context: object = None
) -> Any:
    wrapper = StreamingExecutionWrapper(agent, manager)
    return await wrapper.execute_research_plan_streaming(plan=plan, context=context)


# --- the documented story ----------------------------------------------------------------------


async def test_a_plan_of_three_steps_is_told_in_seventeen_events(manager: StreamingManager) -> None:
    agent, context, socket = Agent(), {"language": "de"}, BareSocket()
    await manager.register_client("c1", socket, ["p"])
    result = await run(manager, agent, context=context)
    step = ["step_started", *["step_progress"] * 3, "step_completed"]
    assert socket.types == ["plan_started", *step, *step, *step, "plan_completed"]
    assert len(manager.get_event_history("p")) == 17
    assert [given for given, _ in agent.calls] == PLAN["steps"]
    assert all(given is context for _, given in agent.calls)
    assert result == {
        "plan_id": "p",
        "status": "completed",
        "total_steps": 3,
        "completed_steps": 3,
        "results": dict.fromkeys(["search", "read", "write"], agent.result),
    }


async def test_what_each_event_says(manager: StreamingManager) -> None:
    await run(manager, Agent())
    events = manager.get_event_history("p")
    assert events[0].data == {
        "query": "Which heat pump?",
        "research_type": "comprehensive",
        "total_steps": 3,
        "steps": [
            {"step_id": "search", "depends_on": [], "action": "search"},
            {"step_id": "read", "depends_on": ["search"], "action": "analyze"},
            {"step_id": "write", "depends_on": ["read"], "name": "Write it up"},
        ],
    }
    assert events[1].data == {
        "step_number": 1,
        "action": "search",
        "agent_type": "registry",
        "attempt": 1,
    }
    assert progress_of(manager, "search") == MILESTONES
    assert events[5].data == {"status": "success", "quality_score": 0.9}
    assert events[-1].data == {"status": "completed", "total_steps": 3, "completed_steps": 3}


async def test_the_fold_knows_the_plan_and_no_runner_takes_it_up(manager: StreamingManager) -> None:
    from runcast.kinds.plan_fold import PLAN_STATE

    await run(manager, Agent(), {**PLAN, "managed": True})
    state = await manager.bus.fold("plan:p", PLAN_STATE)
    assert (state.status, state.managed, list(state.steps)) == (
        "completed",
        False,
        ["search", "read", "write"],
    )
    assert {step.status for step in state.steps.values()} == {"completed"}


async def test_events_are_told_while_the_agent_works(manager: StreamingManager) -> None:
    seen: list[list[tuple[str, str | None]]] = []

    class Looking(Agent):
        def execute_step(self, step: Any, context: Any) -> Any:
            seen.append(told(manager))
            return super().execute_step(step, context)

    await run(manager, Looking())
    assert seen[0] == [("plan_started", None), ("step_started", "search"), ("step_progress", "search")]
    assert [len(one) for one in seen] == [3, 8, 13]


async def test_a_plain_agent_runs_in_a_thread_and_an_async_one_in_the_loop(manager: StreamingManager) -> None:
    here = threading.get_ident()

    class Async(Agent):
        async def execute_step(self, step: Any, context: Any) -> Any:
            await asyncio.sleep(0)
            return super().execute_step(step, context)

    class Lazy(Agent):
        def execute_step(self, step: Any, context: Any) -> Any:
            async def later() -> Any:
                return Agent.execute_step(self, step, context)

            return later()

    plain, awaited, lazy = Agent(), Async(), Lazy()
    for agent in (plain, awaited, lazy):
        assert (await run(manager, agent))["completed_steps"] == 3
    assert here not in plain.threads
    assert awaited.threads == lazy.threads == {here}


# --- progress ----------------------------------------------------------------------------------


class Named(Agent):
    def execute_step(self, step: Any, context: Any, progress_callback: Any = None) -> Any:
        progress_callback(0.1, "Looking")
        progress_callback(0.9)
        return super().execute_step(step, context)


class Third(Agent):
    def execute_step(self, step: Any, context: Any, tell: Any) -> Any:
        tell(0.1, "Looking")
        tell(0.9)
        return super().execute_step(step, context)


class KeywordOnly(Agent):
    def execute_step(self, step: Any, context: Any, *, on_progress: Any) -> Any:
        on_progress(0.1, message="Looking")
        on_progress(progress=0.9)
        return super().execute_step(step, context)


class AnyKeyword(Agent):
    def execute_step(self, step: Any, context: Any, **more: Any) -> Any:
        more["progress_callback"](0.1, "Looking")
        more["progress_callback"](0.9)
        return super().execute_step(step, context)


class Awaiting(Agent):
    async def execute_step(self, step: Any, context: Any, progress_callback: Any) -> Any:
        await progress_callback(0.1, "Looking")
        progress_callback(0.9)
        return super().execute_step(step, context)


@pytest.mark.parametrize("make", [Named, Third, KeywordOnly, AnyKeyword, Awaiting])
async def test_an_agent_that_reports_progress_gets_that_instead(
    manager: StreamingManager, make: Callable[[], Agent]
) -> None:
    await run(manager, make())
    assert progress_of(manager, "read") == [(0.1, "Looking"), (0.9, "")]
    assert Counter(kind for kind, _ in told(manager))["step_progress"] == 6


async def test_an_agent_that_could_report_and_does_not_has_the_milestones(manager: StreamingManager) -> None:
    class Silent(Agent):
        def execute_step(self, step: Any, context: Any, progress_callback: Any = None) -> Any:
            return super().execute_step(step, context)

    await run(manager, Silent())
    assert progress_of(manager, "read") == MILESTONES
    assert len(told(manager)) == 17
    times = [datetime.fromisoformat(event.timestamp) for event in manager.get_event_history("p")]
    assert times == sorted(times)


async def test_a_third_parameter_with_a_default_is_the_agent_s_own(manager: StreamingManager) -> None:
    class Optional(Agent):
        def execute_step(self, step: Any, context: Any, retries: int = 3) -> Any:
            assert retries == 3
            return super().execute_step(step, context)

    await run(manager, Optional())
    assert progress_of(manager, "read") == MILESTONES


async def test_progress_that_is_no_fraction_is_the_agent_s_error(manager: StreamingManager) -> None:
    class Percent(Agent):
        def execute_step(self, step: Any, context: Any, progress_callback: Any) -> Any:
            progress_callback(40, "of 100")

    with pytest.raises(InvalidEvent, match="from 0 to 1"):
        await run(manager, Percent())
    assert told(manager)[-2:] == [("step_failed", "search"), ("plan_failed", None)]


async def test_progress_after_the_agent_has_returned_is_not_told(manager: StreamingManager) -> None:
    callbacks: list[Any] = []

    class Leaking(Agent):
        def execute_step(self, step: Any, context: Any, progress_callback: Any) -> Any:
            callbacks.append(progress_callback)
            return super().execute_step(step, context)

    await run(manager, Leaking())
    await callbacks[0](0.9, "too late")
    assert len(told(manager)) == 17


# --- failing -----------------------------------------------------------------------------------


class Failing(Agent):
    def execute_step(self, step: Any, context: Any) -> Any:
        if step["step_id"] == "read":
            raise LookupError("the page is gone")
        return super().execute_step(step, context)


async def test_an_exception_is_told_and_raised_again(manager: StreamingManager) -> None:
    agent = Failing()
    with pytest.raises(LookupError, match="the page is gone"):
        await run(manager, agent)
    assert len(agent.calls) == 1
    failed, plan_failed = manager.get_event_history("p")[-2:]
    assert (failed.event_type, failed.step_id, failed.data["error"]) == (
        "step_failed",
        "read",
        "The step read failed: LookupError.",
    )
    assert plan_failed.event_type == "plan_failed"
    assert plan_failed.data == {
        "status": "failed",
        "total_steps": 3,
        "completed_steps": 1,
        "error": "The step read failed: LookupError.",
        "failed_step": "read",
    }


async def test_an_error_made_for_those_who_watch_is_told_in_its_words(manager: StreamingManager) -> None:
    class Telling(Agent):
        def execute_step(self, step: Any, context: Any) -> Any:
            raise WorkflowError("The archive is closed on Mondays.")

    with pytest.raises(WorkflowError):
        await run(manager, Telling())
    assert manager.get_event_history("p")[-1].data["error"] == "The archive is closed on Mondays."


async def test_an_agent_that_says_that_it_failed_is_believed(manager: StreamingManager) -> None:
    result = await run(manager, Agent({"status": "failed", "error": "no sources"}))
    assert (result["status"], result["error"], result["failed_step"]) == ("failed", "no sources", "search")
    assert told(manager)[-2:] == [("step_failed", "search"), ("plan_failed", None)]


def gated(min_score: object) -> dict[str, Any]:
    return {"plan_id": "p", "steps": [{"step_id": "only", "quality_gate": min_score}]}


async def test_a_passed_gate_is_told_before_its_milestone(manager: StreamingManager) -> None:
    await run(manager, Agent(), gated({"min_score": 0.9}))
    assert [kind for kind, _ in told(manager)[3:]] == [
        "step_progress",
        "quality_check",
        "step_progress",
        "step_completed",
        "plan_completed",
    ]
    check = manager.get_event_history("p")[4]
    assert check.data == {"gate": "only", "min_score": 0.9, "passed": True, "quality_score": 0.9}


@pytest.mark.parametrize(
    ("result", "why"), [({"quality_score": 0.5}, "a quality_score of 0.5"), ({}, "no quality_score")]
)
async def test_a_gate_that_is_not_passed_fails_the_plan(
    manager: StreamingManager, result: dict[str, Any], why: str
) -> None:
    answer = await run(manager, Agent(result), gated({"min_score": 0.7}))
    assert answer["status"] == "failed"
    assert why in answer["error"]
    kinds = [kind for kind, _ in told(manager)]
    assert kinds[-3:] == ["quality_check", "step_failed", "plan_failed"]
    assert (0.75, "Quality gate passed") not in progress_of(manager, "only")


async def test_cancelling_tells_that_it_was_cancelled(manager: StreamingManager) -> None:
    class Endless(Agent):
        async def execute_step(self, step: Any, context: Any) -> Any:
            await asyncio.Event().wait()

    running = asyncio.create_task(run(manager, Endless()))
    await until(lambda: ("step_progress", "search") in told(manager))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert told(manager)[-1] == ("plan_cancelled", None)


# --- plans, results and agents of any make -------------------------------------------------------


async def test_plans_and_steps_may_be_objects(manager: StreamingManager) -> None:
    steps = [SimpleNamespace(step_id=name, description=f"do {name}") for name in ("a", "b")]
    agent = Agent()
    await run(manager, agent, SimpleNamespace(plan_id="p", query="q", steps=steps))
    assert [given for given, _ in agent.calls] == steps
    assert manager.get_event_history("p")[1].data["description"] == "do a"


async def test_steps_may_be_texts_or_a_mapping_and_ids_may_be_missing(manager: StreamingManager) -> None:
    texts, named = Agent(), Agent()
    result = await run(manager, texts, {"steps": ["look", "write"]})
    assert [given for given, _ in texts.calls] == ["look", "write"]
    assert list(result["results"]) == ["step_1", "step_2"]
    assert len(manager.get_event_history(result["plan_id"])) == 12
    await run(manager, named, {"plan_id": "p", "steps": {"x": {"action": "a"}, "y": {"action": "b"}}})
    assert [given["step_id"] for given, _ in named.calls] == ["x", "y"]


async def test_steps_wait_for_those_that_they_depend_on(manager: StreamingManager) -> None:
    steps = [{"id": "c", "depends_on": ["b"]}, {"id": "a"}, {"id": "b", "depends_on": "a"}, {"id": "d"}]
    agent = Agent()
    await run(manager, agent, {"plan_id": "p", "steps": steps})
    assert [given["id"] for given, _ in agent.calls] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        ({"plan_id": "p"}, "a list of steps"),
        ({"plan_id": "p", "steps": "all of them"}, "a list of steps"),
        ({"plan_id": "p", "steps": [{"id": "a"}, {"id": "a"}]}, 'two have the id "a"'),
        ({"plan_id": "p", "steps": [{"id": "a", "depends_on": ["z"]}]}, '"z", which is no step'),
        ({"plan_id": "p", "steps": [{"id": "a", "depends_on": ["a"]}]}, "wait for one another"),
        ({"plan_id": "p/q", "steps": []}, "plan_id"),
    ],
)
async def test_a_plan_that_cannot_be_is_refused_before_anything_is_told(
    manager: StreamingManager, plan: dict[str, Any], why: str
) -> None:
    agent = Agent()
    with pytest.raises(InvalidInput, match=why):
        await run(manager, agent, plan)
    assert (agent.calls, told(manager)) == ([], [])


async def test_an_agent_without_execute_step_is_refused_before_anything_is_told(
    manager: StreamingManager,
) -> None:
    with pytest.raises(InvalidInput, match="execute_step"):
        await run(manager, object())
    assert told(manager) == []


async def test_results_of_any_kind_are_told_as_json_can(manager: StreamingManager) -> None:
    class Odd:
        def __str__(self) -> str:
            return "an odd one"

    results = {
        "text": ("found it", {"result": "found it"}),
        "nothing": (None, {"result": None}),
        "moment": ({"at": datetime(2026, 1, 31, tzinfo=UTC)}, {"at": "2026-01-31T00:00:00Z"}),
        "object": ({"value": Odd(), 1: {2}}, {"value": "an odd one", "1": [2]}),
    }

    class Giving(Agent):
        def execute_step(self, step: Any, context: Any) -> Any:
            return results[step["step_id"]][0]

    plan = {"plan_id": "p", "steps": [{"step_id": name} for name in results]}
    answer = await run(manager, Giving(), plan)
    completed = {
        event.step_id: event.data
        for event in manager.get_event_history("p")
        if event.event_type == "step_completed"
    }
    assert completed == {name: data for name, (_, data) in results.items()}
    assert answer["results"]["object"] is results["object"][0]


async def test_a_result_too_long_for_an_event_is_cut_there_and_returned_whole(
    manager: StreamingManager,
) -> None:
    result = {"text": "x" * 1_000_000}
    answer = await run(manager, Agent(result), {"plan_id": "p", "steps": [{"step_id": "only"}]})
    assert answer["results"]["only"] is result
    event = manager.get_event_history("p")[-2]
    assert (event.event_type, event.data["truncated"], len(event.data["result"])) == (
        "step_completed",
        True,
        2_000,
    )


# --- without a manager ---------------------------------------------------------------------------


async def test_without_a_manager_it_just_runs() -> None:
    for agent in (Agent(), Named(), Awaiting()):
        result = await run(None, agent)
        assert (result["status"], result["completed_steps"], len(agent.calls)) == ("completed", 3, 3)
    with pytest.raises(LookupError):
        await run(None, Failing())
    assert (await run(None, Agent({}), gated({"min_score": 0.7})))["status"] == "failed"
