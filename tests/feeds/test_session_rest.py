"""The session feed over HTTP: lists, totals, history, publishing, and the documented numbers."""

from __future__ import annotations

import pytest
from tests.support.clients import open_ws, take
from tests.support.fixtures import MakeServer
from tests.support.server import ThreadServer, flat, flats, wait_until


@pytest.fixture(scope="module")
def protocol() -> str:
    return "fast"


def test_sessions_are_listed_by_name_in_pages(make_server: MakeServer) -> None:
    server = make_server()
    for name in ("delta", "alpha", "charlie", "bravo"):
        server.post(name, *flats(range(2)))
    server.http.post("/api/v1/streams/custom:not-a-session/events", json={"type": "note"})
    server.http.post("/api/v1/streams/session:bravo/end")
    with open_ws(server.session("alpha")):
        wait_until(lambda: server.bus.live_statistics().connections == 1)
        first = server.get("/api/sessions", order="name", limit=3)
    rest = server.get("/api/sessions", order="name", after=first["next"])
    names = [one["session_id"] for one in first["sessions"] + rest["sessions"]]
    assert names == ["alpha", "bravo", "charlie", "delta"]
    assert rest["next"] is None
    alpha, bravo, _ = first["sessions"]
    assert set(alpha) == {
        "session_id",
        "events",
        "started_at",
        "last_event_at",
        "ended",
        "connected_clients",
        "cursor",
        "epoch",
        "head",
        "created",
        "updated",
        "live_subscribers",
        "behind",
        "summary",
    }
    assert (alpha["events"], alpha["ended"], alpha["connected_clients"]) == (2, False, 1)
    assert (bravo["ended"], bravo["connected_clients"]) == (True, 0)
    assert alpha["live_subscribers"] == 1


def test_a_session_s_totals_are_a_fold_of_its_events(server: ThreadServer, session: str) -> None:
    server.post(
        session,
        flat(0, tool_name="Bash", cost_tokens=40, model="m1", agent_id="a1", execution_duration_seconds=2.5),
        flat(1, tool_name="Edit", cost_tokens=2, model="m1", agent_id="a2", execution_duration_seconds=0.5),
        flat(2, event_type="error", tool_name="Bash", status="error"),
    )
    first = server.get(f"/api/sessions/{session}")
    totals = first["totals"]
    assert (first["session_id"], first["events"], totals["events"], totals["errors"]) == (session, 3, 3, 1)
    assert totals["tokens"]["cost_tokens"] == 42
    assert totals["tokens_by_tool"]["Bash"]["cost_tokens"] == 40
    assert totals["tokens_by_model"]["m1"]["cost_tokens"] == 42
    assert totals["tokens_by_agent"]["a2"]["cost_tokens"] == 2
    assert [call["tool"] for call in totals["slowest"]] == ["Bash", "Edit"]
    server.post(session, *flats(range(3, 103), cost_tokens=1))
    assert server.get(f"/api/sessions/{session}")["totals"]["tokens"]["cost_tokens"] == 142
    server.post(session, flat(103, cost_tokens=1))  # from the snapshot on
    assert server.get(f"/api/sessions/{session}")["totals"]["tokens"]["cost_tokens"] == 143


def test_totals_begin_anew_when_the_session_is_cleared(server: ThreadServer, session: str) -> None:
    server.post(session, *flats(range(100), cost_tokens=1))
    assert server.get(f"/api/sessions/{session}")["totals"]["events"] == 100
    server.http.delete(f"/api/v1/streams/session:{session}")
    server.post(session, flat(0, cost_tokens=5))
    totals = server.get(f"/api/sessions/{session}")["totals"]
    assert (totals["events"], totals["tokens"]["cost_tokens"]) == (1, 5)


def test_a_session_that_does_not_exist_is_404(server: ThreadServer, session: str) -> None:
    for path in (f"/api/sessions/{session}", f"/api/sessions/{session}/events"):
        answer = server.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "stream_not_found")


def test_history_has_the_same_events_as_the_socket(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session)) as ws:
        server.post(session, *flats(range(5), own="field"))
        live = [event for frame in take(ws, 5) for event in frame["events"]]
    page = server.get(f"/api/sessions/{session}/events")
    assert page["events"] == live
    assert (page["session_id"], page["count"], page["complete"]) == (session, 5, True)
    rest = server.get(f"/api/sessions/{session}/events", after=live[2]["cursor"], limit=1)
    assert ([event["event_id"] for event in rest["events"]], rest["complete"]) == (["e3"], False)


def test_a_gap_and_a_reset_are_told_in_a_page_too(server: ThreadServer, session: str) -> None:
    receipt = server.post(session, *flats(range(10)))
    server.run(server.bus.trim(f"session:{session}", keep=4))
    page = server.get(f"/api/sessions/{session}/events")
    assert (page["gap"], page["reset"]) == ({"first_seq": 1, "last_seq": 6}, None)
    server.http.delete(f"/api/v1/streams/session:{session}")
    server.post(session, flat(10))
    page = server.get(f"/api/sessions/{session}/events", after=receipt["cursor"])
    assert page["reset"].startswith("after:")
    assert [event["event_id"] for event in page["events"]] == ["e10"]


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({}, "event_type"),
        ({"event_type": ""}, "event_type"),
        ({"event_type": 7}, "event_type"),
        ({"event_type": "a", "cost_tokens": "40"}, "cost_tokens"),
        ({"event_type": "a", "cost_tokens": 1.5}, "cost_tokens"),
        ({"event_type": "a", "cost_tokens": -1}, "cost_tokens"),
        ({"event_type": "a", "cost_tokens": True}, "cost_tokens"),
        ({"event_type": "a", "execution_duration_seconds": "fast"}, "execution_duration_seconds"),
        ({"event_type": "a", "tool_name": ["Edit"]}, "tool_name"),
        ({"event_type": "a", "event_id": 7}, "event_id"),
        ({"event_type": "a", "event_id": "a\x00b"}, "event_id"),
        ({"event_type": "a", "timestamp": "soon"}, "timestamp"),
        ({"event_type": "a", "timestamp": 12}, "timestamp"),
        ({"event_type": "a", "session_id": "another"}, "session_id"),
    ],
)
def test_a_field_that_cannot_be_is_named_and_nothing_is_stored(
    server: ThreadServer, session: str, event: dict[str, object], field: str
) -> None:
    answer = server.http.post(f"/api/sessions/{session}/events", json=[{"event_type": "fine"}, event])
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert field in answer.json()["detail"]
    assert server.http.get(f"/api/sessions/{session}").status_code == 404


def test_a_tool_s_long_output_is_cut_with_a_mark_and_the_event_kept(
    server: ThreadServer, session: str
) -> None:
    server.post(session, flat(0, output_summary="x" * 178_000))
    (event,) = server.get(f"/api/sessions/{session}/events")["events"]
    assert event["output_summary"].endswith("… [cut, 178000 characters]")
    assert len(event["output_summary"]) <= 16_384


def test_the_documented_metrics_have_exactly_the_documented_keys(make_server: MakeServer) -> None:
    server = make_server()
    totals = {"active_sessions", "total_connected_clients", "total_events_broadcast", "total_bytes_sent"}
    empty = server.get("/api/websocket-metrics")
    assert empty == {**dict.fromkeys(totals, 0), "sessions": {}}
    with (
        open_ws(server.session("session-123")) as first,
        open_ws(server.session("session-123")) as second,
        open_ws(server.session("quiet")),
    ):
        server.post("session-123", *flats(range(10)))
        take(first, 10)
        take(second, 10)
        wait_until(lambda: server.bus.live_statistics().connections == 3)
        numbers = server.get("/api/websocket-metrics")
    assert set(numbers) == {*totals, "sessions"}
    assert (numbers["active_sessions"], numbers["total_connected_clients"]) == (2, 3)
    assert numbers["total_events_broadcast"] == 20
    assert set(numbers["sessions"]) == {"session-123", "quiet"}
    one = numbers["sessions"]["session-123"]
    assert set(one) == {"connected_clients", "total_events_sent", "total_bytes_sent", "uptime_seconds"}
    assert (one["connected_clients"], one["total_events_sent"]) == (2, 20)
    assert one["total_bytes_sent"] == numbers["total_bytes_sent"] > 0
    assert one["uptime_seconds"] >= 0
    assert numbers["sessions"]["quiet"]["total_events_sent"] == 0
    wait_until(lambda: server.get("/api/websocket-metrics")["active_sessions"] == 0)
    assert server.get("/api/websocket-metrics")["total_events_broadcast"] == 20  # totals stay


def test_who_watches_all_sessions_counts_as_a_client_of_none(make_server: MakeServer) -> None:
    server = make_server()
    with open_ws(server.ws("/ws/events")) as ws:
        server.post("a", flat(0))
        take(ws, 1)
        numbers = server.get("/api/websocket-metrics")
    assert (numbers["active_sessions"], numbers["total_connected_clients"], numbers["sessions"]) == (0, 1, {})
