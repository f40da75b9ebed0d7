"""`/api/v1/streaming`: who watches, and what a plan has told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from tests.feeds.plans import FIELDS, act, ids, progress, progresses, publish, take, watch
from tests.support.clients import rest_of
from tests.support.fixtures import LEGACY
from tests.support.server import AppServer, ThreadServer, wait_until

from runcast.feeds.plans.manager import StreamingManager
from runcast.feeds.plans.streaming_routes import create_streaming_router


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ThreadServer]:
    with ThreadServer(tmp_path / "log.db") as server:
        yield server


def test_clients_are_listed_with_what_they_watch(server: ThreadServer) -> None:
    assert server.get("/api/v1/streaming/clients") == {"client_count": 0, "clients": [], "connections": []}
    with watch(server, "c1", plan_id="p"), watch(server, "c2"):
        listed = server.get("/api/v1/streaming/clients")
        assert (listed["client_count"], listed["clients"]) == (2, ["c1", "c2"])
        one, other = listed["connections"]
        assert (one["client_id"], one["subscribed_plans"], one["last_ping"]) == ("c1", ["p"], None)
        assert one["connected_at"].endswith("Z")
        assert other["subscribed_plans"] == []
        assert server.get("/api/v1/streaming/plans/p/subscribers") == {
            "plan_id": "p",
            "subscriber_count": 1,
            "clients": ["c1"],
        }
    wait_until(lambda: server.get("/api/v1/streaming/clients")["client_count"] == 0)


def test_history_is_a_page_of_frames(server: ThreadServer) -> None:
    publish(server, "p", *progresses(300))
    page = server.get("/api/v1/streaming/plans/p/history")
    assert (page["plan_id"], page["event_count"], page["count"], page["complete"]) == ("p", 300, 256, False)
    assert page["events"][0].keys() == FIELDS | {"seq", "cursor"}
    rest = server.get("/api/v1/streaming/plans/p/history", after=page["cursor"], limit="100")
    assert (rest["count"], rest["complete"]) == (44, True)
    assert ids(page["events"] + rest["events"]) == [f"e{number}" for number in range(300)]
    newest = server.get("/api/v1/streaming/plans/p/history", before="now", limit="2")
    assert ids(newest["events"]) == ["e298", "e299"]


def test_the_history_of_a_plan_that_is_not_begun_is_empty(server: ThreadServer) -> None:
    page = server.get("/api/v1/streaming/plans/unborn/history")
    assert (page["plan_id"], page["event_count"], page["events"]) == ("unborn", 0, [])
    assert server.get("/api/v1/streaming/plans/unborn/subscribers")["subscriber_count"] == 0


@pytest.mark.parametrize("what", ["history", "subscribers"])
@pytest.mark.parametrize("plan_id", ["..", "a%20b", "x" * 201])
def test_a_plan_that_cannot_be_is_a_problem_of_its_field(
    server: ThreadServer, what: str, plan_id: str
) -> None:
    answer = server.http.get(f"/api/v1/streaming/plans/{plan_id}/{what}")
    if plan_id == "..":  # which the client has resolved
        assert answer.status_code == 404
        return
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_stream_name")
    assert answer.json()["field"] == "plan_id"


@pytest.mark.parametrize("query", ["limit=0", "limit=257", "limit=x", "after=yesterday", "filter=7"])
def test_a_page_that_cannot_be_is_a_problem(server: ThreadServer, query: str) -> None:
    publish(server, "p", progress(1))
    answer = server.http.get(f"/api/v1/streaming/plans/p/history?{query}")
    assert answer.status_code == 400
    assert answer.json()["field"] == query.partition("=")[0]


@pytest.mark.parametrize("protocol", ["fast", "portable", LEGACY])
def test_the_router_in_an_app_of_one_s_own(protocol: str) -> None:
    """Mounted as the document does it, without our middleware and without a lifespan."""
    app, manager = FastAPI(), StreamingManager(ping_interval=30)
    app.include_router(create_streaming_router(manager))
    app.state.streaming_manager = manager
    with AppServer(app, protocol=protocol) as server:
        with watch(server, "c1", plan_id="p") as ws:
            server.run(manager.stream_plan_started("p", {"query": "q"}))
            (frame,) = take(ws, 1)
            assert (frame["event_type"], frame["data"]) == ("plan_started", {"query": "q"})
            assert server.get("/api/v1/streaming/plans/p/history")["event_count"] == 1
            assert manager.get_client_count() == 1
            assert manager.clients["c1"].subscribed_plans == {"p"}
            server.run(manager.subscribe("c1", "q"))
            server.run(manager.stream_metrics_update("q", {"tokens": 1}))
            assert take(ws, 1)[0]["plan_id"] == "q"
            act(ws, "pause", "p")  # nobody here gives commands
            assert take(ws, 1)[0]["data"]["field"] == "action"
            wrong = server.http.get("/api/v1/streaming/plans/a%20b/history")
            assert (wrong.status_code, wrong.json()["field"]) == (400, "plan_id")
            server.run(manager.unregister_client("c1"))
            assert rest_of(ws) == ([], 1000, "unregistered")
        server.run(manager.close())
