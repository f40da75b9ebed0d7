"""Another process goes on where one was killed, ended, or stopped for too long: real processes on one log file."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.runners.workflow_process import LEASE_S, Worker, register
from tests.runners.workflow_stage import Stage, data, of_type, staged, types

from runcast.core.event import Event
from runcast.kinds.workflow import workflow_stream

WAIT_S = 30.0


class Theatre:
    """A log, processes on it, and a watcher who is there from the beginning."""

    def __init__(self, folder: Path, stage: Stage, stack: ExitStack) -> None:
        self.folder = folder
        self.stage = stage
        self.stack = stack
        self.seen: list[Event] = []

    async def worker(self) -> Worker:
        return await asyncio.to_thread(
            lambda: self.stack.enter_context(Worker(self.folder / "log.db", self.folder))
        )

    async def begin(self) -> str:
        workflow_id = await self.stage.start("chain")
        self.watching = asyncio.create_task(self._watch(workflow_id))
        return workflow_id

    async def _watch(self, workflow_id: str) -> None:
        async for event in self.stage.bus.subscribe(workflow_stream(workflow_id)):
            self.seen.append(event)
            if event.type in {"workflow_complete", "workflow_error"}:
                return

    async def until(self, condition: Callable[[list[Event]], object]) -> None:
        while not condition(self.seen):
            await asyncio.sleep(0.005)

    async def until_output(self, text: str, count: int = 1) -> None:
        await self.until(
            lambda seen: [one["content"] for one in of_type(seen, "agent_output")].count(text) >= count
        )

    def go(self, *agents: int) -> None:
        for agent in agents:
            (self.folder / f"go-link_00{agent}").touch()

    @property
    def ran(self) -> list[tuple[str, int]]:
        lines = (self.folder / "ran.txt").read_text().splitlines()
        return [(agent, int(pid)) for agent, pid in (line.split() for line in lines)]

    @property
    def attempts(self) -> list[tuple[str, int]]:
        statuses = of_type(self.seen, "workflow_status")
        return [(one["status"], one["attempt"]) for one in statuses]


def play(folder: Path, test: Callable[[Theatre], object]) -> None:
    async def run() -> None:
        register(folder)
        with ExitStack() as stack:
            async with asyncio.timeout(WAIT_S), staged(folder / "log.db", runs=False) as stage:
                await test(Theatre(folder, stage, stack))  # pyright: ignore[reportGeneralTypeIssues]

    asyncio.run(run())


def check_whole(theatre: Theatre) -> None:
    """One continuous stream, ended once."""
    assert [event.seq for event in theatre.seen] == list(range(1, len(theatre.seen) + 1))
    assert data(theatre.seen[-1])["synthesis"]["content"] == "link_001 link_002 link_003"
    assert types(theatre.seen).count("workflow_complete") == 1
    assert types(theatre.seen).count("workflow_error") == 0


def take_over_after_kill(folder: Path) -> None:
    async def test(theatre: Theatre) -> None:
        first = await theatre.worker()
        await theatre.begin()
        theatre.go(1)
        await theatre.until_output(f"{first.pid} begins", 2)  # the second agent is at work
        second = await theatre.worker()
        first.signal(signal.SIGKILL)
        await theatre.until_output(f"{second.pid} begins")
        theatre.go(2, 3)
        await theatre.watching
        check_whole(theatre)
        assert theatre.ran == [
            ("link_001", first.pid),
            ("link_002", first.pid),
            ("link_002", second.pid),
            ("link_003", second.pid),
        ]
        assert theatre.attempts == [("pending", 1), ("running", 1), ("running", 2), ("completed", 2)]
        agents = [one["agent_id"] for one in of_type(theatre.seen, "agent_completed")]
        assert agents == ["link_001", "link_002", "link_003"]

    play(folder, test)


def test_after_sigkill_what_was_completed_is_not_run_again(tmp_path: Path):
    take_over_after_kill(tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(20))
def test_and_so_it_is_every_time(tmp_path: Path, number: int):
    take_over_after_kill(tmp_path)


def test_after_sigterm_another_process_goes_on_at_once(tmp_path: Path):
    async def test(theatre: Theatre) -> None:
        first = await theatre.worker()
        await theatre.begin()
        await theatre.until_output(f"{first.pid} begins")
        second = await theatre.worker()
        began = time.monotonic()
        first.signal(signal.SIGTERM)
        await theatre.until_output(f"{second.pid} begins")
        assert time.monotonic() - began < LEASE_S  # its lease did not have to end by itself
        code, complaints = await asyncio.to_thread(first.end)  # though its agent still waits in its thread
        assert (code, complaints) == (0, "")
        theatre.go(1, 2, 3)
        await theatre.watching
        check_whole(theatre)

    play(tmp_path, test)


def test_one_that_was_stopped_for_too_long_cannot_write_and_gives_way(tmp_path: Path):
    async def test(theatre: Theatre) -> None:
        first = await theatre.worker()
        workflow_id = await theatre.begin()
        await theatre.until_output(f"{first.pid} begins")
        first.signal(signal.SIGSTOP)
        second = await theatre.worker()
        await theatre.until_output(f"{second.pid} begins")
        first.signal(signal.SIGCONT)
        theatre.go(1, 2, 3)  # the agents of both go on
        await theatre.watching
        check_whole(theatre)
        taken = next(n for n, event in enumerate(theatre.seen) if b'"attempt":2' in event.data)
        after = [one["content"] for one in of_type(theatre.seen[taken:], "agent_output")]
        assert after == [f"{second.pid} begins", f"{second.pid} ends"] * 3
        # it lives, and takes the next one
        second.signal(signal.SIGTERM)
        await asyncio.to_thread(second.end)
        theatre.seen = []
        await theatre.begin()
        await theatre.watching
        assert f"{first.pid} ends" in [one["content"] for one in of_type(theatre.seen, "agent_output")]
        assert len(await theatre.stage.stored(workflow_id)) > 0
        first.signal(signal.SIGTERM)
        _, complaints = await asyncio.to_thread(first.end)
        assert "Traceback" not in complaints

    play(tmp_path, test)


def test_a_command_and_an_answer_come_from_any_process(tmp_path: Path):
    async def test(theatre: Theatre) -> None:
        first = await theatre.worker()
        workflow_id = await theatre.begin()
        await theatre.until_output(f"{first.pid} begins")
        began = time.monotonic()
        await theatre.stage.workflows.cancel(workflow_id, by="ann")
        await theatre.watching
        assert time.monotonic() - began < 1
        assert data(theatre.seen[-1]) == {"error": "Cancelled by ann.", "status": "cancelled"}

    play(tmp_path, test)
