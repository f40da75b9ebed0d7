"""The list of sessions and what is said of one: summary, totals, timeline and bottlenecks, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.clients import open_ws
from tests.support.fixtures import MakeServer
from tests.support.server import ThreadServer, flat, flats, wait_until

from runcast.kinds.session_summary import SUMMARY


@pytest.fixture(scope="module")
def protocol() -> str:
    return "fast"


def names(page: dict[str, Any]) -> list[str]:
    return [one["session_id"] for one in page["sessions"]]


def test_the_latest_sessions_come_first(make_server: MakeServer) -> None:
    server = make_server()
    for name in ("alpha", "bravo", "charlie", "delta", "alpha"):
        server.post(name, {"event_type": "note"})
    server.http.post("/api/v1/streams/custom:not-a-session/events", json={"type": "note"})
    assert names(server.get("/api/sessions")) == ["alpha", "delta", "charlie", "bravo"]
    first = server.get("/api/sessions", limit=2)
    rest = server.get("/api/sessions", limit=2, after=first["next"])
    assert names(first) + names(rest) == ["alpha", "delta", "charlie", "bravo"]
    assert server.get("/api/sessions", limit=2, after=rest["next"]) == {"sessions": [], "next": None}
    assert names(server.get("/api/sessions", order="name")) == ["alpha", "bravo", "charlie", "delta"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"order": "size"}, "order"),
        ({"after": "x"}, "after"),
        ({"after": "9" * 30}, "after"),
        ({"limit": "1001"}, "limit"),
    ],
)
def test_what_cannot_be_is_named(server: ThreadServer, query: dict[str, str], field: str) -> None:
    answer = server.http.get("/api/sessions", params=query)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_a_session_in_a_few_words(make_server: MakeServer) -> None:
    server = make_server()
    server.post(
        "s",
        {"event_type": "user_prompt", "agent_id": "main", "input_summary": "Mend it\nnow", "cwd": "/tmp/x"},
        flat(1, agent_id="main", model="opus", status="started", cost_tokens=12, usage={"input_tokens": 3}),
        flat(2, agent_id="main", status="started", cost_usd=0.5),
        flat(3, event_type="error", parent_event_id="e2", status="error"),
    )
    with open_ws(server.session("s")):
        wait_until(lambda: server.bus.live_statistics().connections == 1)
        (one,) = server.get("/api/sessions")["sessions"]
    assert (one["head"], one["behind"], one["live_subscribers"], one["ended"]) == (4, 0, 1, False)
    summary = one["summary"]
    assert (summary["title"], summary["agent"], summary["model"], summary["cwd"]) == (
        "Mend it",
        "main",
        "opus",
        "/tmp/x",
    )
    assert (summary["events"], summary["errors"], summary["tool_calls"], summary["running"]) == (4, 1, 2, 1)
    assert (summary["tokens"]["cost_tokens"], summary["tokens"]["input_tokens"]) == (12, 3)
    assert summary["cost_usd"] == 0.5
    detail = server.get("/api/sessions/s")
    assert detail["summary"] == summary
    assert detail["totals"]["running"] == 1
    assert (sum(detail["timeline"]["events"]), sum(detail["timeline"]["tokens"])) == (4, 12)
    assert sum(detail["timeline"]["errors"]) == 1
    server.http.post("/api/v1/streams/session:s/end")
    (ended,) = server.get("/api/sessions")["sessions"]
    assert (ended["ended"], ended["summary"]["running"]) == (True, 0)


def test_summaries_are_kept_in_the_background(make_server: MakeServer) -> None:
    server = make_server(snapshot_interval_s=0.05)
    server.post("s", *flats(range(300)))

    def kept() -> int:
        found = server.bus.log.load_snapshot("session:s", SUMMARY.name, SUMMARY.version)
        return found.seq if found else 0

    wait_until(lambda: kept() == 300)
    server.post("s", flat(300))
    wait_until(lambda: kept() == 301)


def test_a_list_does_not_read_a_long_session(make_server: MakeServer) -> None:
    server = make_server(snapshot_interval_s=1e9)  # nobody keeps snapshots
    for first in range(0, 2_000, 1_000):
        server.post("long", *flats(range(first, first + 1_000)))
    (one,) = server.get("/api/sessions")["sessions"]
    assert one["summary"]["events"] + one["behind"] == 2_000
    assert server.get("/api/sessions/long")["summary"]["events"] == 2_000
    assert server.get("/api/sessions")["sessions"][0]["behind"] == 0


def test_what_slows_a_session_down(server: ThreadServer, session: str) -> None:
    server.post(
        session,
        *[flat(n, tool_name="Bash", execution_duration_seconds=2.0) for n in range(9)],
        flat(9, tool_name="Read", execution_duration_seconds=2.0),
        flat(10, tool_name="Bash", status="started", timestamp="2026-01-01T00:00:00Z", agent_id="main"),
    )
    told = server.get(f"/api/sessions/{session}/bottlenecks")
    assert told["session_id"] == session
    bash, read = told["tools"]
    assert (bash["tool_name"], bash["calls"], bash["timed"], bash["seconds"]) == ("Bash", 10, 9, 18.0)
    assert (bash["share"], read["share"]) == (0.9, 0.1)
    assert len(told["slowest"]) == 10
    (running,) = told["running"]
    assert (running["event_id"], running["tool_name"], running["agent_id"]) == ("e10", "Bash", "main")
    assert (running["late"], running["likely_late"]) == (True, 1.0)
    assert running["elapsed_seconds"] > 1_000
    missing = server.http.get(f"/api/sessions/{session}-none/bottlenecks")
    assert (missing.status_code, missing.json()["code"]) == (404, "stream_not_found")
