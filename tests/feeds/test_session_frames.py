"""The session feed's frames, as the document shows them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.support.clients import events_of, open_ws, ping_pong, receive, take, take_until
from tests.support.fixtures import MakeServer
from tests.support.server import ThreadServer, flat

from runcast.core.event import Cursor

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(\d{3})?Z")

FIELDS = (
    "event_id",
    "agent_id",
    "event_type",
    "timestamp",
    "tool_name",
    "input_summary",
    "output_summary",
    "session_id",
    "status",
    "model",
    "parent_event_id",
    "execution_duration_seconds",
    "cost_tokens",
    "feature_id",
)

DOCUMENTED: dict[str, Any] = {
    "event_id": "evt-12345",
    "agent_id": "claude-code",
    "event_type": "tool_call",
    "timestamp": "2024-01-16T12:00:00.000Z",
    "tool_name": "Edit",
    "input_summary": "Edit: src/main.py:45-52",
    "output_summary": "File edited successfully",
    "status": "completed",
    "model": "claude-opus",
    "parent_event_id": None,
    "execution_duration_seconds": 0.345,
    "cost_tokens": 125,
    "feature_id": "feat-456",
}


def test_a_batch_is_the_documented_message(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session)) as ws:
        server.post(session, DOCUMENTED)
        frame = receive(ws)
    assert set(frame) == {"type", "count", "timestamp", "events"}
    assert (frame["type"], frame["count"]) == ("batch", 1)
    assert RFC_3339.fullmatch(frame["timestamp"])
    (event,) = frame["events"]
    assert event == {**DOCUMENTED, "session_id": session, "seq": 1, "cursor": event["cursor"]}


def test_an_event_of_which_little_is_known_has_all_fourteen_fields(
    server: ThreadServer, session: str
) -> None:
    with open_ws(server.session(session)) as ws:
        server.post(session, {"event_type": "check_point"})
        (event,) = receive(ws)["events"]
    assert set(event) == {*FIELDS, "seq", "cursor"}
    assert (event["agent_id"], event["status"]) == ("unknown", "recorded")
    assert (event["cost_tokens"], type(event["cost_tokens"])) == (0, int)
    assert (event["execution_duration_seconds"], event["session_id"]) == (0.0, session)
    assert RFC_3339.fullmatch(event["timestamp"])
    assert event["event_id"]
    unknown = ("tool_name", "input_summary", "output_summary", "model", "parent_event_id", "feature_id")
    assert [event[name] for name in unknown] == [None] * 6


def test_it_has_them_whatever_door_it_came_in_by(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session)) as ws:
        path = f"/api/v1/streams/session:{session}/events"
        assert server.http.post(path, json={"type": "note", "data": {"mood": "good"}}).status_code == 200
        (event,) = receive(ws)["events"]
    assert set(event) == {*FIELDS, "seq", "cursor", "mood"}
    assert (event["event_type"], event["mood"]) == ("note", "good")


def test_fields_of_the_publisher_s_own_are_passed_on(server: ThreadServer, session: str) -> None:
    own = {"usage": {"input_tokens": 3}, "tags": ["a", "b"], "ünïcode": "🙂", "nothing": None}
    with open_ws(server.session(session)) as ws:
        server.post(session, flat(0, **own))
        (event,) = receive(ws)["events"]
    assert {name: event[name] for name in own} == own


def test_reserved_names_of_the_publisher_do_not_break_the_frame(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session, format="event")) as ws:
        server.post(session, flat(0, type="mine", seq=99, cursor="x"))
        event = receive(ws)
    assert (event["type"], event["seq"]) == ("event", 1)
    assert event["data"] == {"type": "mine", "seq": 99, "cursor": "x"}


def test_the_event_format_gives_single_frames(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session, format="event", after="start")) as ws:
        server.post(session, DOCUMENTED, flat(1))
        first, second = receive(ws), receive(ws)
    assert first == {
        "type": "event",
        **DOCUMENTED,
        "session_id": session,
        "seq": 1,
        "cursor": first["cursor"],
    }
    assert (second["type"], second["event_id"]) == ("event", "e1")


def test_any_event_type_is_taken(server: ThreadServer, session: str) -> None:
    types = ["tool_call", "delegation", "task_delegation", "check_point", "SubagentStop", "etwas Neues ✨"]
    with open_ws(server.session(session)) as ws:
        server.post(session, *({"event_type": name} for name in types))
        assert [event["event_type"] for event in events_of(take(ws, 6))] == types


def test_nothing_is_sent_on_connect(server: ThreadServer, session: str) -> None:
    server.post(session, flat(0))
    with open_ws(server.session(session)) as ws:
        assert ping_pong(ws) == []


@pytest.mark.parametrize("form", ["batch", "event"])
def test_every_control_frame_can_be_read_like_a_batch(server: ThreadServer, session: str, form: str) -> None:
    receipt = server.post(session, *(flat(number) for number in range(10)))
    server.run(server.bus.trim(f"session:{session}", keep=5))
    start = str(Cursor(receipt["epoch"], 0, 0))
    with open_ws(server.session(session, after=start, format=form)) as ws:
        ws.send("nonsense")
        ws.send('{"type": "ping"}')
        frames = take_until(ws, lambda frames: len(events_of(frames)) == 5 and has_pong(frames))
        server.http.delete(f"/api/v1/streams/session:{session}")
        frames.append(receive(ws))
        server.post(session, flat(10))
        receive(ws)
        server.http.post(f"/api/v1/streams/session:{session}/end")
        frames.append(receive(ws))
    control = [frame for frame in frames if frame["type"] not in {"batch", "event"}]
    assert sorted(frame["type"] for frame in control) == ["end", "error", "gap", "pong", "reset"]
    for frame in control:
        assert (frame["count"], frame["events"]) == (0, [])
        assert RFC_3339.fullmatch(frame["timestamp"])


def has_pong(frames: list[dict[str, Any]]) -> bool:
    return any(frame["type"] == "pong" for frame in frames)


def test_numbers_and_times_are_of_the_documented_kinds(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session)) as ws:
        server.post(
            session,
            flat(0, cost_tokens=12.0, execution_duration_seconds=3, timestamp="2024-01-16T13:00:00+01:00"),
            flat(1, cost_tokens=None, execution_duration_seconds=None, timestamp="2024-01-16 12:00:00"),
        )
        first, second = events_of(take(ws, 2))
    assert (first["cost_tokens"], type(first["cost_tokens"])) == (12, int)
    assert (second["cost_tokens"], second["execution_duration_seconds"]) == (0, 0)
    assert first["timestamp"] == second["timestamp"] == "2024-01-16T12:00:00.000Z"


def test_max_rate_spreads_what_comes_and_keeps_all_of_it(make_server: MakeServer, session: str) -> None:
    server = make_server()
    server.post(session, *(flat(number) for number in range(60)))
    with open_ws(server.session(session, after="start", max_rate=200)) as ws:
        frames = take(ws, 60)
    assert [event["seq"] for event in events_of(frames)] == list(range(1, 61))
    assert max(frame["count"] for frame in frames) <= 20  # a tenth of a second's
