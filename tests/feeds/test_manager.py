"""The documented Python class, over a bus of its own: with any object that can send text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.server import flat, flats

from runcast import Bus, EventSubscriptionFilter, WebSocketManager
from runcast.errors import InvalidEvent, InvalidStreamName
from runcast.kinds.session import SESSION
from runcast.log.memory import MemoryLog
from runcast.log.sqlite import SqliteLog


class BareSocket:
    """Nothing but `async send_text(str)`; takes what it gets, unless it is told to wait or to fail."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.free = asyncio.Event()
        self.free.set()
        self._came = asyncio.Event()

    async def send_text(self, data: str) -> None:
        await self.free.wait()
        if self.error is not None:
            raise self.error
        self.frames.append(json.loads(data))
        self._came.set()

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not done():
                self._came.clear()
                await self._came.wait()

    async def take(self, count: int) -> list[str]:
        """The ids of all events so far, of which there are `count`."""
        await self.until(lambda: len(self.ids) >= count)
        return self.ids

    @property
    def ids(self) -> list[str]:
        return [event["event_id"] for frame in self.frames for event in frame["events"]]


class ClosingSocket(BareSocket):
    """One that can be closed, too."""

    def __init__(self) -> None:
        super().__init__()
        self.closed: tuple[int, str] | None = None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed = (code, reason)
        self._came.set()


@pytest.fixture
async def manager() -> AsyncIterator[WebSocketManager]:
    manager = WebSocketManager()
    yield manager
    await manager.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


async def test_a_connected_socket_gets_what_is_broadcast(manager: WebSocketManager) -> None:
    socket = BareSocket()
    assert await manager.connect(socket, "s", "c1") is True
    assert await manager.broadcast_event("s", flat(0)) == 1
    assert await socket.take(1) == ["e0"]
    (frame,) = socket.frames
    assert (frame["type"], frame["count"], len(frame["events"][0])) == ("batch", 1, 16)


async def test_the_count_is_of_those_whom_the_event_is_for(manager: WebSocketManager) -> None:
    everything, errors, recorded = BareSocket(), BareSocket(), BareSocket()
    await manager.connect(everything, "s", "c1")
    await manager.connect(errors, "s", "c2", EventSubscriptionFilter(event_types=["error"]))
    await manager.connect(recorded, "s", "c3", filter=EventSubscriptionFilter(statuses=["recorded"]))
    await manager.connect(BareSocket(), "another", "c1")
    assert await manager.broadcast_event("s", flat(0, status="completed")) == 1
    assert await manager.broadcast_event("s", flat(1, event_type="error", status="error")) == 2
    assert await manager.broadcast_event("s", flat(2)) == 2  # its status is filled in before it is stored
    assert await manager.broadcast_event("nobody", flat(3)) == 0
    assert await everything.take(3) == ["e0", "e1", "e2"]
    assert await errors.take(1) == ["e1"]
    assert await recorded.take(1) == ["e2"]


async def test_what_is_broadcast_is_stored_first(tmp_path: Path) -> None:
    manager = WebSocketManager(db_path=tmp_path / "mine.db")
    await manager.broadcast_event("s", flat(0))
    log = SqliteLog(tmp_path / "mine.db")
    assert [event.id for event in log.read("session:s").events] == ["e0"]
    log.close()
    await manager.close()


@pytest.mark.parametrize(
    "event", [{}, {"event_type": "a", "cost_tokens": "40"}, {"event_type": "a", "session_id": "b"}]
)
async def test_a_wrong_event_is_refused_and_nobody_hears_of_it(
    manager: WebSocketManager, event: dict[str, Any]
) -> None:
    socket = BareSocket()
    await manager.connect(socket, "s", "c1")
    with pytest.raises(InvalidEvent):
        await manager.broadcast_event("s", event)
    await manager.broadcast_event("s", flat(0))
    assert await socket.take(1) == ["e0"]


async def test_an_id_that_no_session_can_have_is_refused(manager: WebSocketManager) -> None:
    for name in ("", "..", "a/b", "a\x00b"):
        with pytest.raises(InvalidStreamName):
            await manager.connect(BareSocket(), name, "c1")
        with pytest.raises(InvalidStreamName):
            await manager.broadcast_event(name, flat(0))
        assert manager.get_session_metrics(name) == {}


async def test_one_client_too_many_is_closed_with_1008_and_a_reason() -> None:
    manager = WebSocketManager(max_clients_per_session=2)
    for client in ("c1", "c2"):
        assert await manager.connect(BareSocket(), "s", client)
    late = ClosingSocket()
    assert await manager.connect(late, "s", "c3") is False
    assert late.closed == (1008, "too_many")
    assert (
        await manager.connect(BareSocket(), "s", "c4") is False
    )  # one that cannot be closed is just refused
    assert await manager.connect(BareSocket(), "another", "c1")
    assert await manager.connect(BareSocket(), "s", "c2")  # the same client again takes its own place
    await manager.disconnect("s", "c1")
    assert await manager.connect(BareSocket(), "s", "c3")
    await manager.close()


async def test_many_that_come_at_once_are_counted_exactly() -> None:
    manager = WebSocketManager(max_clients_per_session=3)
    clients = (manager.connect(BareSocket(), "s", f"c{number}") for number in range(10))
    assert sorted(await asyncio.gather(*clients)) == [False] * 7 + [True] * 3
    await manager.close()


async def test_attributes_may_be_changed_while_it_runs(manager: WebSocketManager) -> None:
    first, second = BareSocket(), BareSocket()
    await manager.connect(first, "s", "c1")
    manager.max_clients_per_session = 1
    assert await manager.connect(second, "s", "c2") is False
    manager.max_clients_per_session = 5
    manager.event_batch_size = 2
    manager.event_batch_window_ms = 25.0
    manager.poll_interval_ms = 200.0
    assert await manager.connect(second, "s", "c2") is True
    for number in range(3):
        await manager.broadcast_event("s", flat(number))
    assert await first.take(3) == ["e0", "e1", "e2"]
    assert await second.take(3) == ["e0", "e1", "e2"]
    assert [frame["count"] for frame in second.frames] == [1, 2]  # one at once, then one after the interval


async def test_a_disconnected_socket_gets_nothing_more_and_is_not_closed(manager: WebSocketManager) -> None:
    gone, there = ClosingSocket(), BareSocket()
    await manager.connect(gone, "s", "c1")
    await manager.connect(there, "s", "c2")
    await manager.disconnect("s", "c1")
    await manager.disconnect("s", "c1")
    await manager.disconnect("nobody", "knows")
    assert await manager.broadcast_event("s", flat(0)) == 1
    assert await there.take(1) == ["e0"]
    assert (gone.frames, gone.closed) == ([], None)


async def test_connecting_and_disconnecting_leaves_no_task_behind(manager: WebSocketManager) -> None:
    socket = BareSocket()
    await manager.connect(socket, "s", "c1")
    await manager.broadcast_event("s", flat(0))
    await socket.take(1)
    before = len(asyncio.all_tasks())
    for number in range(50):
        await manager.connect(BareSocket(), f"s{number}", "c1")
    for number in range(50):
        await manager.disconnect(f"s{number}", "c1")
    await until(lambda: len(asyncio.all_tasks()) <= before)
    assert manager.get_global_metrics()["total_connected_clients"] == 1


async def test_a_client_of_the_same_id_replaces_the_first(manager: WebSocketManager) -> None:
    first, second = BareSocket(), BareSocket()
    await manager.connect(first, "s", "c1")
    await manager.connect(second, "s", "c1")
    assert await manager.broadcast_event("s", flat(0)) == 1
    assert await second.take(1) == ["e0"]
    assert first.frames == []
    assert manager.get_session_metrics("s")["connected_clients"] == 1


async def test_a_socket_that_fails_is_forgotten_and_harms_nobody(manager: WebSocketManager) -> None:
    broken, well = BareSocket(), BareSocket()
    broken.error = ValueError("whatever a library may raise")
    await manager.connect(broken, "s", "c1")
    await manager.connect(well, "s", "c2")
    await manager.broadcast_event("s", flat(0))
    assert await well.take(1) == ["e0"]
    await until(lambda: manager.get_session_metrics("s")["connected_clients"] == 1)
    assert await manager.broadcast_event("s", flat(1)) == 1


async def test_a_slow_socket_delays_nobody_and_misses_nothing(manager: WebSocketManager) -> None:
    slow, quick = BareSocket(), BareSocket()
    slow.free.clear()
    await manager.connect(slow, "s", "c1")
    await manager.connect(quick, "s", "c2")
    for number in range(300):
        await manager.broadcast_event("s", flat(number, noise="x" * 4_000))
    everything = [f"e{number}" for number in range(300)]
    assert await quick.take(300) == everything
    assert slow.ids == []
    slow.free.set()
    assert await slow.take(300) == everything


async def test_the_numbers_are_the_documented_ones(manager: WebSocketManager) -> None:
    socket = BareSocket()
    await manager.connect(socket, "s", "c1")
    for number in range(3):
        await manager.broadcast_event("s", flat(number))
    await socket.take(3)
    numbers = manager.get_session_metrics("s")
    assert set(numbers) == {
        "session_id",
        "connected_clients",
        "total_events_sent",
        "total_bytes_sent",
        "uptime_seconds",
    }
    assert (numbers["session_id"], numbers["connected_clients"], numbers["total_events_sent"]) == ("s", 1, 3)
    assert numbers["total_bytes_sent"] == sum(
        len(json.dumps(frame, separators=(",", ":"), ensure_ascii=False)) for frame in socket.frames
    )
    assert manager.get_session_metrics("nobody") == {}
    everything = manager.get_global_metrics()
    assert everything["active_sessions"] == everything["total_connected_clients"] == 1
    assert everything["total_events_broadcast"] == 3
    assert set(everything["sessions"]["s"]) == set(numbers) - {"session_id"}


async def test_the_end_of_a_session_closes_what_can_be_closed() -> None:
    bus = Bus(MemoryLog(), [SESSION])
    manager = WebSocketManager(bus=bus)
    closing, bare = ClosingSocket(), BareSocket()
    await manager.connect(closing, "s", "c1")
    await manager.connect(bare, "s", "c2")
    await manager.broadcast_event("s", flat(0))
    await bus.end("session:s")
    for socket in (closing, bare):
        await socket.until(lambda socket=socket: bool(socket.frames) and socket.frames[-1]["type"] == "end")
    await closing.until(lambda: closing.closed is not None)
    assert closing.closed is not None
    assert closing.closed[0] == 1000
    await until(lambda: manager.get_session_metrics("s") == {})
    await manager.close()


async def test_batches_are_no_larger_than_the_manager_s_size() -> None:
    bus = Bus(MemoryLog(), [SESSION])
    manager = WebSocketManager(bus=bus, event_batch_size=7)
    socket = BareSocket()
    await manager.connect(socket, "s", "c1")
    for number in range(50):
        await manager.broadcast_event("s", flat(number))
    assert len(await socket.take(50)) == 50
    assert max(frame["count"] for frame in socket.frames) <= 7
    await manager.close()


def test_a_manager_can_be_made_and_asked_outside_a_loop_and_used_in_one(tmp_path: Path) -> None:
    manager = WebSocketManager(
        db_path=str(tmp_path / "mine.db"),
        max_clients_per_session=10,
        event_batch_size=50,
        event_batch_window_ms=50.0,
        poll_interval_ms=100.0,
    )
    manager.max_clients_per_session = 5

    async def use() -> None:
        socket = BareSocket()
        assert await manager.connect(socket, "s", "c1")
        for event in flats(range(3)):
            await manager.broadcast_event("s", event)
        assert await socket.take(3) == ["e0", "e1", "e2"]
        assert manager.get_session_metrics("s")["total_events_sent"] == 3
        await manager.close()

    asyncio.run(use())
    assert manager.get_global_metrics()["active_sessions"] == 0


def test_a_manager_outlives_the_loop_that_it_was_first_used_in() -> None:
    manager = WebSocketManager()

    async def use(number: int) -> None:
        socket = BareSocket()
        assert await manager.connect(socket, "s", "c1")
        assert await manager.broadcast_event("s", flat(number)) == 1
        assert await socket.take(1) == [f"e{number}"]

    asyncio.run(use(0))
    asyncio.run(use(1))
    asyncio.run(manager.close())


def test_a_manager_of_the_environment_s_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNCAST_LOG", str(tmp_path / "shared.db"))

    async def use() -> None:
        manager = WebSocketManager()
        await manager.broadcast_event("s", flat(0))
        await manager.close()

    asyncio.run(use())
    log = SqliteLog(tmp_path / "shared.db")
    assert log.info("session:s").head == 1
    log.close()
