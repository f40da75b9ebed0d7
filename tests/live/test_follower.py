"""Following a firehose: from what was announced while it is there, else from the log, and nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from runcast.core.event import Event
from runcast.core.scope import Scope
from runcast.errors import LogClosed
from runcast.kinds.base import Publish
from runcast.live import follower as module
from runcast.live.bus import Bus
from runcast.live.follower import follow
from runcast.log.memory import MemoryLog
from runcast.log.sqlite import SqliteLog

JOBS = Scope.firehose("job")
WAIT_S = 20.0


def with_bus(test: Callable[[Bus], Awaitable[None]], path: Path | None = None) -> None:
    async def play() -> None:
        async with Bus(SqliteLog(path) if path else MemoryLog()) as bus, asyncio.timeout(WAIT_S):
            await test(bus)

    asyncio.run(play())


async def fill(bus: Bus, count: int, stream: str = "job:a", size: int = 1) -> None:
    for _ in range(count):
        await bus.publish_all([Publish(stream=stream, type="step", data={"x": "x" * size})])


async def read(follower: module.Follower, count: int) -> list[Event]:
    events: list[Event] = []
    while len(events) < count:
        events += await follower.read()
    return events


def test_what_comes_is_given_out_without_reading_the_log(tmp_path: Path) -> None:
    async def test(bus: Bus) -> None:
        bus.log.read_all = None  # pyright: ignore[reportAttributeAccessIssue] - it must not be asked
        with follow(bus, JOBS) as follower:
            await fill(bus, 3)
            await fill(bus, 3, "other:a")
            await fill(bus, 3, "job:b")
            events = await read(follower, 6)
            assert [(event.stream, event.seq) for event in events] == [
                (stream, seq) for stream in ("job:a", "job:b") for seq in (1, 2, 3)
            ]
            assert follower.take() == []
        assert bus.hub.taps == {}

    with_bus(test, tmp_path / "log.db")


def test_what_was_seen_before_is_passed_over() -> None:
    async def test(bus: Bus) -> None:
        with follow(bus, JOBS) as follower:
            await fill(bus, 5)
            follower.position = (await bus.head()).offset - 2
            assert [event.seq for event in await read(follower, 2)] == [4, 5]

    with_bus(test)


@pytest.mark.parametrize("count", [20, 700])
def test_who_is_far_behind_reads_from_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(module, "RING_BYTES", 3_000)

    async def test(bus: Bus) -> None:
        with follow(bus, JOBS) as follower:
            await fill(bus, count)
            events = await read(follower, count)
            await fill(bus, 4)
            events += await read(follower, 4)
            assert [event.seq for event in events] == list(range(1, count + 5))

    with_bus(test, tmp_path / "log.db")


def test_a_large_event_finds_no_room_and_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RING_BYTES", 3_000)

    async def test(bus: Bus) -> None:
        with follow(bus, JOBS) as follower:
            for size in (10, 5_000, 10):
                await fill(bus, 1, size=size)
            assert [event.seq for event in await read(follower, 3)] == [1, 2, 3]

    with_bus(test)


def test_waiting_can_be_given_up_and_ends_with_the_bus() -> None:
    async def test(bus: Bus) -> None:
        with follow(bus, JOBS) as follower:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(follower.read(), 0.01)
            waiting = asyncio.create_task(follower.read())
            await asyncio.sleep(0)
            await fill(bus, 1)
            assert [event.seq for event in await waiting] == [1]
            waiting = asyncio.create_task(follower.read())
            await asyncio.sleep(0)
            await bus.close()
            with pytest.raises(LogClosed):
                await waiting

    with_bus(test)
