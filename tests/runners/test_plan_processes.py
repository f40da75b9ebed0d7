"""Plans and processes: one is killed, another goes on; one is stopped, and finds when it wakes that it may not write."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.runners.plan_program import LEASE_S
from tests.support.process import clean_env

from runcast.config import Settings
from runcast.core.event import Event
from runcast.kinds.plan import PLAN
from runcast.kinds.plan_fold import PLAN_STATE
from runcast.kinds.plan_state import PlanState
from runcast.live.bus import Bus
from runcast.log.open import open_log
from runcast.runners.plans.doing import Functions
from runcast.runners.plans.registry import Registry
from runcast.runners.plans.service import Plans

WAIT_S = 30.0


@contextmanager
def program(log: Path) -> Generator[subprocess.Popen[str]]:
    """A process that runs plans, killed at the end whatever it is at."""
    command = [sys.executable, "-m", "tests.runners.plan_program", str(log)]
    process = subprocess.Popen(command, env=clean_env(), text=True, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.communicate()


class Desk:
    """Where a test sits: it starts plans and watches them, and runs none itself."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log.db"
        self.notes = folder / "notes.txt"
        self.gate = folder / "go"
        self.bus = Bus(open_log(self.log), [PLAN], Settings(runner_lease_s=LEASE_S))
        functions = Functions(Registry("action"), Registry("quality gate"))
        functions.actions.add("note", lambda ctx: None)
        self.plans = Plans(self.bus, functions=functions)
        self.watched: list[Event] = []

    def step(self, step_id: str, *depends_on: str, waits: bool = False, **more: Any) -> dict[str, Any]:
        params = {"path": str(self.notes), **({"gate": str(self.gate)} if waits else {})}
        return {
            "step_id": step_id,
            "depends_on": list(depends_on),
            "action": "note",
            "params": params,
            "backoff_s": 0,
            **more,
        }

    def lines(self) -> list[tuple[str, int, int]]:
        """What was executed: step, attempt, process."""
        text = self.notes.read_text() if self.notes.exists() else ""
        words = [line.split() for line in text.splitlines()]
        return [(name, int(attempt), int(pid)) for name, attempt, pid in words]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not holds():
                await asyncio.sleep(0.005)

    async def until_noted(self, name: str, pid: int) -> None:
        await self.until(lambda: any((line[0], line[2]) == (name, pid) for line in self.lines()))

    async def stop(self, process: subprocess.Popen[str]) -> None:
        """Stop it, but not in the midst of a transaction: nobody could write to its file then."""
        while True:
            process.send_signal(signal.SIGSTOP)
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.bus.publish("session:probe", "probe")
                return
            process.send_signal(signal.SIGCONT)

    async def watch(self, plan_id: str) -> None:
        """One watcher, from the start to the end, whoever runs it meanwhile."""
        async for event in self.bus.subscribe(f"plan:{plan_id}"):
            self.watched.append(event)
            if event.type in PLAN.terminals:
                return

    def told(self, *types: str) -> list[tuple[str, str | None, int | None]]:
        rows = [(event.type, json.loads(event.data)) for event in self.watched if event.type in types]
        return [(name, stored["step_id"], stored["data"].get("attempt")) for name, stored in rows]


async def killed_in_mid_plan(folder: Path) -> None:
    desk = Desk(folder)
    async with desk.bus:
        with program(desk.log) as first:
            plan_id = await desk.plans.start(
                {
                    "steps": [
                        desk.step("a"),
                        desk.step("b"),
                        desk.step("c", "a", "b", waits=True),
                        desk.step("d", "c"),
                    ]
                }
            )
            watching = asyncio.create_task(desk.watch(plan_id))
            await desk.until_noted("c", first.pid)
            await desk.until(lambda: ("step_started", "c", 1) in desk.told("step_started"))
            first.kill()
            first.wait()
            desk.gate.touch()
            with program(desk.log) as second:
                await asyncio.wait_for(watching, WAIT_S)
        runs = desk.lines()
        assert [(name, attempt) for name, attempt, pid in runs if pid == first.pid] in (
            [("a", 1), ("b", 1), ("c", 1)],
            [("b", 1), ("a", 1), ("c", 1)],
        )
        assert [(name, attempt) for name, attempt, pid in runs if pid == second.pid] == [
            ("c", 2),
            ("c-end", 2),
            ("d", 1),
        ]
        assert [event.seq for event in desk.watched] == list(range(1, len(desk.watched) + 1))
        assert len({event.epoch for event in desk.watched}) == 1
        after = desk.told("step_retrying", "step_started", "step_completed", "plan_completed")
        assert after[-6:] == [
            ("step_retrying", "c", 2),
            ("step_started", "c", 2),
            ("step_completed", "c", 2),
            ("step_started", "d", 1),
            ("step_completed", "d", 1),
            ("plan_completed", None, None),
        ]
        folded = PlanState()
        for event in desk.watched:
            PLAN_STATE.step(folded, event)
        assert folded == await desk.plans.state(plan_id)


async def test_a_killed_process_loses_no_completed_step(tmp_path: Path) -> None:
    await killed_in_mid_plan(tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(20))
async def test_a_killed_process_loses_no_completed_step_again_and_again(tmp_path: Path, number: int) -> None:
    await killed_in_mid_plan(tmp_path)


async def test_a_stopped_holder_that_wakes_up_cannot_write(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    async with desk.bus:
        with program(desk.log) as old:
            plan_id = await desk.plans.start({"steps": [desk.step("a", waits=True), desk.step("b", "a")]})
            watching = asyncio.create_task(desk.watch(plan_id))
            await desk.until_noted("a", old.pid)
            await desk.stop(old)
            with program(desk.log) as new:
                desk.gate.touch()
                await asyncio.wait_for(watching, WAIT_S)
                new.send_signal(signal.SIGTERM)
                assert new.wait(WAIT_S) == 0
            old.send_signal(signal.SIGCONT)
            await desk.until_noted("a-end", old.pid)  # its attempt comes to its end, and tells nobody
            another = await desk.plans.start({"steps": [desk.step("z")]})
            await desk.until_noted("z", old.pid)  # and it is well, and runs what comes
            await asyncio.wait_for(desk.watch(another), WAIT_S)
        page = await desk.bus.read(f"plan:{plan_id}")
        assert page.events[-1].type == "plan_completed"
        assert desk.told("step_completed")[:2] == [("step_completed", "a", 2), ("step_completed", "b", 1)]
        assert [name for name, _, pid in desk.lines() if pid == old.pid] == ["a", "a-end", "z"]


async def test_a_process_that_is_asked_to_end_hands_its_plans_over_at_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    async with desk.bus:
        with program(desk.log) as first, program(desk.log) as second:
            plan_id = await desk.plans.start({"steps": [desk.step("a", waits=True)]})
            watching = asyncio.create_task(desk.watch(plan_id))
            await desk.until(lambda: bool(desk.lines()))
            pids = {first.pid: first, second.pid: second}
            holder = pids.pop(desk.lines()[0][2])
            (other,) = pids.values()
            holder.send_signal(signal.SIGTERM)
            assert holder.wait(WAIT_S) == 0  # though its attempt never looks up
            desk.gate.touch()
            await asyncio.wait_for(watching, WAIT_S)
        assert [(name, attempt) for name, attempt, pid in desk.lines() if pid == other.pid] == [
            ("a", 2),
            ("a-end", 2),
        ]


async def test_any_process_may_give_commands_and_a_parked_plan_is_taken_up_by_any(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.gate.touch()
    async with desk.bus:
        with program(desk.log) as first:
            gate = {"min_score": 0.5, "on_fail": "review"}
            plan_id = await desk.plans.start(
                {"steps": [desk.step("a", quality_gate=gate), desk.step("b", "a")]}
            )
            watching = asyncio.create_task(desk.watch(plan_id))
            await desk.until(lambda: bool(desk.told("review_required")))
            outcome = await desk.plans.command(plan_id, "pause", by="another process")
            assert outcome.status == "done"
            first.kill()
            first.wait()
        with program(desk.log) as second:
            outcome = await desk.plans.command(plan_id, "review", gate="a", approved=True, timeout_s=WAIT_S)
            assert outcome.status == "done"
            assert (await desk.plans.command(plan_id, "resume", timeout_s=WAIT_S)).status == "done"
            await asyncio.wait_for(watching, WAIT_S)
        assert desk.lines() == [("a", 1, first.pid), ("b", 1, second.pid)]
        assert os.getpid() not in {first.pid, second.pid}
