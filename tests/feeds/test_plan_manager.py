"""The documented Python class of the plan feed, with any object that can send text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.feeds.plans import FIELDS, BareSocket, ClosingSocket, until
from tests.support.virtual import run_virtual

from runcast.config import Settings
from runcast.errors import InvalidCursor, InvalidEvent, InvalidInput, InvalidStreamName, TooMany
from runcast.feeds.plans.courtesy import MOST_CLIENTS
from runcast.feeds.plans.events import EventType, StreamEvent
from runcast.feeds.plans.manager import StreamingManager
from runcast.kinds.plan import DOCUMENTED, OURS, PLAN
from runcast.live.bus import Bus
from runcast.log.memory import MemoryLog
from runcast.log.sqlite import SqliteLog


@pytest.fixture
async def manager() -> AsyncIterator[StreamingManager]:
    manager = StreamingManager(ping_interval=30)
    yield manager
    await manager.close()


async def tell(manager: StreamingManager, count: int, plan_id: str = "p", first: int = 0) -> None:
    for number in range(first, first + count):
        await manager.stream_step_progress(plan_id, "s1", 0.5, f"{number}")


def messages(socket: BareSocket) -> list[str]:
    return [frame["data"]["message"] for frame in socket.frames[1:]]


# --- being told --------------------------------------------------------------------------------


async def test_a_registered_client_is_welcomed_and_told_at_once(manager: StreamingManager) -> None:
    socket = BareSocket()
    assert await manager.register_client("c1", socket, subscribe_to=["p"]) is True
    (welcome,) = socket.frames
    assert welcome.keys() == FIELDS
    assert (welcome["event_type"], welcome["plan_id"], welcome["step_id"]) == ("ping", "system", None)
    await manager.stream_plan_started("p", {"query": "why", "total_steps": 5})
    assert socket.frames[1:] == [
        {
            "event_type": "plan_started",
            "plan_id": "p",
            "step_id": None,
            "data": {"query": "why", "total_steps": 5},
            "timestamp": socket.frames[1]["timestamp"],
            "event_id": socket.frames[1]["event_id"],
            "seq": 1,
            "cursor": socket.frames[1]["cursor"],
        }
    ]


async def test_every_method_publishes_its_documented_type(manager: StreamingManager) -> None:
    socket = BareSocket()
    await manager.register_client("c1", socket, ["p"])
    await manager.stream_plan_started("p", {"query": "q"})
    await manager.stream_step_started("p", "s", {"action": "search"})
    await manager.stream_step_progress("p", "s", 0.25, "Searching")
    await manager.stream_quality_check("p", "s", {"quality_score": 0.6})
    await manager.stream_metrics_update("p", {"tokens": 12})
    await manager.stream_step_completed("p", "s", {"status": "success", "quality_score": 0.95})
    await manager.stream_step_failed("p", "s", ValueError("no such page"))
    await manager.stream_plan_completed("p", {"status": "completed"})
    await manager.stream_plan_failed("p", "it was too late")
    told = [(frame["event_type"], frame["step_id"]) for frame in socket.frames[1:]]
    assert told == [
        ("plan_started", None),
        ("step_started", "s"),
        ("step_progress", "s"),
        ("quality_check", "s"),
        ("metrics_update", None),
        ("step_completed", "s"),
        ("step_failed", "s"),
        ("plan_completed", None),
        ("plan_failed", None),
    ]
    assert socket.frames[3]["data"] == {"progress": 0.25, "message": "Searching"}
    assert socket.frames[4]["data"]["quality_score"] == 0.6
    assert socket.frames[7]["data"]["error"] == "no such page"
    assert socket.frames[9]["data"]["error"] == "it was too late"


async def test_only_subscribers_are_told(manager: StreamingManager) -> None:
    a, b, both = BareSocket(), BareSocket(), BareSocket()
    await manager.register_client("a", a, ["plan_a"])
    await manager.register_client("b", b)
    await manager.subscribe("b", "plan_b")
    await manager.register_client("both", both, ["plan_a", "plan_b"])
    await tell(manager, 1, "plan_a")
    await tell(manager, 1, "plan_b", first=1)
    assert (messages(a), messages(b), messages(both)) == (["0"], ["1"], ["0", "1"])
    assert manager.get_plan_subscriber_count("plan_a") == 2
    await manager.unsubscribe("a", "plan_a")
    await manager.unsubscribe("a", "plan_a")
    assert manager.get_plan_subscriber_count("plan_a") == 1
    await tell(manager, 1, "plan_a", first=2)
    assert (messages(a), messages(both)) == (["0"], ["0", "1", "2"])


@pytest.mark.parametrize("way", ["register", "subscribe"])
async def test_who_comes_late_gets_the_whole_story_first(manager: StreamingManager, way: str) -> None:
    await tell(manager, 600)
    socket = BareSocket()
    await manager.register_client("late", socket, ["p"] if way == "register" else None)
    if way == "subscribe":
        await manager.subscribe("late", "p")
    await tell(manager, 5, first=600)
    await socket.until(lambda: len(socket.seqs) >= 605)
    assert socket.seqs == list(range(1, 606))


async def test_nothing_is_missed_or_overtaken_while_others_publish(tmp_path: Path) -> None:
    bus = Bus(SqliteLog(tmp_path / "log.db"), [PLAN])
    manager = StreamingManager(bus=bus)
    bus.start()

    def storm() -> None:
        for number in range(400):
            event = StreamEvent("step_progress", "p", "s1", {"progress": 0.5, "message": str(number)})
            manager.stream_event_soon(event)

    publisher = Thread(target=storm)
    publisher.start()
    sockets = [BareSocket() for _ in range(20)]
    for number, socket in enumerate(sockets):
        await manager.register_client(f"c{number}", socket, ["p"])
    publisher.join()
    for socket in sockets:
        await socket.until(lambda socket=socket: len(socket.seqs) >= 400)
        assert socket.seqs == list(range(1, 401))
    await manager.close()
    await bus.close()


async def test_subscribing_again_does_nothing(manager: StreamingManager) -> None:
    socket = BareSocket()
    await manager.register_client("c1", socket, ["p", "p"])
    await tell(manager, 3)
    await manager.subscribe("c1", "p")
    await asyncio.gather(*(manager.subscribe("c1", "other") for _ in range(5)))
    await tell(manager, 1, "other", first=3)
    assert messages(socket) == ["0", "1", "2", "3"]


async def test_subscribing_from_now_or_after_a_cursor(manager: StreamingManager) -> None:
    first, now, after = BareSocket(), BareSocket(), BareSocket()
    await manager.register_client("c1", first, ["p"])
    await tell(manager, 3)
    await manager.register_client("c2", now)
    await manager.subscribe("c2", "p", after="now")
    await manager.register_client("c3", after)
    await manager.subscribe("c3", "p", after=first.frames[2]["cursor"])
    await tell(manager, 1, first=3)
    assert messages(now) == ["3"]
    assert messages(after) == ["2", "3"]
    with pytest.raises(InvalidCursor):
        await manager.subscribe("c2", "other", after="yesterday")
    assert manager.get_plan_subscriber_count("other") == 0


async def test_a_plan_that_is_run_again_is_told_on_and_who_comes_then_gets_the_new_run(
    manager: StreamingManager,
) -> None:
    there, late = BareSocket(), BareSocket()
    await manager.register_client("there", there, ["p"])
    for _ in range(3):
        await manager.stream_plan_started("p", {})
        await manager.stream_plan_completed("p")
    await manager.stream_plan_started("p", {})
    await there.until(lambda: there.types.count("plan_started") == 4)
    run = ["plan_started", "plan_completed", "end"]
    assert there.types == [*run, *run, *run, "plan_started"]
    await manager.register_client("late", late, ["p"])
    assert late.types == ["plan_started"]
    await manager.unsubscribe("there", "p")
    await manager.stream_plan_completed("p")
    assert there.types[-1] == "plan_started"


async def test_who_left_between_two_runs_is_not_told_of_the_next(manager: StreamingManager) -> None:
    socket = BareSocket()
    await manager.register_client("c1", socket, ["p"])
    await manager.stream_plan_started("p", {})
    await manager.bus.end("plan:p")
    await socket.until(lambda: socket.types[-1] == "end")
    assert manager.get_plan_subscriber_count("p") == 1
    await manager.unsubscribe("c1", "p")
    await manager.stream_plan_started("p", {})
    await manager.subscribe("c1", "p")
    assert socket.types == ["plan_started", "end", "plan_started"]


# --- coming and going --------------------------------------------------------------------------


async def test_clients_are_counted_and_described(manager: StreamingManager) -> None:
    socket = BareSocket()
    await manager.register_client("c1", socket, ["a", "b"])
    await manager.register_client("c2", BareSocket())
    assert manager.get_client_count() == 2
    one = manager.clients["c1"]
    assert (one.client_id, one.websocket, one.subscribed_plans) == ("c1", socket, {"a", "b"})
    assert one.connected_at.endswith("Z")
    assert one.last_ping is None
    await manager.unregister_client("c2")
    assert list(manager.clients) == ["c1"]


async def test_an_unregistered_socket_gets_nothing_more_and_is_not_closed(manager: StreamingManager) -> None:
    gone, there = ClosingSocket(), BareSocket()
    await manager.register_client("gone", gone, ["p"])
    await manager.register_client("there", there, ["p"])
    await manager.unregister_client("gone")
    await manager.unregister_client("gone")
    await manager.unregister_client("nobody")
    await tell(manager, 1)
    assert messages(there) == ["0"]
    assert (len(gone.frames), gone.closed) == (1, None)
    assert manager.get_plan_subscriber_count("p") == 1


async def test_a_second_client_of_the_same_id_replaces_the_first(manager: StreamingManager) -> None:
    first, second = ClosingSocket(), BareSocket()
    await manager.register_client("c1", first, ["p"])
    await tell(manager, 1)
    await manager.register_client("c1", second, ["p"])
    await first.until(lambda: first.closed is not None)
    assert first.closed == (1008, "replaced")
    assert (first.types[-1], first.frames[-1]["data"]["code"]) == ("error", "replaced")
    await tell(manager, 1, first=1)
    assert messages(second) == ["0", "1"]
    assert first.types == ["step_progress", "error"]
    assert (manager.get_client_count(), manager.get_plan_subscriber_count("p")) == (1, 1)


async def test_who_was_replaced_does_not_take_its_successor_out(manager: StreamingManager) -> None:
    """The document's handler unregisters by the id alone when its own connection ends."""

    async def handler(socket: ClosingSocket) -> None:
        await manager.register_client("c1", socket, ["p"])
        await socket.until(lambda: socket.closed is not None)
        await manager.unregister_client("c1")

    first, second = ClosingSocket(), ClosingSocket()
    async with asyncio.TaskGroup() as group:
        one = group.create_task(handler(first))
        await until(lambda: manager.get_client_count() == 1)
        other = group.create_task(handler(second))
        await one
        await tell(manager, 1)
        assert messages(second) == ["0"]
        await second.close()
        await other
    assert manager.get_client_count() == 0


async def test_the_same_task_may_register_an_id_again_and_end_it(manager: StreamingManager) -> None:
    first, second = BareSocket(), BareSocket()
    await manager.register_client("c1", first)
    await manager.register_client("c1", second)
    await manager.unregister_client("c1", first)  # it is not this one any more
    assert manager.get_client_count() == 1
    await manager.unregister_client("c1")
    assert manager.get_client_count() == 0


async def test_a_socket_that_fails_is_forgotten_and_harms_nobody(manager: StreamingManager) -> None:
    broken, well = BareSocket(), BareSocket()
    await manager.register_client("broken", broken, ["p"])
    await manager.register_client("well", well, ["p"])
    broken.error = ValueError("whatever a library may raise")
    await tell(manager, 1)
    assert messages(well) == ["0"]
    await until(lambda: manager.get_client_count() == 1)
    assert manager.get_plan_subscriber_count("p") == 1


async def test_a_slow_socket_delays_nobody_and_misses_nothing(manager: StreamingManager) -> None:
    slow, quick = BareSocket(), BareSocket()
    await manager.register_client("slow", slow, ["p"])
    await manager.register_client("quick", quick, ["p"])
    slow.free.clear()
    for number in range(300):
        await manager.stream_step_progress("p", "s", 0.5, str(number) + " " * 1_900)
    assert quick.seqs == list(range(1, 301))
    assert slow.seqs == []
    slow.free.set()
    await slow.until(lambda: len(slow.seqs) == 300)
    assert slow.seqs == quick.seqs


async def test_registering_and_leaving_leaves_no_task_behind(manager: StreamingManager) -> None:
    await manager.register_client("c1", BareSocket(), ["p"])
    before = len(asyncio.all_tasks())
    for number in range(50):
        await manager.register_client(f"x{number}", BareSocket(), ["p", f"p{number}"])
    for number in range(50):
        await manager.unregister_client(f"x{number}")
    await until(lambda: len(asyncio.all_tasks()) <= before)
    assert manager.get_plan_subscriber_count("p") == 1


async def test_a_client_too_many_is_told_and_closed() -> None:
    bus = Bus(MemoryLog(), [PLAN], Settings(max_connections=1))
    manager = StreamingManager(bus=bus)
    late = ClosingSocket()
    assert await manager.register_client("c1", BareSocket())
    assert await manager.register_client("c2", late, ["p"]) is False
    assert late.frames[0]["data"]["code"] == "too_many"
    assert late.frames[0].keys() == FIELDS
    assert late.closed == (1008, "too_many")
    assert manager.get_client_count() == 1
    await manager.close()
    await bus.close()


async def test_a_client_has_so_many_subscriptions_and_no_more() -> None:
    bus = Bus(MemoryLog(), [PLAN], Settings(max_subscriptions=3))
    manager = StreamingManager(bus=bus)
    await manager.register_client("c1", BareSocket(), ["a", "b", "c"])
    with pytest.raises(TooMany, match="3 plans"):
        await manager.subscribe("c1", "d")
    await manager.unsubscribe("c1", "a")
    await manager.subscribe("c1", "d")
    assert manager.clients["c1"].subscribed_plans == {"b", "c", "d"}
    await bus.close()


async def test_many_clients_are_told_without_being_waited_for(manager: StreamingManager) -> None:
    sockets = [BareSocket() for _ in range(MOST_CLIENTS + 20)]
    for number, socket in enumerate(sockets):
        await manager.register_client(f"c{number}", socket, ["p"])
    await tell(manager, 5)
    for socket in sockets:
        await socket.until(lambda socket=socket: len(socket.seqs) == 5)
        assert messages(socket) == ["0", "1", "2", "3", "4"]


# --- wrong input -------------------------------------------------------------------------------


async def test_whoever_is_not_registered_cannot_subscribe(manager: StreamingManager) -> None:
    with pytest.raises(ValueError, match="no client 'nobody'"):
        await manager.subscribe("nobody", "p")
    await manager.unsubscribe("nobody", "p")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\x00b", "x" * 201])
async def test_ids_that_cannot_be_are_refused(manager: StreamingManager, name: str) -> None:
    socket = BareSocket()
    with pytest.raises(InvalidInput, match="client_id"):
        await manager.register_client(name, socket)
    with pytest.raises(InvalidStreamName):
        await manager.register_client("c1", socket, [name])
    with pytest.raises(InvalidStreamName):
        await manager.stream_plan_started(name, {})
    with pytest.raises(InvalidStreamName):
        manager.get_event_history(name)
    assert (manager.get_client_count(), socket.frames) == (0, [])


async def test_an_event_that_cannot_be_is_refused_and_nobody_hears_of_it(manager: StreamingManager) -> None:
    socket = BareSocket()
    await manager.register_client("c1", socket, ["p"])
    wrong: Any = "not a mapping"
    with pytest.raises(InvalidEvent, match="data"):
        await manager.stream_plan_started("p", wrong)
    with pytest.raises(InvalidEvent, match=r"data\.progress"):
        await manager.stream_step_progress("p", "s", 40, "percent")
    with pytest.raises(InvalidEvent, match="RFC 3339"):
        await manager.stream_event(StreamEvent("plan_started", "p", timestamp="yesterday"))
    await manager.stream_event(StreamEvent("something_of_mine", "p"))
    assert socket.types == ["something_of_mine"]


# --- events as values --------------------------------------------------------------------------


def test_every_type_has_a_name_and_is_understood_in_either_case() -> None:
    assert {one.value for one in EventType} == {*DOCUMENTED, *OURS}
    for one in EventType:
        assert one.name == one.value.upper()
        assert EventType(one.name) is EventType(one.value) is one
        assert StreamEvent(one.name, "p").event_type == StreamEvent(one, "p").event_type == one.value
    assert StreamEvent("OfMine", "p").event_type == "OfMine"


def test_an_event_as_json_has_the_documented_fields() -> None:
    event = StreamEvent(EventType.STEP_STARTED, "p", "s", {"action": "search"})
    assert event.to_json() == (
        '{"event_type":"step_started","plan_id":"p","step_id":"s","data":{"action":"search"},'
        f'"timestamp":"{event.timestamp}","event_id":"{event.event_id}"}}'
    )
    assert event.to_dict().keys() == FIELDS


async def test_an_event_keeps_its_id_and_time_and_is_told_once(manager: StreamingManager) -> None:
    socket = BareSocket()
    await manager.register_client("c1", socket, ["p"])
    event = StreamEvent("PLAN_STARTED", "p", timestamp="2026-01-31T12:00:00", event_id="mine")
    await manager.stream_event(event)
    await manager.stream_event(event)
    (frame,) = socket.frames[1:]
    assert (frame["event_type"], frame["event_id"]) == ("plan_started", "mine")
    assert frame["timestamp"] == "2026-01-31T12:00:00.000Z"


# --- history -----------------------------------------------------------------------------------


async def test_history_is_of_the_current_run_and_bounded(manager: StreamingManager) -> None:
    assert manager.get_event_history("p") == []
    await tell(manager, 700)
    history = manager.get_event_history("p")
    assert [event.data["message"] for event in history] == [str(number) for number in range(700)]
    assert isinstance(history[0], StreamEvent)
    assert (history[0].event_type, history[0].plan_id, history[0].step_id) == ("step_progress", "p", "s1")
    newest = manager.get_event_history("p", limit=3)
    assert [event.data["message"] for event in newest] == ["697", "698", "699"]
    await manager.stream_plan_completed("p")
    await manager.stream_plan_started("p", {})
    assert [event.event_type for event in manager.get_event_history("p")] == ["plan_started"]


async def test_history_survives_a_trim(manager: StreamingManager) -> None:
    await tell(manager, 10)
    await manager.bus.trim("plan:p", keep=4)
    assert [event.data["message"] for event in manager.get_event_history("p")] == ["6", "7", "8", "9"]


async def test_cleared_history_is_gone_and_who_watches_goes_on(manager: StreamingManager) -> None:
    socket = BareSocket()
    await manager.register_client("c1", socket, ["p", "q"])
    await tell(manager, 2, "p")
    await tell(manager, 2, "q")
    manager.clear_history("p")
    assert (len(manager.get_event_history("p")), len(manager.get_event_history("q"))) == (0, 2)
    await tell(manager, 1, "p", first=2)
    await socket.until(lambda: len(socket.types) == 6)
    assert socket.types[-2:] == ["reset", "step_progress"]
    assert socket.frames[-2].keys() == FIELDS
    manager.clear_history()
    manager.clear_history("never-there")
    assert manager.get_event_history("p") == manager.get_event_history("q") == []


# --- pings -------------------------------------------------------------------------------------


def test_pings_come_after_each_interval_which_may_change() -> None:
    async def story() -> None:
        manager, socket = StreamingManager(ping_interval=30), BareSocket()
        await manager.register_client("c1", socket)
        await asyncio.sleep(29)
        assert len(socket.frames) == 1
        await asyncio.sleep(62)
        assert [frame["event_type"] for frame in socket.frames] == ["ping"] * 4
        assert all(frame.keys() == FIELDS and frame["plan_id"] == "system" for frame in socket.frames)
        assert manager.clients["c1"].last_ping is not None
        manager.ping_interval = 5
        await asyncio.sleep(30)
        before = len(socket.frames)
        await asyncio.sleep(20)
        assert len(socket.frames) - before == 4
        manager.ping_interval = 0
        await asyncio.sleep(5)
        before = len(socket.frames)
        await asyncio.sleep(100)
        assert len(socket.frames) == before
        await manager.close()

    run_virtual(story())


def test_who_takes_nothing_is_not_pinged_on_and_on_and_is_given_up_in_the_end() -> None:
    async def story() -> None:
        manager, stuck = StreamingManager(ping_interval=1), ClosingSocket()
        await manager.register_client("c1", stuck)
        stuck.free.clear()
        await manager.subscribe("c1", "p")
        await tell(manager, 1)
        await asyncio.sleep(30)
        assert manager.get_client_count() == 1
        await asyncio.sleep(60)
        assert manager.get_client_count() == 0
        await manager.close()

    run_virtual(story())


# --- loops and logs ----------------------------------------------------------------------------


def test_a_manager_outlives_the_loop_that_it_was_first_used_in() -> None:
    manager = StreamingManager()
    told: list[str] = []
    manager.register_handler("step_progress", lambda event: told.append(event.data["message"]))

    async def use(number: int) -> None:
        socket = BareSocket()
        await manager.register_client("c1", socket, ["p"])
        await tell(manager, 1, first=number)
        assert messages(socket) == [str(one) for one in range(number + 1)]
        assert manager.get_client_count() == 1

    asyncio.run(use(0))
    asyncio.run(use(1))
    assert told == ["0", "1"]
    assert len(manager.get_event_history("p")) == 2
    asyncio.run(manager.close())


def test_a_manager_of_the_environment_s_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNCAST_LOG", str(tmp_path / "shared.db"))

    async def use() -> None:
        manager = StreamingManager()
        await tell(manager, 1)
        await manager.close()

    asyncio.run(use())
    asyncio.run(use())
    log = SqliteLog(tmp_path / "shared.db")
    assert log.info("plan:p").head == 2
    log.close()
