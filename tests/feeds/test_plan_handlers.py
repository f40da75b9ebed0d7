"""Functions that are called for a plan's events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.feeds.plans import BareSocket, until

from runcast.feeds.plans.events import EventType, StreamEvent
from runcast.feeds.plans.manager import StreamingManager
from runcast.kinds.plan import PLAN
from runcast.live.bus import Bus
from runcast.log.sqlite import SqliteLog


@pytest.fixture
async def manager() -> AsyncIterator[StreamingManager]:
    manager = StreamingManager()
    yield manager
    await manager.close()


@pytest.mark.parametrize(
    "name", ["quality_check", "QUALITY_CHECK", pytest.param(EventType.QUALITY_CHECK, id="member")]
)
async def test_a_handler_is_called_with_nobody_watching(manager: StreamingManager, name: str) -> None:
    heard: list[StreamEvent] = []
    manager.register_handler(name, heard.append)
    await manager.stream_quality_check("p", "s", {"quality_score": 0.6})
    await manager.stream_step_started("p", "s")
    (event,) = heard
    assert (event.event_type, event.plan_id, event.step_id) == ("quality_check", "p", "s")
    assert event.data["quality_score"] == 0.6
    assert manager.get_event_history("p")[0] == event


async def test_async_handlers_are_awaited_and_several_are_called(manager: StreamingManager) -> None:
    heard: list[str] = []

    async def take(event: StreamEvent) -> None:
        await asyncio.sleep(0.01)
        heard.append(f"async {event.step_id}")

    manager.register_handler("step_started", lambda event: heard.append(f"sync {event.step_id}"))
    manager.register_handler("step_started", take)
    await manager.stream_step_started("p", "s1")
    assert sorted(heard) == ["async s1", "sync s1"]


async def test_each_handler_hears_in_order_and_only_what_comes_after_it(manager: StreamingManager) -> None:
    early: list[int] = []
    late: list[int] = []
    manager.register_handler("metrics_update", lambda event: early.append(event.data["n"]))
    for number in range(50):
        await manager.stream_metrics_update("p", {"n": number})
    manager.register_handler("metrics_update", lambda event: late.append(event.data["n"]))
    for number in range(50, 100):
        await manager.stream_metrics_update("p", {"n": number})
    assert (early, late) == (list(range(100)), list(range(50, 100)))


async def test_one_that_raises_harms_nobody(
    manager: StreamingManager, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def fail(event: StreamEvent) -> None:
        heard.append("failing")
        raise RuntimeError("broken")

    async def fail_later(event: StreamEvent) -> None:
        raise RuntimeError("broken, too")

    socket = BareSocket()
    await manager.register_client("c1", socket, ["p"])
    manager.register_handler("step_started", fail)
    manager.register_handler("step_started", fail_later)
    manager.register_handler("step_started", lambda event: heard.append("well"))
    with caplog.at_level(logging.ERROR, "runcast.plans"):
        await manager.stream_step_started("p", "s1")
        await manager.stream_step_started("p", "s2")
    assert sorted(heard) == ["failing", "failing", "well", "well"]
    assert socket.types == ["step_started", "step_started"]
    assert len(caplog.records) == 4


async def test_one_that_never_returns_delays_only_itself(manager: StreamingManager) -> None:
    heard: list[str | None] = []

    async def hang(event: StreamEvent) -> None:
        await asyncio.Event().wait()

    socket = BareSocket()
    await manager.register_client("c1", socket, ["p"])
    manager.register_handler("step_started", hang)
    manager.register_handler("step_started", lambda event: heard.append(event.step_id))
    async with asyncio.timeout(5):  # it is waited for once, for a moment, and not for each event
        for number in range(200):
            await manager.stream_step_started("p", f"s{number}")
    assert heard == [f"s{number}" for number in range(200)]
    assert len(socket.types) == 200


async def test_a_handler_may_publish_by_itself(manager: StreamingManager) -> None:
    async def ask_for_review(event: StreamEvent) -> None:
        review = StreamEvent(EventType.REVIEW_REQUIRED, event.plan_id, event.step_id, {"gate": "g"})
        await manager.stream_event(review)

    reviews: list[StreamEvent] = []
    manager.register_handler("quality_check", ask_for_review)
    manager.register_handler("review_required", reviews.append)
    await manager.stream_quality_check("p", "s", {"quality_score": 0.1})
    await until(lambda: len(reviews) == 1)
    types = [event.event_type for event in manager.get_event_history("p")]
    assert types == ["quality_check", "review_required"]


async def test_what_others_publish_is_heard(tmp_path: Path) -> None:
    manager = StreamingManager(bus=Bus(SqliteLog(tmp_path / "log.db"), [PLAN]))
    heard: list[str] = []
    manager.register_handler("step_failed", lambda event: heard.append(event.data["error"]))
    await manager.bus.publish("plan:p", "STEP_FAILED", {"step_id": "s", "data": {"error": "by the bus"}})
    other = Bus(SqliteLog(tmp_path / "log.db"), [PLAN])  # as another process would
    await other.publish("plan:q", "step_failed", {"step_id": "s", "data": {"error": "by another"}})
    await other.publish("task:q", "step_failed", {"data": {"error": "of another kind"}})
    await manager.stream_step_failed("p", "s", "by the manager")
    await until(lambda: len(heard) == 3)
    assert heard == ["by the bus", "by another", "by the manager"]
    await other.close()
    await manager.bus.close()


def test_a_handler_registered_before_there_is_a_loop() -> None:
    manager = StreamingManager()
    heard: list[str | None] = []
    manager.register_handler("step_started", lambda event: heard.append(event.step_id))

    async def use() -> None:
        await manager.stream_step_started("p", "s1")
        await manager.close()

    asyncio.run(use())
    assert heard == ["s1"]
