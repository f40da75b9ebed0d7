"""Workflows that run: what is told of them while they work, how they end, and what they may do."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.runners.workflow_stage import (
    Gate,
    Shelf,
    StreamingModel,
    data,
    of_type,
    play,
    staged,
    types,
)

from runcast.errors import ApprovalNotFound, Conflict, InvalidInput, RuncastError, StreamNotFound
from runcast.kinds.workflow import workflow_stream
from runcast.kinds.workflow_state import to_document
from runcast.runners.model import Message
from runcast.runners.workflows.context import Agent, AgentContext, AgentResult, Context
from runcast.runners.workflows.failure import AgentFailed, Cancelled, WorkflowError
from runcast.runners.workflows.registry import workflow

FIGURES = ("resource_metrics", "workflow_progress")


def says(text: str) -> Any:
    return lambda agent: text


class TestFromBeginningToEnd:
    def test_the_events_of_a_run_in_their_order(self):
        @workflow("plain")
        def plain(ctx: Context) -> str:
            first = ctx.agent("research", says("A fact."))
            return ctx.synthesize(lambda agent: f"{first.content} So what.").content

        async def test() -> None:
            async with staged() as stage:
                events = await stage.events(await stage.start("plain", by="ann"))
                assert types(events, *FIGURES) == [
                    "workflow_created",
                    "workflow_status",
                    "workflow_status",
                    "agent_spawned",
                    "agent_completed",
                    "synthesis_started",
                    "agent_spawned",
                    "agent_completed",
                    "workflow_status",
                    "workflow_complete",
                ]
                statuses = of_type(events, "workflow_status")
                assert [one["status"] for one in statuses] == ["pending", "running", "completed"]
                assert of_type(events, "agent_spawned")[0]["agent_id"] == "research_001"
                assert of_type(events, "synthesis_started") == [{"agent_count": 1}]
                complete = data(events[-1])
                assert complete["synthesis"] == {
                    "content": "A fact. So what.",
                    "confidence": 0.0,
                    "agents_synthesized": 1,
                    "token_count": 4,
                }
                assert complete["performance_metrics"]["total_duration"] > 0
                assert complete["model"] == "test/streaming"

        play(test)

    def test_the_document_agrees_with_the_stream(self):
        @workflow("asks-once")
        def asks_once(ctx: Context) -> str:
            return ctx.llm("Why?", system="Be brief.")

        async def test() -> None:
            async with staged() as stage:
                workflow_id = await stage.start("asks-once")
                await stage.events(workflow_id)
                document = to_document(await stage.workflows.state(workflow_id), workflow_id)
                assert document["status"] == "completed"
                assert document["synthesis"]["content"] == "It is so."
                assert document["performance_metrics"]["llm_calls"] == 1
                assert document["performance_metrics"]["total_tokens"] == 10
                (agent,) = document["agents_spawned"]
                assert (agent["agent_id"], agent["tokens"], agent["model"]) == (
                    "assistant_001",
                    10,
                    "test/streaming",
                )
                assert stage.model.asked == [[Message("system", "Be brief."), Message("user", "Why?")]]

        play(test)

    def test_agents_work_at_the_same_time_and_are_told_of_while_they_do(self):
        gates = [Gate(), Gate(), Gate()]

        @workflow("parallel")
        def parallel(ctx: Context) -> str:
            def work(number: int) -> Any:
                def run(agent: AgentContext) -> AgentResult:
                    agent.output(f"begun {number}")
                    gates[number].wait()
                    return AgentResult(f"r{number}", 0.5)

                return run

            outputs = ctx.parallel([Agent("research", work(n)) for n in range(3)])
            return " ".join(output.content for output in outputs)

        async def test() -> None:
            async with staged() as stage:
                workflow_id = await stage.start("parallel")
                for gate in gates:
                    await gate.until_reached()
                seen = await stage.stored(workflow_id)
                assert types(seen).count("agent_spawned") == types(seen).count("agent_output") == 3
                assert "agent_completed" not in types(seen)
                for gate in reversed(gates):
                    gate.open()
                events = await stage.events(workflow_id)
                synthesis = data(events[-1])["synthesis"]
                assert (synthesis["content"], synthesis["confidence"]) == ("r0 r1 r2", 0.5)

        play(test)

    def test_own_events_are_flat_frames_of_the_stream(self):
        @workflow("own-events")
        def own_events(ctx: Context) -> None:
            ctx.publish("looked", where="everywhere", percent=3)
            ctx.agent("a", lambda agent: agent.publish("found", n=1))

        async def test() -> None:
            async with staged() as stage:
                events = await stage.events(await stage.start("own-events"))
                assert of_type(events, "looked") == [{"where": "everywhere", "percent": 3}]
                assert of_type(events, "found") == [{"agent_id": "a_001", "n": 1}]
                assert data(events[-1])["synthesis"]["content"] == ""

        play(test)

    def test_a_follow_up_is_given_its_parent_s_result(self):
        @workflow("says-parent")
        def says_parent(ctx: Context) -> str:
            return f"{ctx.parent.task}: {ctx.parent.synthesis}" if ctx.parent else "first"

        async def test() -> None:
            async with staged() as stage:
                first = await stage.start("says-parent", "What?")
                await stage.events(first)
                second = await stage.start("says-parent", "And?", parent_workflow_id=first)
                events = await stage.events(second)
                assert data(events[-1])["synthesis"]["content"] == "What?: first"
                assert data(events[0])["parent_workflow_id"] == first

        play(test)


class TestTheModelsAnswer:
    def test_it_is_told_as_it_comes_the_first_piece_at_once(self):
        model = StreamingModel(["One ", "two ", "three."])

        @workflow("streams")
        def streams(ctx: Context) -> str:
            return ctx.llm("Count.")

        async def test() -> None:
            async with staged(model=model) as stage:
                model.gate.clear()  # after the first piece the model thinks
                workflow_id = await stage.start("streams")
                begun = await stage.until(workflow_id, lambda event: event.type == "agent_output")
                assert data(begun[-1])["content"] == "One "
                model.gate.set()
                events = await stage.events(workflow_id)
                pieces = [one["content"] for one in of_type(events, "agent_output")]
                assert "".join(pieces) == "One two three."
                assert data(events[-1])["synthesis"]["content"] == "One two three."

        play(test)

    def test_many_small_pieces_are_few_events(self):
        model = StreamingModel(["x"] * 5_000)

        @workflow("long-answer")
        def long_answer(ctx: Context) -> str:
            return ctx.llm("Go on.")

        async def test() -> None:
            async with staged(model=model) as stage:
                events = await stage.events(await stage.start("long-answer"))
                pieces = [one["content"] for one in of_type(events, "agent_output")]
                assert "".join(pieces) == "x" * 5_000
                assert len(pieces) < 500

        play(test)

    def test_one_that_breaks_off_fails_its_agent_with_the_model_s_sentence(self):
        model = StreamingModel(["Half "])
        model.failure = RuncastError("The model went away in the middle.")

        @workflow("broken-model")
        def broken_model(ctx: Context) -> str:
            return ctx.llm("Go on.")

        async def test() -> None:
            async with staged(model=model) as stage:
                events = await stage.events(await stage.start("broken-model"))
                assert [one["content"] for one in of_type(events, "agent_output")] == ["Half "]
                (failed,) = of_type(events, "agent_failed")
                assert failed["error"] == "The model went away in the middle."
                assert data(events[-1]) == {"error": "The model went away in the middle.", "status": "failed"}
                assert model.closed == 1

        play(test)


class TestFailures:
    def test_what_is_not_ours_to_show_is_not_shown(self, caplog: pytest.LogCaptureFixture):
        @workflow("fails")
        def fails(ctx: Context) -> None:
            def work(agent: AgentContext) -> str:
                raise ValueError("the secret is 42")

            ctx.agent("research", work)

        async def test() -> None:
            async with staged() as stage:
                events = await stage.events(await stage.start("fails"))
                (failed,) = of_type(events, "agent_failed")
                assert failed == {
                    "agent_id": "research_001",
                    "error": "agent research_001 failed: ValueError.",
                }
                assert data(events[-1])["error"] == failed["error"]
                assert [one["status"] for one in of_type(events, "workflow_status")][-1] == "failed"
                assert not any(b"secret" in event.data or b"Traceback" in event.data for event in events)
                assert types(events).count("workflow_error") == 1

        play(test)
        assert "the secret is 42" in caplog.text  # for whoever runs it

    def test_the_sentence_of_a_workflow_error_is(self):
        @workflow("fails-politely")
        def fails_politely(ctx: Context) -> None:
            raise WorkflowError("The budget is spent.")

        async def test() -> None:
            async with staged() as stage:
                events = await stage.events(await stage.start("fails-politely"))
                assert data(events[-1]) == {"error": "The budget is spent.", "status": "failed"}

        play(test)

    def test_a_workflow_may_go_on_without_one_of_its_agents(self):
        @workflow("goes-on")
        def goes_on(ctx: Context) -> str:
            def broken(agent: AgentContext) -> str:
                raise WorkflowError("no luck")

            one, two = ctx.parallel([Agent("a", broken), Agent("b", says("fine"))], keep_going=True)
            try:
                ctx.agent("a", broken)
            except AgentFailed as failed:
                return f"{one.error}, {two.content}, {failed.agent_id}"
            return ""

        async def test() -> None:
            async with staged() as stage:
                events = await stage.events(await stage.start("goes-on"))
                assert data(events[-1])["synthesis"]["content"] == "no luck, fine, a_002"

        play(test)

    @pytest.mark.parametrize("way", ["exit", "stop", "interrupt", "cancelled", "wrong", "body"])
    def test_whatever_code_does_there_is_a_terminal_event_and_the_loop_lives(self, way: str):
        @workflow(f"does-{way}")
        def does(ctx: Context) -> Any:
            def work(agent: AgentContext) -> Any:
                match way:
                    case "exit":
                        sys.exit(3)
                    case "stop":
                        raise StopIteration
                    case "interrupt":
                        raise KeyboardInterrupt
                    case "cancelled":
                        raise Cancelled
                    case _:
                        return {"not": "a text"}

            return object() if way == "body" else ctx.agent("a", work)

        async def test() -> None:
            async with staged() as stage:
                events = await stage.events(await stage.start(f"does-{way}"))
                assert types(events)[-1] == "workflow_error"
                assert "Traceback" not in data(events[-1])["error"]

        play(test)

    def test_a_result_that_is_too_large_is_cut_and_one_that_cannot_be_is_an_error(self):
        @workflow("large")
        def large(ctx: Context) -> str:
            return "x" * 500_000 if ctx.task == "long" else "\ud800"

        async def test() -> None:
            async with staged() as stage:
                events = await stage.events(await stage.start("large", "long"))
                assert types(events)[-1] == "workflow_complete"
                assert data(events[-1])["synthesis"]["content"].endswith("characters]")
                events = await stage.events(await stage.start("large", "lone"))
                assert types(events)[-1] == "workflow_error"
                assert types(events).count("workflow_complete") == 0

        play(test)

    def test_an_output_that_cannot_be_stored_fails_its_agent(self):
        @workflow("lone-surrogate")
        def lone(ctx: Context) -> str:
            first, _ = ctx.parallel([Agent("a", says("\ud800")), Agent("a", says("fine"))], keep_going=True)
            raise WorkflowError(f"{first.error} \ud800")

        async def test() -> None:
            async with staged() as stage:
                events = await stage.events(await stage.start("lone-surrogate"))
                (failed,) = of_type(events, "agent_failed")
                assert failed["error"].startswith("agent a_001: its output cannot be stored: data: not repr")
                assert data(events[-1])["error"] == f"{failed['error']} ?"

        play(test)

    def test_calls_that_belong_elsewhere_are_refused_in_a_sentence(self):
        said: list[str] = []

        @workflow("misplaced")
        def misplaced(ctx: Context) -> None:
            def inner(agent: AgentContext) -> str:
                for call in (
                    lambda: ctx.agent("b", says("x")),
                    lambda: ctx.approve("May I?"),
                    lambda: agent.publish("workflow_complete"),
                    lambda: agent.progress(400),
                ):
                    try:
                        call()
                    except (WorkflowError, InvalidInput) as error:
                        said.append(str(error))
                return ctx.llm("In an agent's thread this is the agent's.")

            ctx.agent("a", inner, agent_id="mine")
            ctx.agent("a", says("x"), agent_id="mine")

        async def test() -> None:
            async with staged() as stage:
                events = await stage.events(await stage.start("misplaced"))
                assert len(said) == 4
                assert "belongs to the workflow" in said[0]
                assert "published by the runner itself" in said[2]
                assert {one["agent_id"] for one in of_type(events, "agent_output")} == {"mine"}
                assert "same id" in data(events[-1])["error"]

        play(test)


class TestCancelling:
    def test_it_is_cancelled_within_a_second_though_an_agent_is_in_the_middle(self):
        gate, after = Gate(), threading.Event()
        raised: list[str] = []

        @workflow("stubborn")
        def stubborn(ctx: Context) -> str:
            def work(agent: AgentContext) -> str:
                gate.wait()
                try:
                    agent.output("too late")
                except BaseException as error:
                    raised.append(type(error).__name__)
                    raise
                finally:
                    after.set()
                return "done"

            return ctx.agent("a", work).content

        async def test() -> None:
            async with staged() as stage:
                workflow_id = await stage.start("stubborn")
                await gate.until_reached()
                loop = asyncio.get_running_loop()
                begun = loop.time()
                assert await stage.workflows.cancel(workflow_id, by="ann", reason="Enough.")
                events = await stage.events(workflow_id)
                assert loop.time() - begun < 1
                assert data(events[-1]) == {"error": "Cancelled by ann: Enough.", "status": "cancelled"}
                assert data(events[-2]) == {"status": "cancelled", "attempt": 1}
                assert (await stage.workflows.state(workflow_id)).status == "cancelled"
                gate.open()
                await asyncio.to_thread(after.wait, 5)
                assert raised == ["Cancelled"]
                assert types(await stage.stored(workflow_id)) == types(events)
                assert not await stage.workflows.cancel(workflow_id)

        play(test)

    def test_while_the_model_answers(self):
        model = StreamingModel(["One "])

        @workflow("thinks")
        def thinks(ctx: Context) -> str:
            return ctx.llm("Go on.")

        async def test() -> None:
            async with staged(model=model) as stage:
                model.gate.clear()
                workflow_id = await stage.start("thinks")
                await stage.until(workflow_id, lambda event: event.type == "agent_output")
                await stage.workflows.cancel(workflow_id)
                events = await stage.events(workflow_id)
                assert data(events[-1]) == {"error": "Cancelled.", "status": "cancelled"}
                assert model.closed == 1  # the request was ended

        play(test)

    def test_one_that_waits_for_its_turn(self):
        gate = Gate()

        @workflow("long")
        def long(ctx: Context) -> str:
            return ctx.agent("a", lambda agent: gate.wait() or "").content

        async def test() -> None:
            async with staged(max_workflows=1) as stage:
                first = await stage.start("long")
                await gate.until_reached()
                second = await stage.start("long")
                await stage.workflows.cancel(second)
                events = await stage.events(second)
                assert types(events) == [
                    "workflow_created",
                    "workflow_status",
                    "workflow_command",
                    "workflow_status",
                    "workflow_error",
                ]
                gate.open()
                await stage.events(first)

        play(test)

    def test_one_whose_function_nobody_here_knows_waits_and_can_be_cancelled(self):
        async def test() -> None:
            async with staged() as stage:
                stream = workflow_stream("wf_other")
                await stage.bus.publish(stream, "workflow_created", {"task": "x", "workflow": "elsewhere"})
                await stage.start("research")
                await stage.workflows.cancel("wf_other")
                events = await stage.events("wf_other")
                assert types(events) == [
                    "workflow_created",
                    "workflow_command",
                    "workflow_status",
                    "workflow_error",
                ]

        play(test)

    def test_what_is_not_there_cannot_be_cancelled(self):
        async def test() -> None:
            async with staged() as stage:
                with pytest.raises(StreamNotFound):
                    await stage.workflows.cancel("wf_nobody")

        play(test)

    def test_an_end_that_others_published_ends_it_without_another(self):
        gate = Gate()

        @workflow("overtaken")
        def overtaken(ctx: Context) -> str:
            return ctx.agent("a", lambda agent: gate.wait() or "").content

        async def test() -> None:
            async with staged() as stage:
                workflow_id = await stage.start("overtaken")
                await gate.until_reached()
                await stage.bus.publish(workflow_stream(workflow_id), "workflow_error", {"error": "Fire."})
                while stage.host.claimed:
                    await asyncio.sleep(0.01)
                gate.open()
                assert types(await stage.stored(workflow_id))[-1] == "workflow_error"

        play(test)


class TestApprovals:
    def test_a_person_is_waited_for_and_the_first_answer_counts(self):
        @workflow("careful")
        def careful(ctx: Context) -> str:
            answer = ctx.approve("Send it?", {"to": "everybody"})
            return f"{bool(answer)} {answer.by} {answer.comment}"

        async def test() -> None:
            async with staged() as stage:
                workflow_id = await stage.start("careful")
                asked = await stage.until(workflow_id, lambda event: event.type == "approval_requested")
                request = data(asked[-1])
                assert (request["question"], request["details"]) == ("Send it?", {"to": "everybody"})
                answer = stage.workflows.resolve_approval
                first = await answer(request["approval_id"], True, by="ann", comment="ok")
                assert (first.approved, first.by) == (True, "ann")
                with pytest.raises(Conflict, match="approved already, by ann"):
                    await answer(request["approval_id"], False, by="bob")
                events = await stage.events(workflow_id)
                assert data(events[-1])["synthesis"]["content"] == "True ann ok"
                assert types(events).count("approval_resolved") == 1
                for unknown in (f"{workflow_id}.2", "none", "../x.1"):
                    with pytest.raises(ApprovalNotFound):
                        await answer(unknown, True)

        play(test)

    def test_when_it_is_over_nobody_waits_for_an_answer(self):
        @workflow("asked-in-vain")
        def asked_in_vain(ctx: Context) -> str:
            return str(ctx.approve("Go on?").approved)

        async def test() -> None:
            async with staged() as stage:
                workflow_id = await stage.start("asked-in-vain")
                asked = await stage.until(workflow_id, lambda event: event.type == "approval_requested")
                await stage.workflows.cancel(workflow_id)
                await stage.events(workflow_id)
                with pytest.raises(Conflict):
                    await stage.workflows.resolve_approval(data(asked[-1])["approval_id"], True)

        play(test)

    def test_those_who_wait_for_people_leave_their_places_to_others(self):
        @workflow("asks")
        def asks(ctx: Context) -> str:
            return str(ctx.approve("Go on?").approved)

        async def test() -> None:
            async with staged(max_workflows=2) as stage:
                waiting = [await stage.start("asks") for _ in range(10)]
                asked = [
                    data((await stage.until(one, lambda event: event.type == "approval_requested"))[-1])
                    for one in waiting
                ]
                for request in asked:
                    await stage.workflows.resolve_approval(request["approval_id"], False)
                for one in waiting:
                    assert data((await stage.events(one))[-1])["synthesis"]["content"] == "False"

        play(test)

    def test_it_survives_a_restart_and_is_answered_meanwhile(self, tmp_path: Path):
        done: list[str] = []

        @workflow("restarted")
        def restarted(ctx: Context) -> str:
            ctx.agent("before", lambda agent: done.append("before") or "b")
            ctx.publish("noted", n=1)
            answer = ctx.approve("Go on?")
            return f"{answer.by}"

        async def test() -> None:
            path = tmp_path / "log.db"
            async with staged(path) as stage:
                workflow_id = await stage.start("restarted")
                asked = await stage.until(workflow_id, lambda event: event.type == "approval_requested")
            async with staged(path, runs=False) as stage:  # another process, which runs nothing
                await stage.workflows.resolve_approval(data(asked[-1])["approval_id"], True, by="ann")
            async with staged(path) as stage:
                events = await stage.events(workflow_id)
                assert data(events[-1])["synthesis"]["content"] == "ann"
                assert done == ["before"]
                counted = types(events)
                assert counted.count("approval_requested") == counted.count("noted") == 1
                statuses = of_type(events, "workflow_status")
                assert [(one["status"], one["attempt"]) for one in statuses] == [
                    ("pending", 1),
                    ("running", 1),
                    ("running", 2),
                    ("completed", 2),
                ]

        play(test)


class TestFigures:
    def test_progress_grows_and_estimates_the_rest_from_what_has_finished(self):
        @workflow("measured")
        def measured(ctx: Context) -> str:
            ctx.expect(4)
            for n in range(4):
                ctx.agent("a", says(str(n)))
            return ""

        async def test() -> None:
            async with staged() as stage:
                events = await stage.events(await stage.start("measured"))
                told = of_type(events, "workflow_progress")
                assert [one["percent"] for one in told] == [25, 50, 75, 99, 100]
                assert all(one["eta_seconds"] is not None for one in told)
                assert told[-1]["eta_seconds"] == 0

        play(test)

    def test_metrics_come_at_intervals_and_at_the_end(self):
        gate = Gate()

        @workflow("metered")
        def metered(ctx: Context) -> str:
            def work(agent: AgentContext) -> str:
                agent.llm("Hm?")
                gate.wait()
                return ""

            return ctx.agent("a", work).content

        async def test() -> None:
            async with staged(health_interval_s=0.05) as stage:
                workflow_id = await stage.start("metered")
                await gate.until_reached()
                count = 0

                def third(event: Any) -> bool:
                    nonlocal count
                    count += event.type == "resource_metrics" and data(event)["tokens"] == 10
                    return count >= 3

                await stage.until(workflow_id, third)
                gate.open()
                last = of_type(await stage.events(workflow_id), "resource_metrics")[-1]
                assert (last["tokens"], last["llm_calls"], last["llm_latency_ms"]) == (10, 1, 10.0)
                assert last["memory_mb"] > 1

        play(test)

    def test_none_come_while_a_person_is_waited_for(self):
        @workflow("patient")
        def patient(ctx: Context) -> str:
            ctx.llm("Hm?")
            return str(ctx.approve("Go on?").approved)

        async def test() -> None:
            async with staged(health_interval_s=0.01) as stage:
                workflow_id = await stage.start("patient")
                asked = await stage.until(workflow_id, lambda event: event.type == "approval_requested")
                await asyncio.sleep(0.3)  # thirty times the interval
                assert types(await stage.stored(workflow_id)).count("resource_metrics") < 5
                await stage.workflows.resolve_approval(data(asked[-1])["approval_id"], True)
                await stage.events(workflow_id)

        play(test)


class TestStarting:
    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"task": ""}, "task"),
            ({"task": "  "}, "task"),
            ({"task": "x" * 10_001}, "task"),
            ({"task": "x", "workflow": "none-such"}, "workflow"),
            ({"task": "x", "max_steps": 0}, "max_steps"),
            ({"task": "x", "max_steps": 51}, "max_steps"),
            ({"task": "x", "parent_workflow_id": "wf_none"}, "parent_workflow_id"),
            ({"task": "x", "parent_workflow_id": "../etc"}, "parent_workflow_id"),
        ],
    )
    def test_what_cannot_be_is_refused_by_its_name(self, fields: dict[str, Any], field: str):
        async def test() -> None:
            async with staged() as stage:
                with pytest.raises(InvalidInput, match=f"^{field}: ") as caught:
                    await stage.workflows.start(**fields)
                assert caught.value.field == field

        play(test)

    def test_a_workflow_is_a_plain_function_with_a_plain_name(self):
        async def coroutine(ctx: Context) -> None: ...

        with pytest.raises(InvalidInput, match="def, not async def"):
            workflow("async")(coroutine)
        with pytest.raises(InvalidInput, match=r"^name: "):
            workflow("a b")


class TestRegistry:
    def test_installed_packages_bring_theirs_and_one_that_is_broken_harms_nobody(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ):
        (tmp_path / "others_flows.py").write_text("def greet(ctx):\n    return f'Hello, {ctx.task}'\n")
        info = tmp_path / "others_flows-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others-flows\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            "[runcast.workflows]\ngreet = others_flows:greet\nbroken = others_flows:nothing\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path))

        async def test() -> None:
            async with staged() as stage:
                assert "greet" in stage.workflows.names
                assert "broken" not in stage.workflows.names
                events = await stage.events(await stage.start("greet", "Ann"))
                assert data(events[-1])["synthesis"]["content"] == "Hello, Ann"

        play(test)
        assert "the workflow broken of an installed package cannot be loaded" in caplog.text


class TestResearch:
    # there are two passages, so two read at most
    @pytest.mark.parametrize(("max_steps", "agents"), [(None, 5), (1, 1), (2, 2), (3, 3), (4, 4), (8, 5)])
    def test_the_built_in_one_has_as_many_agents_as_steps_are_allowed(
        self, max_steps: int | None, agents: int
    ):
        shelf = Shelf("Water boils at 100 degrees at sea level.", "At altitude, water boils at less.")

        async def test() -> None:
            async with staged(shelf=shelf) as stage:
                events = await stage.events(
                    await stage.start("research", "When does water boil?", max_steps=max_steps)
                )
                spawned = of_type(events, "agent_spawned")
                assert len(spawned) == agents
                assert spawned[-1]["agent_type"] == "synthesis"
                assert data(events[-1])["synthesis"]["content"] == "It is so."
                assert of_type(events, "synthesis_started") == [{"agent_count": agents - 1}]
                percents = [one["percent"] for one in of_type(events, "workflow_progress")]
                assert percents == sorted(percents)
                assert percents[-1] == 100
                assert any("sea level" in json.dumps([m.content for m in one]) for one in stage.model.asked)

        play(test)
