"""Workflows that wait for people: they hold nothing, and go on from their top when they are answered."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.runners.workflow_stage import Gate, Stage, data, of_type, play, staged, types

from runcast.kinds.workflow import workflow_stream
from runcast.runners.workflows import approvals
from runcast.runners.workflows.context import AgentContext, Context
from runcast.runners.workflows.registry import workflow


async def until_free(stage: Stage) -> None:
    while stage.host.claimed:
        await asyncio.sleep(0.005)


async def asked(stage: Stage, workflow_id: str, number: int = 1) -> str:
    wanted = f"{workflow_id}.{number}"
    await stage.until(
        workflow_id,
        lambda event: event.type == "approval_requested" and data(event)["approval_id"] == wanted,
    )
    return wanted


def bodies() -> int:
    return sum(thread.name.startswith("runcast-workflow") for thread in threading.enumerate())


def test_one_that_nobody_answers_is_left_and_called_again_with_the_answer():
    ran: list[str] = []

    @workflow("parked")
    def parked(ctx: Context) -> str:
        ran.append(f"called {ctx.attempt}")
        found = ctx.agent("before", lambda agent: ran.append("agent") or agent.llm("?"))
        ctx.publish("noted", n=1)
        try:
            first = ctx.approve("Go on?")
        finally:
            ran.append("left")
        second = ctx.approve("Really?")
        return f"{found.content} {first.by} {second.by}"

    async def test() -> None:
        async with staged(linger_s=0.02) as stage:
            workflow_id = await stage.start("parked")
            for number, by in ((1, "ann"), (2, "bob")):
                question = await asked(stage, workflow_id, number)
                await until_free(stage)
                state = await stage.workflows.state(workflow_id)
                assert (state.status, state.is_waiting, state.waits_for) == ("running", True, question)
                assert state.resources.tokens == 10  # what it has used is not forgotten
                await stage.workflows.resolve_approval(question, True, by=by)
            events = await stage.events(workflow_id)
            assert data(events[-1])["synthesis"]["content"] == "It is so. ann bob"
            assert data(events[-1])["performance_metrics"]["total_tokens"] == 10
            counted = types(events)
            assert counted.count("approval_requested") == 2
            assert counted.count("agent_spawned") == counted.count("noted") == 1
            statuses = of_type(events, "workflow_status")
            assert [one["attempt"] for one in statuses] == [1, 1, 2, 3, 3]
            assert ran == ["called 1", "agent", "left", "called 2", "left", "called 3", "left"]

    play(test)


def test_it_is_not_called_again_before_it_was_left():
    gate, inside, most = Gate(), 0, 0

    @workflow("slow-to-leave")
    def slow_to_leave(ctx: Context) -> str:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        try:
            return str(ctx.approve("Go on?").by)
        finally:
            gate.wait()
            inside -= 1

    async def test() -> None:
        async with staged(linger_s=0.0) as stage:
            workflow_id = await stage.start("slow-to-leave")
            question = await asked(stage, workflow_id)
            await gate.until_reached()
            await stage.workflows.resolve_approval(question, True, by="ann")
            await asyncio.sleep(0.1)  # far longer than it takes to call it
            assert stage.host.claimed == [workflow_stream(workflow_id)]
            gate.open()
            events = await stage.events(workflow_id)
            assert data(events[-1])["synthesis"]["content"] == "ann"
        assert most == 1

    play(test)


def test_a_quick_answer_finds_it_where_it_asked():
    called: list[int] = []

    @workflow("asks-quickly")
    def asks_quickly(ctx: Context) -> str:
        called.append(ctx.attempt)
        return str(ctx.approve("Go on?").by)

    async def test() -> None:
        async with staged() as stage:
            workflow_id = await stage.start("asks-quickly")
            question = await asked(stage, workflow_id)
            await stage.workflows.resolve_approval(question, True, by="ann")
            events = await stage.events(workflow_id)
            assert data(events[-1])["synthesis"]["content"] == "ann"
            assert called == [1]

    play(test)


def test_many_that_wait_hold_neither_places_nor_threads_nor_leases(monkeypatch: pytest.MonkeyPatch):
    count = 200

    @workflow("asks-one-of-many")
    def asks_one(ctx: Context) -> str:
        return str(ctx.approve("Go on?").approved)

    @workflow("does-not-ask")
    def does_not_ask(ctx: Context) -> str:
        return "done"

    async def test() -> None:
        before = bodies()
        async with staged(max_workflows=3) as stage:  # nobody lingers for less than 30 s
            waiting = [await stage.start("asks-one-of-many") for _ in range(count)]
            for one in waiting:
                await asked(stage, one)
            events = await stage.events(await stage.start("does-not-ask"))
            assert types(events)[-1] == "workflow_complete"
            assert len(stage.host.claimed) <= approvals.MAX_LINGERING + 3
            assert bodies() - before <= approvals.MAX_LINGERING + 3 + 64
            for one in waiting:
                await stage.workflows.resolve_approval(f"{one}.1", False)
            for one in waiting:
                assert data((await stage.events(one))[-1])["synthesis"]["content"] == "False"

    play(test)


def test_one_that_waits_can_be_cancelled():
    @workflow("cancelled-while-parked")
    def parked(ctx: Context) -> str:
        return str(ctx.approve("Go on?"))

    async def test() -> None:
        async with staged(linger_s=0.0) as stage:
            workflow_id = await stage.start("cancelled-while-parked")
            await asked(stage, workflow_id)
            await until_free(stage)
            await stage.workflows.cancel(workflow_id, by="ann")
            events = await stage.events(workflow_id)
            assert data(events[-1]) == {"error": "Cancelled by ann.", "status": "cancelled"}
            assert data(events[-2]) == {"status": "cancelled", "attempt": 1}

    play(test)


def test_another_process_may_go_on_with_it(tmp_path: Path):
    @workflow("parked-elsewhere")
    def parked(ctx: Context) -> str:
        return str(ctx.approve("Go on?").by)

    async def test() -> None:
        path = tmp_path / "log.db"
        async with staged(path, linger_s=0.0) as stage:
            workflow_id = await stage.start("parked-elsewhere")
            question = await asked(stage, workflow_id)
            await until_free(stage)
        async with staged(path, linger_s=0.0) as stage:
            last = await stage.start("parked-elsewhere")  # what is open is found, what waits is not run
            await asked(stage, last)
            assert not await stage.workflows.is_open(workflow_stream(workflow_id))
            attempts = of_type(await stage.stored(workflow_id), "workflow_status")
            assert [one["attempt"] for one in attempts] == [1, 1]
            await stage.workflows.resolve_approval(question, True, by="ann")
            events = await stage.events(workflow_id)
            assert data(events[-1])["synthesis"]["content"] == "ann"

    play(test)


def test_an_answer_at_the_moment_of_leaving_is_not_missed():
    @workflow("answered-while-left")
    def left(ctx: Context) -> str:
        return str(ctx.approve("Go on?").by)

    async def test() -> None:
        async with staged(linger_s=0.0) as stage:
            for turns in range(60):
                workflow_id = await stage.start("answered-while-left")
                question = await asked(stage, workflow_id)
                for _ in range(turns):
                    await asyncio.sleep(0)
                await stage.workflows.resolve_approval(question, True, by="ann")
                events = await stage.events(workflow_id)
                assert data(events[-1])["synthesis"]["content"] == "ann"

    play(test)


def test_a_question_of_somebody_else_on_its_stream_is_not_waited_for():
    gate = Gate()

    @workflow("others-ask")
    def others_ask(ctx: Context) -> str:
        return ctx.agent("a", lambda agent: gate.wait() or "x").content

    async def test() -> None:
        async with staged() as stage:
            workflow_id = await stage.start("others-ask")
            await gate.until_reached()
            question = {"approval_id": "theirs.1", "question": "?", "details": {}}
            await stage.bus.publish(workflow_stream(workflow_id), "approval_requested", question)
            assert not (await stage.workflows.state(workflow_id)).is_waiting
            gate.open()
            await stage.events(workflow_id)

    play(test)


def test_no_more_questions_than_are_kept():
    @workflow("asks-for-ever")
    def asks_for_ever(ctx: Context) -> str:
        for _ in range(300):
            ctx.approve("Again?")
        return ""

    async def test() -> None:
        async with staged() as stage:
            workflow_id = await stage.start("asks-for-ever")
            for number in range(1, 201):
                await stage.workflows.resolve_approval(await asked(stage, workflow_id, number), True)
            events = await stage.events(workflow_id)
            assert data(events[-1])["error"] == "A workflow can ask 200 questions at most."

    play(test)


@pytest.mark.parametrize("change", ["end", "clear"])
def test_one_whose_stream_is_ended_or_cleared_stops_without_a_word(tmp_path: Path, change: str):
    gate, raised = Gate(), list[str]()
    over = threading.Event()

    @workflow(f"gone-by-{change}")
    def gone(ctx: Context) -> str:
        def work(agent: AgentContext) -> str:
            gate.wait()
            try:
                agent.output("too late")
            except BaseException as error:
                raised.append(type(error).__name__)
                raise
            finally:
                over.set()
            return "x"

        return ctx.agent("a", work).content

    async def test() -> None:
        async with staged(tmp_path / "log.db", runner_lease_s=1000.0) as stage:
            workflow_id = await stage.start(f"gone-by-{change}")
            await gate.until_reached()
            stream = workflow_stream(workflow_id)
            await getattr(stage.bus, change)(stream)
            gate.open()
            await asyncio.to_thread(over.wait, 10)
            await until_free(stage)
            assert raised == ["Cancelled"]
            info = await stage.bus.info(stream)
            assert (info.ended, info.head) == ((True, 4) if change == "end" else (False, 0))

    play(test)


def test_a_number_of_an_attempt_that_cannot_be_harms_nothing():
    @workflow("many-attempts")
    def many_attempts(ctx: Context) -> str:
        return str(ctx.attempt)

    async def test() -> None:
        async with staged(runs=False) as stage:
            workflow_id = await stage.start("many-attempts")
            stream = workflow_stream(workflow_id)
            fields = {"status": "running", "attempt": 1_000_000}
            await stage.bus.publish(stream, "workflow_status", fields)
            metrics = {"tokens": 2**53 - 1, "llm_calls": 2**53 - 1}
            await stage.bus.publish(stream, "resource_metrics", metrics)
            stage.run()
            events = await stage.events(workflow_id)
            assert data(events[-1])["synthesis"]["content"] == "1000000"

    play(test)


def test_it_is_told_to_run_when_it_does():
    gate = Gate()

    @workflow("holds-its-thread")
    def holds(ctx: Context) -> str:
        gate.wait()
        return ""

    async def test() -> None:
        async with staged() as stage:
            stage.workflows._tools.bodies._limit = 1
            first = await stage.start("holds-its-thread")
            await gate.until_reached()
            second = await stage.start("holds-its-thread")
            while len(stage.host.claimed) < 2 or not stage.workflows._tools.bodies.waiting:
                await asyncio.sleep(0.005)
            statuses = of_type(await stage.stored(second), "workflow_status")
            assert [one["status"] for one in statuses] == ["pending"]
            gate.open()
            for one in (first, second):
                assert types(await stage.events(one))[-1] == "workflow_complete"

    play(test)


def test_after_a_restart_agents_return_the_very_same():
    seen: list[list[Any]] = []

    @workflow("long-outputs")
    def long_outputs(ctx: Context) -> str:
        outputs = [
            ctx.agent("a", lambda agent, n=n: agent.output("?", confidence=0.3) or f"{n}" + "x" * 40_000)
            for n in range(40)
        ]
        seen.append([(one.agent_id, one.content, one.confidence, one.seconds) for one in outputs])
        ctx.approve("Go on?")
        return ""

    async def test() -> None:
        async with staged(linger_s=0.0) as stage:
            workflow_id = await stage.start("long-outputs")
            question = await asked(stage, workflow_id)
            await until_free(stage)
            state = await stage.workflows.state(workflow_id)
            assert any(len(one.content) < 2_000 for one in state.agents.values())  # more than the fold keeps
            await stage.workflows.resolve_approval(question, True)
            await stage.events(workflow_id)
        first, second = seen
        assert first == second
        assert len(first[-1][1]) == 32_768

    play(test)


def test_names_that_nobody_knows_are_remembered_up_to_a_number(caplog: pytest.LogCaptureFixture):
    async def test() -> None:
        async with staged(runs=False) as stage:
            for number in range(1_100):
                stream = workflow_stream(f"wf_{number}")
                await stage.bus.publish(stream, "workflow_created", {"workflow": f"none-{number}"})
                assert not await stage.workflows.is_open(stream)
                assert not await stage.workflows.is_open(stream)
            assert len(stage.workflows._unknown) <= 1_000

    play(test)
    assert caplog.text.count("waits for a process that knows") == 1_100
