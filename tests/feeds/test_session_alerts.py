"""Alerts as events of a session's stream: each once, whoever looks, and however often they are killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.fixtures import MakeServer
from tests.support.server import flat, wait_until

from runcast.config import Settings
from runcast.core.event import DAY_US
from runcast.feeds.sessions.alerts import run_alerts
from runcast.kinds.base import Publish
from runcast.kinds.session import SESSION
from runcast.kinds.session_alerts import ALERT_STATE
from runcast.live.bus import Bus, wall_clock_us
from runcast.log.sqlite import SqliteLog

WAIT_S = 20.0


@pytest.fixture(scope="module")
def protocol() -> str:
    return "fast"


@asynccontextmanager
async def watching(path: Path, processes: int = 1, **settings: Any) -> AsyncIterator[Bus]:
    """So many buses on one file that raise alerts; the first of them. They end as if killed, saving nothing."""
    wanted = Settings(**{"session_token_budget": 1_000, "snapshot_interval_s": 0.05, **settings})
    buses = [Bus(SqliteLog(path), [SESSION], wanted) for _ in range(processes)]
    tasks = [asyncio.create_task(run_alerts(bus)) for bus in buses]
    try:
        yield buses[0]
    finally:
        for task, bus in zip(tasks, buses, strict=True):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await bus.close()


@asynccontextmanager
async def unwatched(path: Path) -> AsyncIterator[Bus]:
    """A bus that raises nothing: a hook, or a script."""
    async with Bus(SqliteLog(path), [SESSION]) as bus:
        yield bus


async def spend(bus: Bus, *tokens: int, session: str = "s") -> None:
    await bus.publish_all(
        [Publish(stream=f"session:{session}", type="message", data={"cost_tokens": each}) for each in tokens]
    )


async def alerts(bus: Bus, session: str = "s") -> list[str]:
    """The ids of a session's alerts, without its epoch."""
    found: list[str] = []
    page = await bus.read(f"session:{session}")
    while True:
        found += [
            e.id.removesuffix(f":{e.epoch}") for e in page.events if e.type in {"cost_alert", "bottleneck"}
        ]
        if page.complete:
            return found
        page = await bus.read(f"session:{session}", page.cursor)


async def until_alerts(bus: Bus, *expected: str, session: str = "s") -> None:
    async with asyncio.timeout(WAIT_S):
        while await alerts(bus, session) != list(expected):
            await asyncio.sleep(0.005)


async def settled(bus: Bus, session: str = "s") -> None:
    """Until whoever looks has stored that it has seen all of the session."""
    async with asyncio.timeout(WAIT_S):
        while True:
            info = await bus.info(f"session:{session}")
            names = (info.stream, ALERT_STATE.name, ALERT_STATE.version)
            snapshot = await bus.call(bus.log.load_snapshot, *names)
            if snapshot and (snapshot.epoch, snapshot.seq) == (info.epoch, info.head):
                return
            await asyncio.sleep(0.005)


def play(test: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await test()

    asyncio.run(run())


EIGHTY, HUNDRED = "alert:cost:80:1000", "alert:cost:100:1000"


@pytest.mark.parametrize("processes", [1, 3])
def test_each_alert_is_raised_once_by_however_many(tmp_path: Path, processes: int) -> None:
    async def test() -> None:
        async with watching(tmp_path / "log.db", processes) as bus:
            await spend(bus, 790)
            await settled(bus)
            assert await alerts(bus) == []
            await spend(bus, 10)
            await until_alerts(bus, EIGHTY)
            await spend(bus, *[50] * 100)
            await until_alerts(bus, EIGHTY, HUNDRED)
            await spend(bus, 2_000, session="other")
            await until_alerts(bus, EIGHTY, HUNDRED, session="other")
            await settled(bus)
            assert await alerts(bus) == [EIGHTY, HUNDRED]

    play(test)


def test_what_happened_while_nobody_looked_is_raised_later(tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "log.db"
        async with unwatched(path) as bus:
            await spend(bus, 500, 400)
        async with watching(path, 2) as bus:
            await until_alerts(bus, EIGHTY)
            await settled(bus)
        async with unwatched(path) as bus:
            await spend(bus, 500, *[1] * 300)
            await spend(bus, 5_000, session="unknown")
        async with watching(path, 2) as bus:
            await until_alerts(bus, EIGHTY, HUNDRED)
            await until_alerts(bus, EIGHTY, HUNDRED, session="unknown")
        async with watching(path) as bus:
            await settled(bus)
            assert await alerts(bus) == [EIGHTY, HUNDRED]

    play(test)


def test_killed_at_any_moment_nothing_is_raised_twice_or_forgotten(tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "log.db"
        for _ in range(12):
            async with watching(path, 2, snapshot_interval_s=0.001) as bus:
                await spend(bus, 100)
        async with watching(path) as bus:
            await settled(bus)
            assert await alerts(bus) == [EIGHTY, HUNDRED]

    play(test)


def test_a_slow_call_is_a_bottleneck_and_not_counted_twice(tmp_path: Path) -> None:
    async def test() -> None:
        async with watching(tmp_path / "log.db", 2, session_token_budget=0) as bus:
            done = [
                Publish(
                    stream="session:s",
                    type="tool_call",
                    id=f"t{number}",
                    data={"tool_name": "Bash", "execution_duration_seconds": seconds, "status": "completed"},
                )
                for number, seconds in enumerate([1.0] * 25 + [9.0])
            ]
            await bus.publish_all(done)
            await until_alerts(bus, "alert:bottleneck:t25")
            totals = await bus.fold("session:s", SESSION.folds["totals"])
            assert (totals.tools["Bash"].timed, totals.tools["Bash"].seconds) == (26, 34.0)
            assert (totals.events, totals.last_status) == (27, "completed")

    play(test)


def test_a_session_that_was_sealed_is_not_opened_anew(tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "log.db"
        async with unwatched(path) as bus:
            await spend(bus, 5_000)
            await bus.end("session:s")
        async with watching(path) as bus:
            await settled(bus)
            info = await bus.info("session:s")
            assert (info.head, info.ended) == (1, True)
            await spend(bus, 900)  # another run, with a budget of its own
            await until_alerts(bus, EIGHTY)
            await bus.clear("session:s")
            await spend(bus, 900)
            await until_alerts(bus, EIGHTY)

    play(test)


def test_old_sessions_are_left_alone(tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "log.db"
        log = SqliteLog(path, clock=lambda: wall_clock_us() - 2 * DAY_US)
        async with Bus(log, [SESSION]) as bus:
            await spend(bus, 5_000, session="old")
        async with unwatched(path) as bus:
            await spend(bus, 5_000, session="young")
        async with watching(path) as bus:
            await until_alerts(bus, EIGHTY, HUNDRED, session="young")
            await settled(bus, "young")
            assert await alerts(bus, "old") == []
            await spend(bus, 1, session="old")
            await until_alerts(bus, EIGHTY, HUNDRED, session="old")

    play(test)


def test_nothing_runs_where_no_alerts_are_wanted(tmp_path: Path) -> None:
    async def test() -> None:
        async with Bus(SqliteLog(tmp_path / "log.db"), [SESSION], Settings(bottleneck_factor=0)) as bus:
            await asyncio.wait_for(run_alerts(bus), WAIT_S)

    play(test)


def test_a_server_raises_alerts_that_its_clients_see(make_server: MakeServer) -> None:
    server = make_server(session_token_budget=100)
    server.post("s", flat(0, cost_tokens=85, agent_id="main"))
    (alert,) = wait_until(
        lambda: server.get("/api/sessions/s/events", filter='{"event_types":["cost_alert"]}')["events"]
    )
    assert (alert["percent"], alert["budget_tokens"], alert["spent_tokens"]) == (80, 100, 85)
    assert (alert["status"], alert["agent_id"], alert["cost_tokens"]) == ("warning", "main", 0)
    assert alert["output_summary"] == "The session has used 85 tokens, 85 % of its budget of 100."
    (one,) = server.get("/api/sessions")["sessions"]
    assert (one["summary"]["events"], one["summary"]["last_event_type"]) == (2, "tool_call")
