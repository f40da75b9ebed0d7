"""The traps that the original fell into, each as FEEDS.md lists it under "Sessions"."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest
from tests.support.clients import RawClient, events_of, ids_of, open_ws, ping_pong, take
from tests.support.server import ThreadServer, flat, flats

from runcast import WebSocketManager


def test_three_events_and_then_quiet_are_delivered(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session)) as ws:
        server.post(session, *flats(range(3)))
        assert ids_of(take(ws, 3)) == ["e0", "e1", "e2"]


@pytest.mark.parametrize(
    "timestamp", ["2024-01-16T12:00:00Z", "2024-01-16 12:00:00", "2024-01-16T12:00:00.5"]
)
def test_a_time_with_t_or_a_space_is_delivered_to_whoever_watches(
    server: ThreadServer, session: str, timestamp: str
) -> None:
    with open_ws(server.session(session)) as ws:
        server.post(session, flat(0, timestamp=timestamp), flat(1))
        server.post(session, flat(2, timestamp=timestamp))
        assert ids_of(take(ws, 3)) == ["e0", "e1", "e2"]


def test_120_events_that_do_not_pass_do_not_starve_the_one_that_does(
    server: ThreadServer, session: str
) -> None:
    server.post(session, *flats(range(120)), flat(120, event_type="error"))
    with open_ws(server.session(session, filter={"event_types": ["error"]}, after="start")) as ws:
        assert ids_of(take(ws, 1)) == ["e120"]
        for start in range(121, 241, 10):
            server.post(session, *flats(range(start, start + 10)))
        server.post(session, flat(241, event_type="error"))
        assert ids_of(take(ws, 1)) == ["e241"]


def test_many_pages_that_do_not_pass_do_not_either(server: ThreadServer, session: str) -> None:
    for start in range(0, 2_000, 1_000):
        server.post(session, *flats(range(start, start + 1_000)))
    server.post(session, flat(2_000, event_type="error"))
    wish = {"event_types": ["error"]}
    with open_ws(server.session(session, filter=wish, after="start")) as ws:
        assert ids_of(take(ws, 1)) == ["e2000"]
    with open_ws(server.session(session, filter=wish, after="start", poll_interval=1, batch_size=1)) as ws:
        assert ids_of(take(ws, 1)) == ["e2000"]


def test_clients_of_one_session_do_not_get_each_other_s_events(server: ThreadServer, session: str) -> None:
    with ExitStack() as stack:
        wishes = ["tool_call", "error", "completion"]
        clients = {
            wish: stack.enter_context(open_ws(server.session(session, filter={"event_types": [wish]})))
            for wish in wishes
        }
        for number in range(90):
            server.post(session, flat(number, event_type=wishes[number % 3]))
        for index, wish in enumerate(wishes):
            events = events_of(take(clients[wish], 30))
            assert {event["event_type"] for event in events} == {wish}
            assert [event["event_id"] for event in events] == [f"e{number}" for number in range(index, 90, 3)]
            assert ping_pong(clients[wish]) == []


def test_150_events_of_one_time_are_all_delivered(server: ThreadServer, session: str) -> None:
    same = "2024-01-16T12:00:00.000Z"
    with open_ws(server.session(session)) as ws:
        server.post(session, *flats(range(100), timestamp=same))
        server.post(session, *flats(range(100, 150), timestamp=same))
        assert ids_of(take(ws, 150)) == [f"e{number}" for number in range(150)]
    with open_ws(server.session(session, after="start", batch_size=7)) as ws:
        assert ids_of(take(ws, 150)) == [f"e{number}" for number in range(150)]


def test_metrics_can_be_asked_for_inside_a_running_loop_and_outside() -> None:
    manager = WebSocketManager()

    async def inside() -> None:
        assert manager.get_session_metrics("nobody") == {}
        assert manager.get_global_metrics()["active_sessions"] == 0
        await manager.broadcast_event("s", flat(0))
        assert manager.get_global_metrics()["active_sessions"] == 0
        await manager.close()

    assert manager.get_global_metrics()["total_connected_clients"] == 0
    asyncio.run(inside())
    assert manager.get_session_metrics("nobody") == {}


def test_the_documented_url_is_there(server: ThreadServer, session: str) -> None:
    for url in (server.session(session), server.ws("/ws/events"), server.session("session-123")):
        with RawClient(url) as ws:
            assert ws.response is not None
            assert ws.response.status_code == 101
