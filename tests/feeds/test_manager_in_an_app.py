"""The documented class in a FastAPI app of the user's own, on any of uvicorn's protocols, without our middleware."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from tests.support.clients import events_of, ids_of, open_ws, ping_pong, rest_of, take
from tests.support.fixtures import LEGACY
from tests.support.server import AppServer, flat, flats, wait_until

from runcast import Bus, EventSubscriptionFilter, WebSocketManager, create_app, create_sessions_router
from runcast.errors import RuncastError
from runcast.kinds.session import SESSION
from runcast.log.memory import MemoryLog


@pytest.fixture(params=["fast", "portable", LEGACY])
def protocol(request: pytest.FixtureRequest) -> str:
    return request.param


def app_of(manager: WebSocketManager) -> FastAPI:
    """What a user would write after the document."""
    app, clients = FastAPI(), count(1)

    @app.websocket("/mine/{session_id}")
    async def watch(websocket: WebSocket, session_id: str, only: str | None = None) -> None:
        client_id = f"client-{next(clients)}"
        wanted = EventSubscriptionFilter(event_types=[only]) if only else None
        if not await manager.connect(websocket, session_id, client_id, filter=wanted):
            return
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect:
            await manager.disconnect(session_id, client_id)

    @app.post("/mine/{session_id}")
    async def publish(session_id: str, event: dict[str, Any]) -> dict[str, int]:
        return {"clients": await manager.broadcast_event(session_id, event)}

    return app


@contextmanager
def serving(manager: WebSocketManager, protocol: str) -> Iterator[AppServer]:
    with AppServer(app_of(manager), protocol=protocol) as server:
        yield server
        server.run(manager.close())


def publish(server: AppServer, session: str, event: dict[str, Any]) -> int:
    return server.http.post(f"/mine/{session}", json=event).json()["clients"]


def test_clients_get_what_is_published_until_they_leave(protocol: str, tmp_path: Path) -> None:
    manager = WebSocketManager(tmp_path / "mine.db")
    with serving(manager, protocol) as server:
        with open_ws(server.ws("/mine/s")) as first, open_ws(server.ws("/mine/s", only="error")) as second:
            wait_until(lambda: manager.get_global_metrics()["total_connected_clients"] == 2)
            assert publish(server, "s", flat(0)) == 1
            assert publish(server, "s", flat(1, event_type="error")) == 2
            assert ids_of(take(first, 2)) == ["e0", "e1"]
            assert ids_of(take(second, 1)) == ["e1"]
            assert manager.get_session_metrics("s")["connected_clients"] == 2
        wait_until(lambda: manager.get_session_metrics("s") == {})
        assert publish(server, "s", flat(2)) == 0


def test_one_too_many_reads_why_and_the_others_go_on(protocol: str) -> None:
    manager = WebSocketManager(max_clients_per_session=1)
    with serving(manager, protocol) as server, open_ws(server.ws("/mine/s")) as first:
        wait_until(lambda: manager.get_global_metrics()["total_connected_clients"] == 1)
        with open_ws(server.ws("/mine/s")) as second:
            frames, code, reason = rest_of(second)
        assert (frames, code, reason) == ([], 1008, "too_many")
        publish(server, "s", flat(0))
        assert ids_of(take(first, 1)) == ["e0"]


def test_much_at_once_arrives_complete_and_in_order(protocol: str) -> None:
    manager = WebSocketManager()
    with serving(manager, protocol) as server, open_ws(server.ws("/mine/s")) as ws:
        wait_until(lambda: manager.get_global_metrics()["total_connected_clients"] == 1)
        for event in flats(range(500), noise="x" * 2_000):
            server.run(manager.broadcast_event("s", event))
        assert [event["seq"] for event in events_of(take(ws, 500))] == list(range(1, 501))


def test_the_feed_s_routes_can_be_put_into_an_app_of_one_s_own(protocol: str) -> None:
    bus = Bus(MemoryLog(), [SESSION])
    app = FastAPI()
    app.include_router(create_sessions_router(bus), prefix="/runs")
    with AppServer(app, protocol=protocol) as server:
        with open_ws(server.ws("/runs/ws/events/s")) as ws:
            posted = server.http.post("/runs/api/sessions/s/events", json=flats(range(3)))
            assert (posted.status_code, posted.json()["count"]) == (200, 3)
            assert ids_of(take(ws, 3)) == ["e0", "e1", "e2"]
            assert ping_pong(ws) == []
        server.run(bus.close())


def test_the_whole_server_can_be_mounted_with_a_bus_of_one_s_own(protocol: str) -> None:
    bus = Bus(MemoryLog(), [SESSION])
    app = FastAPI()
    app.mount("/live", create_app(bus=bus))
    with AppServer(app, protocol=protocol) as server:
        with open_ws(server.ws("/live/ws/events/s")) as ws:
            assert server.http.post("/live/api/sessions/s/events", json=flat(0)).status_code == 200
            assert ids_of(take(ws, 1)) == ["e0"]
        assert server.http.get("/live/health").status_code == 200
        wrong = server.http.post("/live/api/sessions/s/events", json={})
        assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_event")
        server.run(bus.close())


def test_an_error_of_ours_is_a_runcast_error() -> None:
    with pytest.raises(RuncastError):
        EventSubscriptionFilter(event_types="tool_call")
