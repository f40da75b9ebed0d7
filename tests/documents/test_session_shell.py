"""The commands and the messages of the session document, compared with what the server answers."""

from __future__ import annotations

import json
from typing import Any

from tests.documents.snippets import at, shell, snippet
from tests.support.clients import open_ws, receive, take
from tests.support.server import ThreadServer, flats

SESSION = "session-123"


def run(server: ThreadServer, code: str) -> list[Any]:
    """The JSON that each command prints."""
    commands = [line for line in at(server, code).splitlines() if line.startswith("curl ")]
    return [json.loads(shell(command)) for command in commands]


def test_the_metrics_have_the_documented_shape(server: ThreadServer) -> None:
    documented = json.loads(snippet("Dashboard Metrics", "json"))
    with open_ws(server.session(SESSION)) as ws:
        server.post(SESSION, *flats(range(3)))
        take(ws, 3)
        (numbers,) = run(server, snippet("Dashboard Metrics", "bash"))
    assert list(numbers) == list(documented)
    assert list(numbers["sessions"]) == [SESSION]
    assert list(numbers["sessions"][SESSION]) == list(documented["sessions"][SESSION])


def test_the_server_s_status_can_be_asked_for(server: ThreadServer) -> None:
    (status,) = run(server, snippet("WebSocket Connection Refused", "bash"))
    assert status["status"] == "ok"


def test_missing_messages_can_be_looked_for(server: ThreadServer) -> None:
    server.post(SESSION, *flats(range(3)))
    sessions, events = run(server, snippet("Messages Not Being Received", "python"))
    assert [one["session_id"] for one in sessions["sessions"]] == [SESSION]
    assert [event["event_id"] for event in events["events"]] == ["e0", "e1", "e2"]


def test_the_documented_event_posted_arrives_as_the_documented_batch(server: ThreadServer) -> None:
    documented = json.loads(snippet("Event Batch Message", "json"))
    with open_ws(server.session(SESSION)) as ws:
        server.post(SESSION, documented["events"][0])
        frame = receive(ws)
    assert set(frame) == set(documented)
    assert (frame["type"], frame["count"]) == ("batch", 1)
    (event,) = frame["events"]
    assert {name: event[name] for name in documented["events"][0]} == documented["events"][0]
    assert set(event) - set(documented["events"][0]) == {"seq", "cursor"}


def test_and_as_the_documented_single_message(server: ThreadServer) -> None:
    documented = json.loads(snippet("Single Event Message", "json"))
    with open_ws(server.session(SESSION, format="event")) as ws:
        server.post(SESSION, {name: value for name, value in documented.items() if name != "type"})
        frame = receive(ws)
    assert {name: frame[name] for name in documented} == documented
