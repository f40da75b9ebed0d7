"""Parts of the plan runner by themselves: the registry, slots, figures, the parameters of research."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from tests.kinds.plans import begun
from tests.support.virtual import run_virtual

from runcast.errors import InvalidInput
from runcast.runners.plans import registry
from runcast.runners.plans.attempt import Spent
from runcast.runners.plans.doing import Functions, own_score, settle_result
from runcast.runners.plans.figures import LoopLag, health, metrics
from runcast.runners.plans.registry import ACTIONS, GATES, Registry, plan_gate, plan_step
from runcast.runners.plans.service import Plans
from runcast.runners.plans.shared import Slots

# The registry


def test_decorators_register_plain_functions_and_leave_them_as_they_are() -> None:
    @plan_step("test.step")
    def step(ctx: Any) -> str:
        return "done"

    @plan_gate("test.gate")
    def gate(result: Any, ctx: Any) -> float:
        return 0.5

    assert ACTIONS.get("test.step") is step
    assert GATES.get("test.gate") is gate
    assert Functions().actions is ACTIONS


def test_what_cannot_run_in_a_thread_is_refused_where_it_is_written() -> None:
    async def later(ctx: Any) -> None: ...

    with pytest.raises(InvalidInput, match="a plain function is expected"):
        plan_step("test.later")(later)
    with pytest.raises(InvalidInput, match=r"^name: 1 to 100"):
        plan_step("a name")(print)
    assert "test.later" not in ACTIONS


def test_installed_packages_offer_steps_and_one_that_fails_keeps_back_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    known: Registry[Any] = Registry("action")
    points = [
        EntryPoint("broken", "no.such.module:step", registry.ENTRY_POINT_GROUP),
        EntryPoint("dumps", "json:dumps", registry.ENTRY_POINT_GROUP),
        EntryPoint("whole module", "json", registry.ENTRY_POINT_GROUP),
    ]
    monkeypatch.setattr(registry, "ACTIONS", known)
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    registry.load_entry_points()
    assert list(known) == ["dumps"]
    assert "no.such.module" in caplog.text


async def test_research_is_there_unless_somebody_has_one_of_their_own(bus: Any) -> None:
    assert "research" in Plans(bus).functions.actions
    own = plan_step("research")(lambda ctx: "mine")
    assert Plans(bus).functions.actions.get("research") is own
    ACTIONS._functions.pop("research")


@pytest.fixture
async def bus() -> Any:
    from runcast.live.bus import Bus
    from runcast.log.memory import MemoryLog

    async with Bus(MemoryLog()) as bus:
        yield bus


# Slots


def test_who_has_waited_longest_gets_the_next_slot() -> None:
    slots, told = Slots(1), list[str]()
    wakes: dict[str, Callable[[], None]] = {name: lambda name=name: told.append(name) for name in "abc"}
    assert slots.take()
    assert not slots.take()
    for wake in wakes.values():
        slots.wait(wake)
    slots.wait(wakes["a"])  # once is enough
    slots.give()
    assert told == ["a"]
    slots.tell_next()  # a does not want it after all
    assert told == ["a", "b"]
    assert slots.take()
    slots.forget(wakes["c"])
    slots.give()
    assert told == ["a", "b"]


def test_who_was_told_and_leaves_hands_the_slot_on() -> None:
    slots, told = Slots(1), list[str]()
    wakes: dict[str, Callable[[], None]] = {name: lambda name=name: told.append(name) for name in "ab"}
    slots.take()
    for wake in wakes.values():
        slots.wait(wake)
    slots.give()
    slots.forget(wakes["a"])
    assert told == ["a", "b"]


# Results and scores


@pytest.mark.parametrize(
    ("result", "score"),
    [
        ({"quality_score": 0.5, "confidence": 0.9}, 0.5),
        ({"confidence": 1}, 1.0),
        ({"quality_score": True}, None),
        ({"quality_score": "0.5"}, None),
        ({}, None),
        ("text", None),
        ([0.5], None),
    ],
)
def test_a_result_says_what_it_is_worth(result: Any, score: float | None) -> None:
    assert own_score(result) == score


def test_a_result_is_what_json_makes_of_it_now_and_after_a_restart() -> None:
    assert settle_result({"t": (1, 2), 3: {"x"}}, 100_000) == {"t": [1, 2], "3": ["x"]}
    with pytest.raises(InvalidInput, match=r"^The result is 10002 bytes of JSON; the limit is 1808"):
        settle_result("x" * 10_000, 10_000)


# Figures


def test_the_lag_of_the_loop_is_measured_while_somebody_wants_to_know() -> None:
    async def measure() -> None:
        lag, loop = LoopLag(), asyncio.get_running_loop()
        lag.begin()
        lag.begin()
        await asyncio.sleep(0.3)
        assert lag.worst_ms == 0
        loop._now += 2  # pyright: ignore[reportAttributeAccessIssue] - something held the loop for two seconds
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert 1_700 <= lag.worst_ms <= 2_000
        assert health(begun("a").state, lag)["status"] == "lagging"
        await asyncio.sleep(20)
        assert lag.worst_ms == 0  # it is long ago
        lag.end()
        lag.end()

    run_virtual(measure())


def test_figures_are_those_of_the_plan() -> None:
    state = begun("a", "b", {"step_id": "c", "depends_on": ["b"]}).tell("step_started", "a", attempt=1).state
    figures = health(state, LoopLag())
    assert (figures["steps_running"], figures["steps_waiting"], figures["steps_ready"]) == (1, 2, 1)
    assert figures["memory_mb"] > 5
    spent, other = Spent(), Spent()
    other.add(7)
    spent.take(other)
    spent.take(other)
    told = metrics(state, spent, (state.begun_at or 0) + 2_500_000)
    assert (told["elapsed_s"], told["llm_calls"], told["tokens"], told["attempts"]) == (2.5, 1, 7, 1)
