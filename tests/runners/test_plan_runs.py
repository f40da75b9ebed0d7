"""Plans as they run, on a virtual clock: order, parallel steps, retries, gates, reviews, commands."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from tests.runners.plan_stage import PlanStage, on_plan_stage

from runcast.errors import Busy, Conflict, InvalidInput, StreamNotFound
from runcast.kinds.base import Publish
from runcast.kinds.plan import PLAN
from runcast.kinds.plan_state import MAX_PENDING
from runcast.live.bus import Bus
from runcast.log.memory import MemoryLog
from runcast.runners.plans.context import StepContext
from runcast.runners.plans.doing import StepError
from runcast.runners.plans.service import Plans


def step(step_id: str, *depends_on: str, **more: Any) -> dict[str, Any]:
    return {"step_id": step_id, "depends_on": list(depends_on), **more}


def fail_times(count: int, error: Exception | None = None) -> Any:
    """A result that fails so many times, then is there."""
    left = [count]

    def result(ctx: StepContext) -> Any:
        if left[0]:
            left[0] -= 1
            raise error or StepError("not yet")
        return {"attempt": ctx.attempt}

    return result


def test_steps_run_after_what_they_depend_on_and_get_its_results() -> None:
    async def test(stage: PlanStage) -> None:
        plan_id = await stage.start(step("a"), step("b", "a"), step("c", "a", "b"), query="Why?")
        state = await stage.over(plan_id)
        assert state.status == "completed"
        assert stage.executed == [("a", 1), ("b", 1), ("c", 1)]
        assert stage.seen["c"].results == {"a": {"by": "a"}, "b": {"by": "b"}}
        assert stage.seen["c"].query == "Why?"
        assert await stage.types(plan_id) == [
            "plan_started",
            "step_started a",
            "step_completed a",
            "step_started b",
            "step_completed b",
            "step_started c",
            "step_completed c",
            "plan_completed",
        ]
        ((_, _, started),) = await stage.told(plan_id, "plan_started")
        assert (started["query"], started["total_steps"]) == ("Why?", 3)

    on_plan_stage(test)


def test_no_more_steps_at_once_than_the_plan_says() -> None:
    async def test(stage: PlanStage) -> None:
        stage.threads.hold = lambda ctx: True
        plan_id = await stage.start(*(step(name) for name in "abcde"), parallel_steps=2)
        await stage.until(plan_id, lambda state: len(state.in_status("running")) == 2)
        await asyncio.sleep(5)
        assert list(stage.threads.held) == ["a", "b"]
        stage.threads.release("b")
        await stage.until(plan_id, lambda state: state.in_status("running") == ["a", "c"])
        stage.threads.hold = lambda ctx: False
        for name in ("a", "c"):
            stage.threads.release(name)
        assert (await stage.over(plan_id)).status == "completed"

    on_plan_stage(test)


def test_all_plans_together_keep_to_the_threads_there_are() -> None:
    async def test(stage: PlanStage) -> None:
        stage.threads.hold = lambda ctx: True
        plans = [await stage.start(step(f"{name}1"), step(f"{name}2")) for name in "abc"]
        await asyncio.sleep(1)
        for _ in range(3):
            await asyncio.sleep(1)
            assert len(stage.threads.held) == 2  # of all three plans: no more begins
            for name in list(stage.threads.held):
                stage.threads.release(name)
        assert [(await stage.over(plan_id)).status for plan_id in plans] == ["completed"] * 3
        for plan_id in plans:  # a step is told to have begun when it has
            types = await stage.types(plan_id)
            assert types.count("plan_completed") == 1

    on_plan_stage(test, runner_threads=2)


def test_a_step_that_fails_is_tried_again_after_longer_and_longer() -> None:
    async def test(stage: PlanStage) -> None:
        stage.results["a"] = fail_times(3)
        plan_id = await stage.start(step("a", max_attempts=4, backoff_s=10), step("b", "a"))
        state = await stage.over(plan_id)
        assert state.status == "completed"
        assert stage.executed == [("a", 1), ("a", 2), ("a", 3), ("a", 4), ("b", 1)]
        events = await stage.events(plan_id)
        begun = [event.time for event in events if event.type == "step_started"]
        waits = [(later - earlier) / 1e6 for earlier, later in pairwise(begun)]
        assert waits[:3] == pytest.approx([10, 20, 40], abs=0.1)
        failed = await stage.told(plan_id, "step_failed", "step_retrying")
        assert failed[0] == (
            "step_failed",
            "a",
            {"error": "not yet", "will_retry": True, "attempt": 1, "seconds": 0.0},
        )
        assert failed[1][2] == {"attempt": 2, "delay_s": 10.0, "reason": "not yet"}

    on_plan_stage(test)


def test_a_step_that_fails_for_good_fails_the_plan_when_nothing_else_can_be_done() -> None:
    async def test(stage: PlanStage) -> None:
        stage.results["a"] = fail_times(9)
        plan_id = await stage.start(
            step("a", max_attempts=2, backoff_s=1), step("b", "a"), step("c"), step("d", "c")
        )
        state = await stage.over(plan_id)
        assert state.status == "failed"
        assert stage.executed == [("a", 1), ("c", 1), ("d", 1), ("a", 2)]
        ((_, _, failed),) = await stage.told(plan_id, "plan_failed")
        assert failed["error"] == 'The step "a" has failed: not yet'
        assert (failed["failed_steps"], failed["not_run"]) == (["a"], ["b"])

    on_plan_stage(test)


@pytest.mark.parametrize(
    ("error", "attempts", "told"),
    [
        (StepError("The site is gone.", retry=False), 1, "The site is gone."),
        (InvalidInput("params.x: a text is expected."), 1, "params.x: a text is expected."),
        (Busy(), 3, str(Busy())),
        (ValueError("password=secret"), 3, "a failed: ValueError."),
    ],
)
def test_what_is_told_of_an_error_and_whether_it_is_tried_again(
    error: Exception, attempts: int, told: str
) -> None:
    async def test(stage: PlanStage) -> None:
        stage.results["a"] = fail_times(9, error)
        plan_id = await stage.start(step("a"))
        await stage.over(plan_id)
        assert stage.executed == [("a", number + 1) for number in range(attempts)]
        assert (await stage.told(plan_id, "step_failed"))[-1][2]["error"] == told

    on_plan_stage(test)


def test_an_attempt_has_its_time_and_the_next_waits_until_it_has_noticed() -> None:
    async def test(stage: PlanStage) -> None:
        stage.threads.hold = lambda ctx: ctx.attempt == 1
        plan_id = await stage.start(step("a", timeout_s=30, backoff_s=0))
        await stage.until(plan_id, lambda state: state.steps["a"].status == "retrying")
        told = await stage.told(plan_id, "step_failed")
        assert told[0][2]["error"] == "It took longer than its 30 s."
        assert told[0][2]["seconds"] == pytest.approx(30, abs=0.1)
        await asyncio.sleep(20)
        assert (await stage.plans.state(plan_id)).steps["a"].status == "retrying"  # its thread is still at it
        stage.threads.release("a")
        state = await stage.over(plan_id)
        assert (state.status, state.steps["a"].attempt) == ("completed", 2)
        assert [event for event in await stage.types(plan_id) if "completed" in event] == [
            "step_completed a",
            "plan_completed",
        ]

    on_plan_stage(test)


def test_a_step_whose_thread_never_stops_fails_and_the_plan_ends() -> None:
    async def test(stage: PlanStage) -> None:
        stage.threads.hold = lambda ctx: True
        plan_id = await stage.start(step("a", timeout_s=30))
        state = await stage.over(plan_id)
        assert state.status == "failed"
        assert "was told to stop and does not" in (state.steps["a"].error or "")
        assert stage.executed == []
        # taken up by hand while that thread is still there, it is not begun beside it, in a new claim, too
        await stage.do(plan_id, "retry_step", step_id="a")
        await asyncio.sleep(1)
        assert (await stage.plans.state(plan_id)).steps["a"].attempt == 1
        stage.threads.hold = lambda ctx: False
        stage.threads.release("a")
        assert (await stage.over(plan_id)).status == "completed"

    on_plan_stage(test)


def test_a_gate_lets_good_results_pass_and_has_others_done_again() -> None:
    async def test(stage: PlanStage) -> None:
        stage.results["a"] = lambda ctx: {"quality_score": 0.4 * ctx.attempt}
        plan_id = await stage.start(
            step("a", backoff_s=0, quality_gate={"min_score": 0.75, "on_fail": "retry"}), step("b", "a")
        )
        assert (await stage.over(plan_id)).status == "completed"
        checks = [data for _, _, data in await stage.told(plan_id, "quality_check")]
        assert [(check["quality_score"], check["passed"]) for check in checks] == [(0.4, False), (0.8, True)]
        assert checks[0] | {"gate": "a", "check": "result", "min_score": 0.75} == checks[0]
        assert stage.executed == [("a", 1), ("a", 2), ("b", 1)]

    on_plan_stage(test)


@pytest.mark.parametrize("result", [{"confidence": 0.2}, {"x": 1}, "text", None])
def test_a_gate_fails_the_step_and_a_result_without_a_score_does_not_pass(result: Any) -> None:
    async def test(stage: PlanStage) -> None:
        stage.results["a"] = lambda ctx: result
        plan_id = await stage.start(step("a", quality_gate={"min_score": 0.5, "on_fail": "fail"}))
        assert (await stage.over(plan_id)).status == "failed"
        assert stage.executed == [("a", 1)]
        ((_, _, check),) = await stage.told(plan_id, "quality_check")
        assert isinstance(check["quality_score"], float)  # clients compare it without looking

    on_plan_stage(test)


def test_a_gate_may_be_a_function_and_one_that_is_not_there_says_so() -> None:
    async def test(stage: PlanStage) -> None:
        stage.functions.gates.add("long", lambda result, ctx: len(result) / 10)
        stage.results["a"] = lambda ctx: "a text"
        gone = step("b", quality_gate={"min_score": 0.6, "check": "gone"})
        with pytest.raises(InvalidInput, match=r'steps\[0\].quality_gate.check: there is no gate "gone"'):
            await stage.start(gone)
        plan_id = await stage.start(step("a", quality_gate={"min_score": 0.6, "check": "long"}))
        state = await stage.over(plan_id)
        assert state.steps["a"].status == "completed"
        assert state.steps["a"].quality_score == 0.6

    on_plan_stage(test)


@pytest.mark.parametrize(
    "more", [{"action": "nosuch"}, {"action": "work", "quality_gate": {"check": "gone"}}]
)
def test_a_plan_that_another_process_knows_is_left_to_it_but_can_be_cancelled(more: dict[str, Any]) -> None:
    async def test(stage: PlanStage) -> None:
        started = {"step_id": None, "data": {"managed": True, "steps": [step("b") | more]}}
        await stage.bus.publish("plan:from-elsewhere", "plan_started", started)
        await asyncio.sleep(60)
        state = await stage.plans.state("from-elsewhere")
        assert (state.status, state.steps["b"].status) == ("running", "waiting")
        outcome = await stage.do("from-elsewhere", "cancel")
        assert outcome.event == "plan_cancelled"

    on_plan_stage(test)


def test_a_review_waits_for_a_person_while_other_steps_go_on() -> None:
    async def test(stage: PlanStage) -> None:
        stage.results["a"] = lambda ctx: {"quality_score": 0.1, "text": "so so"}
        gate = {"min_score": 0.9, "on_fail": "review"}
        plan_id = await stage.start(step("a", quality_gate=gate), step("b", "a"), step("c"))
        await stage.until(plan_id, lambda state: bool(state.in_status("review")))
        await asyncio.sleep(10_000)
        state = await stage.plans.state(plan_id)
        assert (state.status, state.in_status("completed")) == ("running", ["c"])
        required = (await stage.told(plan_id, "review_required"))[0][2]
        assert required["gate"] == "a"
        assert required["result"] == {"quality_score": 0.1, "text": "so so"}
        reason = await stage.refused(plan_id, "review", gate="b", approved=True)
        assert reason == 'No gate "b" waits for a review; "a" does.'
        outcome = await stage.do(plan_id, "review", gate="a", approved=True, by="eva", comment="good enough")
        assert outcome.event == "review_resolved"
        assert (await stage.over(plan_id)).status == "completed"
        assert stage.seen["b"].results["a"]["text"] == "so so"
        resolved = (await stage.told(plan_id, "review_resolved"))[0][2]
        assert (resolved["by"], resolved["approved"], resolved["comment"]) == ("eva", True, "good enough")

    on_plan_stage(test)


def test_a_rejected_result_fails_its_step_which_can_be_done_again() -> None:
    async def test(stage: PlanStage) -> None:
        stage.results["a"] = lambda ctx: {"quality_score": 0.1 if ctx.attempt == 1 else 1.0}
        plan_id = await stage.start(step("a", quality_gate={"min_score": 0.9, "on_fail": "review"}))
        await stage.until(plan_id, lambda state: bool(state.in_status("review")))
        await stage.do(plan_id, "review", gate="a", approved=False, comment="no sources")
        state = await stage.over(plan_id)
        assert (state.status, state.steps["a"].error) == (
            "failed",
            "It was rejected in its review: no sources",
        )
        await stage.do(plan_id, "retry_step", step_id="a")
        assert (await stage.over(plan_id)).status == "completed"
        assert (await stage.types(plan_id))[-6:] == [
            "plan_resumed a",
            "step_retrying a",
            "step_started a",
            "quality_check a",
            "step_completed a",
            "plan_completed",
        ]

    on_plan_stage(test)


def test_a_paused_plan_finishes_what_runs_and_begins_nothing_until_it_is_resumed() -> None:
    async def test(stage: PlanStage) -> None:
        stage.threads.hold = lambda ctx: ctx.step_id == "a"
        plan_id = await stage.start(step("a"), step("b", "a"))
        await stage.until(plan_id, lambda state: bool(state.in_status("running")))
        outcome = await stage.do(plan_id, "pause", by="eva")
        assert outcome.event == "plan_paused"
        paused = (await stage.told(plan_id, "plan_paused"))[0][2]
        assert paused["running"] == ["a"]
        assert paused["message"] == '"a" will still finish; nothing new begins.'
        assert await stage.refused(plan_id, "pause") == "The plan is paused already."
        stage.threads.release("a")
        await stage.until(plan_id, lambda state: state.in_status("completed") == ["a"])
        await asyncio.sleep(1_000)
        assert stage.executed == [("a", 1)]
        await stage.do(plan_id, "resume")
        assert (await stage.over(plan_id)).status == "completed"

    on_plan_stage(test)


def test_a_paused_plan_does_not_end_so_that_steps_can_be_added() -> None:
    async def test(stage: PlanStage) -> None:
        stage.threads.hold = lambda ctx: ctx.step_id == "a"
        plan_id = await stage.start(step("a"))
        await stage.until(plan_id, lambda state: bool(state.in_status("running")))
        await stage.do(plan_id, "pause")
        stage.threads.release("a")
        await stage.until(plan_id, lambda state: bool(state.in_status("completed")))
        await stage.do(plan_id, "add_step", step=step("b", "a", action="work"))
        await stage.do(plan_id, "resume")
        assert (await stage.over(plan_id)).status == "completed"
        assert stage.executed == [("a", 1), ("b", 1)]

    on_plan_stage(test)


def test_retries_wait_while_the_plan_is_paused() -> None:
    async def test(stage: PlanStage) -> None:
        stage.results["a"] = fail_times(1)
        plan_id = await stage.start(step("a", backoff_s=5))
        await stage.until(plan_id, lambda state: bool(state.in_status("retrying")))
        await stage.do(plan_id, "pause")
        await asyncio.sleep(100)
        assert stage.executed == [("a", 1)]
        await stage.do(plan_id, "resume")
        assert (await stage.over(plan_id)).status == "completed"

    on_plan_stage(test)


def test_cancelling_ends_the_plan_at_once_and_nothing_is_told_of_it_any_more() -> None:
    async def test(stage: PlanStage) -> None:
        stage.threads.hold = lambda ctx: True
        plan_id = await stage.start(step("a"), step("b", "a"))
        await stage.until(plan_id, lambda state: bool(state.in_status("running")))
        outcome = await stage.do(plan_id, "cancel", by="eva", reason="too dear")
        assert outcome.event == "plan_cancelled"
        state = await stage.plans.state(plan_id)
        assert (state.status, state.error) == ("cancelled", "too dear")
        assert (state.steps["a"].status, state.steps["b"].status) == ("cancelled", "waiting")
        stage.results["a"] = lambda ctx: ctx.progress(0.5, "too late")
        stage.threads.release("a")
        await asyncio.sleep(100)
        assert (await stage.types(plan_id))[-1] == "plan_cancelled"
        for command, arguments in {"resume": {}, "retry_step": {"step_id": "a"}, "cancel": {}}.items():
            reason = await stage.refused(plan_id, command, **arguments)
            assert reason == "The plan is cancelled; nothing can be done to it any more."

    on_plan_stage(test)


def test_a_skipped_step_is_as_good_as_done_and_those_after_it_see_that() -> None:
    async def test(stage: PlanStage) -> None:
        stage.results["a"] = fail_times(9)
        plan_id = await stage.start(step("a", max_attempts=1), step("b", "a"))
        await stage.over(plan_id)
        await stage.do(plan_id, "skip_step", step_id="a", by="eva", reason="not needed")
        state = await stage.over(plan_id)
        assert (state.status, state.steps["a"].status) == ("completed", "skipped")
        dependency = stage.seen["b"].dependencies["a"]
        assert dependency.is_skipped
        assert stage.seen["b"].results == {}
        ((_, step_id, skipped),) = await stage.told(plan_id, "step_skipped")
        assert (step_id, skipped["reason"], skipped["was"]) == ("a", "not needed", "failed")

    on_plan_stage(test)


def test_a_running_step_can_be_skipped_and_its_result_does_not_count() -> None:
    async def test(stage: PlanStage) -> None:
        stage.threads.hold = lambda ctx: ctx.step_id == "a"
        plan_id = await stage.start(step("a"), step("b", "a"))
        await stage.until(plan_id, lambda state: bool(state.in_status("running")))
        await stage.do(plan_id, "skip_step", step_id="a")
        assert (await stage.over(plan_id)).status == "completed"
        stage.threads.release("a")
        await asyncio.sleep(1)
        assert "step_completed a" not in await stage.types(plan_id)

    on_plan_stage(test)


def test_a_completed_step_runs_again_only_by_command() -> None:
    async def test(stage: PlanStage) -> None:
        stage.threads.hold = lambda ctx: ctx.step_id == "c"
        plan_id = await stage.start(step("a"), step("b", "a"), step("c", "b"))
        await stage.until(plan_id, lambda state: state.in_status("running") == ["c"])
        await stage.do(plan_id, "retry_step", step_id="a")
        await stage.until(plan_id, lambda state: state.steps["a"].attempt == 2)
        stage.threads.release("c")
        assert (await stage.over(plan_id)).status == "completed"
        assert stage.executed == [("a", 1), ("b", 1), ("a", 2), ("c", 1)]

    on_plan_stage(test)


def test_the_graph_can_be_changed_while_it_runs() -> None:
    async def test(stage: PlanStage) -> None:
        stage.threads.hold = lambda ctx: ctx.step_id == "a"
        plan_id = await stage.start(
            step("a"), step("b", "a"), step("c", "a"), step("d", "a"), parallel_steps=1
        )
        await stage.until(plan_id, lambda state: bool(state.in_status("running")))
        await stage.do(plan_id, "remove_step", step_id="c")
        await stage.do(plan_id, "add_step", step=step("e", "d", action="work"))
        await stage.do(plan_id, "reorder", order=["d", "e"])
        await stage.do(plan_id, "set_depends_on", step_id="b", depends_on=["e"])
        stage.threads.release("a")
        state = await stage.over(plan_id)
        assert state.status == "completed"
        assert [name for name, _ in stage.executed] == ["a", "d", "e", "b"]
        assert (state.total_steps, state.removed) == (4, 1)

    on_plan_stage(test)


def test_changes_that_make_no_sense_are_refused_by_name() -> None:
    async def test(stage: PlanStage) -> None:
        stage.threads.hold = lambda ctx: True
        plan_id = await stage.start(step("a"), step("b", "a"), step("c", "b"))
        await stage.until(plan_id, lambda state: bool(state.in_status("running")))
        for command, arguments, reason in (
            ("resume", {}, "The plan is not paused."),
            ("retry_step", {"step_id": "x"}, 'There is no step "x".'),
            ("retry_step", {"step_id": "a"}, 'The step "a" is running.'),
            ("retry_step", {"step_id": "b"}, 'The step "b" has not run yet.'),
            ("skip_step", {"step_id": "x"}, 'There is no step "x".'),
            ("remove_step", {"step_id": "b"}, 'The step "b" cannot be removed: "c" depends on it.'),
            ("add_step", {"step": step("b") | {"action": "work"}}, 'There is a step "b" already.'),
            ("add_step", {"step": step("d", "x") | {"action": "work"}}, 'There is no step "x".'),
            ("reorder", {"order": ["c", "x"]}, 'There is no step "x".'),
            ("set_depends_on", {"step_id": "b", "depends_on": ["x"]}, 'There is no step "x".'),
            (
                "set_depends_on",
                {"step_id": "b", "depends_on": ["c"]},
                "These steps would wait for one another: b → c → b.",
            ),
            ("set_depends_on", {"step_id": "a", "depends_on": []}, 'The step "a" is running: it has begun.'),
        ):
            assert await stage.refused(plan_id, command, **arguments) == reason
        assert "plan_command" not in await stage.types(plan_id)  # what is refused at once leaves no trace
        with pytest.raises(InvalidInput, match=r'step\.action: there is no action "nosuch"'):
            await stage.plans.command(plan_id, "add_step", step=step("d") | {"action": "nosuch"})

    on_plan_stage(test)


def test_the_id_of_another_command_is_not_answered_with_its_answer() -> None:
    async def test(stage: PlanStage) -> None:
        stage.threads.hold = lambda ctx: True
        plan_id = await stage.start(step("a"))
        await stage.until(plan_id, lambda state: bool(state.in_status("running")))
        first = await stage.plans.command(plan_id, "pause", command_id="X")
        assert first.event == "plan_paused"
        with pytest.raises(Conflict, match="command_id: X was given to something else"):
            await stage.plans.command(plan_id, "resume", command_id="X")

    on_plan_stage(test)


async def test_more_commands_than_are_remembered_are_refused_in_words() -> None:
    async with Bus(MemoryLog(), [PLAN]) as bus:  # nobody runs plans here
        started = {"step_id": None, "data": {"managed": True, "steps": [step("a")]}}
        await bus.publish("plan:full", "plan_started", started)
        data = [{"command": "pause", "command_id": f"c{number}"} for number in range(MAX_PENDING)]
        await bus.publish_all(
            [
                Publish(stream="plan:full", type="plan_command", data={"step_id": None, "data": one})
                for one in data
            ]
        )
        outcome = await Plans(bus).command("full", "pause")
        assert outcome.status == "refused"
        assert outcome.reason == f"{MAX_PENDING} commands wait for an answer already; try again in a moment."


def test_a_command_that_made_sense_when_it_was_given_and_no_more_is_refused_by_the_runner() -> None:
    async def test(stage: PlanStage) -> None:
        stage.threads.hold = lambda ctx: True
        plan_id = await stage.start(step("a"))
        await stage.until(plan_id, lambda state: bool(state.in_status("running")))
        outcomes = await asyncio.gather(*(stage.plans.command(plan_id, "pause") for _ in range(3)))
        assert sorted(outcome.status for outcome in outcomes) == ["done", "refused", "refused"]
        refused = await stage.told(plan_id, "command_refused")
        assert {data["reason"] for _, _, data in refused} == {"The plan is paused already."}

    on_plan_stage(test)


def test_a_command_is_one_however_often_it_is_given() -> None:
    async def test(stage: PlanStage) -> None:
        plan_id = await stage.start(step("a"), step("b"))
        await stage.over(plan_id)
        another = await stage.start(step("a", action="work"))
        stage.threads.hold = lambda ctx: True
        third = await stage.start(step("a"))
        await stage.until(third, lambda state: bool(state.in_status("running")))
        first = await stage.plans.command(third, "cancel", command_id="mine")
        assert first.status == "done"
        assert another != third
        assert (await stage.types(third)).count("plan_cancelled") == 1

    on_plan_stage(test)


def test_without_a_runner_a_command_waits() -> None:
    async def test(stage: PlanStage) -> None:
        lonely = PlanStage()
        async with lonely.bus:
            plan_id = await lonely.start(step("a"))
            outcome = await lonely.plans.command(plan_id, "pause", timeout_s=5)
            assert (outcome.status, outcome.event) == ("waiting", None)
            assert list((await lonely.plans.state(plan_id)).pending) == [outcome.command_id]

    on_plan_stage(test)


def test_plans_of_others_take_no_commands_and_are_not_run() -> None:
    async def test(stage: PlanStage) -> None:
        await stage.bus.publish(
            "plan:theirs", "PLAN_STARTED", {"data": {"query": "x", "steps": [{"step_id": "s"}]}}
        )
        await stage.bus.publish("plan:theirs", "step_started", {"step_id": "s"})
        await asyncio.sleep(10)
        reason = await stage.refused("theirs", "pause")
        assert reason == "This plan is run by somebody else, who takes no commands."
        assert (await stage.types("theirs"))[-1] == "step_started s"
        with pytest.raises(StreamNotFound):
            await stage.plans.command("nowhere", "pause")

    on_plan_stage(test)


def test_a_plan_id_can_be_used_again_when_its_run_is_over() -> None:
    async def test(stage: PlanStage) -> None:
        stage.threads.hold = lambda ctx: True
        plan_id = await stage.start(step("a"), plan_id="mine")
        assert plan_id == "mine"
        with pytest.raises(Conflict):
            await stage.start(step("b"), plan_id="mine")
        await stage.until("mine", lambda state: bool(state.in_status("running")))
        stage.threads.hold = lambda ctx: False
        stage.threads.release("a")
        await stage.over("mine")
        first = (await stage.bus.info("plan:mine")).epoch
        both = await asyncio.gather(
            *(stage.start(step("b"), plan_id="mine") for _ in range(2)), return_exceptions=True
        )
        assert [type(each) for each in both] == [str, Conflict]
        assert (await stage.over("mine")).in_status("completed") == ["b"]
        assert (await stage.bus.info("plan:mine")).epoch != first

    on_plan_stage(test)


def test_actions_that_nobody_knows_are_refused_at_the_start() -> None:
    async def test(stage: PlanStage) -> None:
        with pytest.raises(InvalidInput, match=r'steps\[1\].action: there is no action "x"; there are: work'):
            await stage.start(step("a"), step("b", action="x"))

    on_plan_stage(test)


def test_results_that_cannot_be_stored_fail_the_step_and_are_not_asked_for_again() -> None:
    async def test(stage: PlanStage) -> None:
        stage.results["a"] = lambda ctx: "x" * 300_000
        stage.results["b"] = lambda ctx: {"a": {1, 2}, "b": object()}
        deep: Any = 1
        for _ in range(70):
            deep = [deep]
        stage.results["c"] = lambda ctx: deep
        plan_id = await stage.start(step("a"), step("b"), step("c"))
        state = await stage.over(plan_id)
        assert sorted(stage.executed) == [("a", 1), ("b", 1), ("c", 1)]
        assert "300002 bytes of JSON; the limit is 253952" in (state.steps["a"].error or "")
        assert "cannot be stored as JSON" in (state.steps["b"].error or "")
        assert "nested deeper" in (state.steps["c"].error or "")

    on_plan_stage(test)


def test_a_long_result_is_not_kept_in_the_state_but_had_by_those_who_depend_on_it() -> None:
    async def test(stage: PlanStage) -> None:
        stage.results["a"] = lambda ctx: {"text": "x" * 100_000, "quality_score": 0.1}
        gate = {"min_score": 0.5, "on_fail": "review"}
        plan_id = await stage.start(step("a", quality_gate=gate), step("b", "a"))
        await stage.until(plan_id, lambda state: bool(state.in_status("review")))
        await stage.do(plan_id, "review", gate="a", approved=True)
        state = await stage.over(plan_id)
        assert state.status == "completed"
        assert state.steps["a"].result is None
        assert len(stage.seen["b"].results["a"]["text"]) == 100_000

    on_plan_stage(test)


def test_health_and_metrics_come_while_steps_are_at_work_and_not_while_none_are() -> None:
    async def test(stage: PlanStage) -> None:
        stage.threads.hold = lambda ctx: True
        plan_id = await stage.start(step("a"), step("b", "a"))
        await asyncio.sleep(35)
        health = [data for _, _, data in await stage.told(plan_id, "health_update")]
        assert len(health) == 3
        assert (health[0]["steps_running"], health[0]["steps_waiting"]) == (1, 1)
        assert health[0]["memory_mb"] > 5
        assert health[0]["event_loop_lag_ms"] >= 0
        metrics = [data for _, _, data in await stage.told(plan_id, "metrics_update")]
        assert metrics[-1]["total_steps"] == 2
        assert metrics[-1]["elapsed_s"] == pytest.approx(30, abs=1)
        await stage.do(plan_id, "pause")
        stage.threads.release("a")
        await stage.until(plan_id, lambda state: bool(state.in_status("completed")))
        told = len(await stage.events(plan_id))
        await asyncio.sleep(1_000)
        assert len(await stage.events(plan_id)) == told
        assert (await stage.plans.state(plan_id)).health["steps_running"] == 1

    on_plan_stage(test, health_interval_s=10.0)


def test_progress_is_told_but_not_more_often_than_anybody_can_see() -> None:
    async def test(stage: PlanStage) -> None:
        def work(ctx: StepContext) -> str:
            for number in range(1_000):
                ctx.progress(number / 1_000, f"{number} done")
            ctx.publish("found", what="it")
            return "x"

        stage.results["a"] = work
        plan_id = await stage.start(step("a"))
        await stage.over(plan_id)
        told = await stage.told(plan_id, "step_progress")
        assert told[0][2] == {"progress": 0.0, "message": "0 done"}
        assert told[-1][2] == {"progress": 0.999, "message": "999 done"}  # the last is always told
        assert len(told) < 20
        assert (await stage.told(plan_id, "found"))[0][1:] == ("a", {"what": "it"})

    on_plan_stage(test)


@pytest.mark.parametrize("event_type", ["plan_completed", "STEP_COMPLETED", "plan_command"])
def test_an_action_cannot_tell_what_is_the_runners_to_tell(event_type: str) -> None:
    async def test(stage: PlanStage) -> None:
        stage.results["a"] = lambda ctx: ctx.publish(event_type)
        plan_id = await stage.start(step("a"))
        state = await stage.over(plan_id)
        assert state.steps["a"].error == f"type: {event_type} is for the runner to tell."

    on_plan_stage(test)


def test_a_plan_that_is_cleared_while_it_runs_is_left_alone() -> None:
    async def test(stage: PlanStage) -> None:
        stage.threads.hold = lambda ctx: True
        plan_id = await stage.start(step("a"), step("b", "a"))
        await stage.until(plan_id, lambda state: bool(state.in_status("running")))
        await stage.bus.clear(f"plan:{plan_id}")
        stage.threads.hold = lambda ctx: False
        stage.threads.release("a")
        await asyncio.sleep(100)
        assert [name for name, _ in stage.executed] == ["a"]

    on_plan_stage(test)


@pytest.mark.parametrize("change", ["end", "clear"])
def test_nothing_more_is_told_of_a_plan_whose_stream_is_ended_or_cleared(change: str) -> None:
    async def test(stage: PlanStage) -> None:
        stage.threads.hold = lambda ctx: True
        plan_id = await stage.start(step("a"), step("b", "a"))
        await stage.until(plan_id, lambda state: bool(state.in_status("running")))
        before = await stage.types(plan_id)
        await getattr(stage.bus, change)(f"plan:{plan_id}")
        stage.threads.hold = lambda ctx: False
        stage.threads.release("a")
        await asyncio.sleep(100)
        assert await stage.types(plan_id) == (before if change == "end" else [])
        assert (await stage.bus.info(f"plan:{plan_id}")).ended == (change == "end")

    on_plan_stage(test)


def test_what_a_processor_does_to_a_plans_events_never_makes_it_run_in_circles() -> None:
    async def test(stage: PlanStage) -> None:
        dropped: list[float] = []

        def drop(publish: Publish) -> Publish | None:
            if publish.type == "step_started" and len(dropped) < 3:
                dropped.append(asyncio.get_running_loop().time())
                return None
            return publish

        stage.bus.processors.add(drop)
        plan_id = await stage.start(step("a"))
        assert (await stage.over(plan_id)).status == "completed"
        assert dropped[-1] > 0.5  # it was begun anew after a while, not at once
        assert stage.executed == [("a", 1)]

    on_plan_stage(test)
