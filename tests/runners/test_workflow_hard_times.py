"""Workflows while the log cannot be written, and many of them at once."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.log.programs import write_lock
from tests.runners.workflow_stage import Gate, Shelf, data, of_type, play, staged, types

from runcast.runners.workflows.context import Agent, AgentContext, Context
from runcast.runners.workflows.registry import workflow


@contextmanager
def mounted(folder: Path) -> Generator[None]:
    """A tmpfs at `folder`, of 2 MiB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def gated(name: str) -> Gate:
    """A workflow whose agent waits in its middle."""
    gate = Gate()

    @workflow(name)
    def waits(ctx: Context) -> str:
        def work(agent: AgentContext) -> str:
            gate.wait()
            agent.output("a piece")
            return "whole"

        return ctx.agent("a", work).content

    return gate


def test_a_log_that_is_locked_for_a_while_is_waited_for(tmp_path: Path):
    gate = gated("waits-for-lock")

    async def test() -> None:
        path = tmp_path / "log.db"
        async with staged(path, runner_lease_s=15.0) as stage:
            workflow_id = await stage.start("waits-for-lock")
            await gate.until_reached()
            lock = write_lock(path)
            await asyncio.to_thread(lock.__enter__)
            gate.open()
            await asyncio.sleep(0.6)  # longer than one append tries
            assert "agent_output" not in types(await stage.stored(workflow_id))
            await asyncio.to_thread(lock.__exit__, None, None, None)
            events = await stage.events(workflow_id)
            assert [one["content"] for one in of_type(events, "agent_output")] == ["a piece"]
            assert data(events[-1])["synthesis"]["content"] == "whole"
            assert [one["attempt"] for one in of_type(events, "workflow_status")] == [1, 1, 1]

    play(test)


@pytest.mark.needs("tmpfs")
def test_on_a_full_disk_a_run_is_given_up_and_taken_up_again_when_there_is_space(tmp_path: Path):
    gate = gated("fills-disk")

    async def test() -> None:
        async with staged(tmp_path / "log.db", runner_lease_s=1.0) as stage:
            workflow_id = await stage.start("fills-disk")
            await gate.until_reached()
            ballast = tmp_path / "ballast"
            with ballast.open("wb", buffering=0) as file, pytest.raises(OSError):
                while True:
                    file.write(bytes(4096))
            (claim,) = stage.host._lanes[0].claims.values()
            gate.open()
            await claim.lost.wait()  # it could not be renewed
            before = types(await stage.stored(workflow_id))
            assert "workflow_complete" not in before
            ballast.unlink()
            events = await stage.events(workflow_id)
            assert data(events[-1])["synthesis"]["content"] == "whole"
            assert [one["attempt"] for one in of_type(events, "workflow_status")] == [1, 1, 2, 2]
            assert types(events).count("workflow_complete") == 1
            await stage.stop()

    with mounted(tmp_path):
        play(test)


def test_fifty_at_once_each_whole_with_a_bounded_number_of_threads(tmp_path: Path):
    most = 0

    @workflow("one-of-many")
    def one_of_many(ctx: Context) -> str:
        def work(agent: AgentContext) -> str:
            nonlocal most
            most = max(most, threading.active_count())
            return agent.llm(f"{ctx.workflow_id}?")

        ctx.parallel([Agent("research", work) for _ in range(3)])
        return ctx.synthesize(work).content

    async def test() -> None:
        before = threading.active_count()
        async with staged(tmp_path / "log.db", runner_threads=8, max_workflows=50) as stage:
            begun = await asyncio.gather(*(stage.start("one-of-many") for _ in range(50)))
            for workflow_id in begun:
                events = await stage.events(workflow_id)
                assert [event.seq for event in events] == list(range(1, len(events) + 1))
                assert types(events)[-1] == "workflow_complete"
                assert types(events).count("agent_completed") == 4
                assert data(events[-1])["synthesis"]["content"] == "It is so."
        assert most <= before + 8 + 50 + 10  # agents, workflows, and those of the log and the bus

    play(test)


def test_agents_wait_in_turn_for_a_thread_and_none_deadlocks():
    @workflow("wide")
    def wide(ctx: Context) -> str:
        outputs = ctx.parallel([Agent("a", lambda agent: agent.llm("?")) for _ in range(40)])
        return str(len(outputs))

    async def test() -> None:
        async with staged(runner_threads=1, shelf=Shelf()) as stage:
            begun = [await stage.start("wide") for _ in range(5)]
            for workflow_id in begun:
                events = await stage.events(workflow_id)
                assert data(events[-1])["synthesis"]["content"] == "40"

    play(test)
