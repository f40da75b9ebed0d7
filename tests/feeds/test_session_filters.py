"""Filters of the session feed over the socket: the same for what was and for what comes."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from tests.support.clients import events_of, ids_of, open_ws, ping_pong, take
from tests.support.server import ThreadServer, flat

from runcast import EventSubscriptionFilter

EVENTS = [
    flat(0, event_type="tool_call", tool_name="Edit", status="completed", cost_tokens=50, feature_id="f1"),
    flat(1, event_type="tool_call", tool_name="Bash", status="error", cost_tokens=100, feature_id="f2"),
    flat(2, event_type="error", tool_name=None, status="error", cost_tokens=5000),
    flat(3, event_type="completion", tool_name="Read", status="timeout", cost_tokens=5001, feature_id="f1"),
    flat(4, event_type="tool_call"),
]

CASES: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [0, 1, 2, 3, 4]),
    ({"event_types": ["tool_call", "error"]}, [0, 1, 2, 4]),
    ({"event_types": []}, []),
    ({"tool_names": ["Bash", "Read"]}, [1, 3]),
    ({"cost_threshold_tokens": 0}, [0, 1, 2, 3, 4]),
    ({"cost_threshold_tokens": 100}, [1, 2, 3]),  # exactly the threshold passes
    ({"cost_threshold_tokens": 5001}, [3]),
    ({"statuses": ["error", "timeout"]}, [1, 2, 3]),
    ({"statuses": ["recorded"]}, [4]),  # the default that was filled in
    ({"feature_ids": ["f1", "f9"]}, [0, 3]),
    ({"event_types": ["error"], "statuses": ["error", "timeout"]}, [2]),
    (
        {
            "event_types": ["tool_call", "error"],
            "cost_threshold_tokens": 100,
            "statuses": ["completed", "error"],
        },
        [1, 2],
    ),
    ({"event_types": None, "tool_names": ["Edit"], "statuses": None}, [0, 4]),
    ({"session_id": "another-session"}, []),
]


def renamed(events: list[dict[str, Any]], prefix: str) -> list[dict[str, Any]]:
    return [{**event, "event_id": prefix + event["event_id"]} for event in events]


@pytest.mark.parametrize(("wish", "passing"), CASES)
def test_replay_and_live_pass_the_same_events(
    server: ThreadServer, session: str, wish: dict[str, Any], passing: list[int]
) -> None:
    server.post(session, *EVENTS)
    with open_ws(server.session(session, filter=wish, after="start")) as ws:
        replayed = take(ws, len(passing)) if passing else []
        server.post(session, *renamed(EVENTS, "live-"))
        live = take(ws, len(passing)) if passing else []
        assert ping_pong(ws) == []
    assert ids_of(replayed) == [f"e{number}" for number in passing]
    assert ids_of(live) == [f"live-e{number}" for number in passing]


@pytest.mark.parametrize(("wish", "passing"), CASES)
def test_python_s_filter_says_the_same(wish: dict[str, Any], passing: list[int]) -> None:
    wanted = EventSubscriptionFilter(**wish)
    documents = [{"status": "recorded", **event, "session_id": "s"} for event in EVENTS]
    assert [number for number, event in enumerate(documents) if wanted.matches_event(event)] == passing


def test_filters_never_leak_between_clients(server: ThreadServer, session: str) -> None:
    wishes = [wish for wish, _ in CASES]
    with ExitStack() as stack:
        clients = [stack.enter_context(open_ws(server.session(session, filter=wish))) for wish in wishes]
        for round_ in range(5):
            server.post(session, *renamed(EVENTS, f"{round_}-"))
        for ws, (_, passing) in zip(clients, CASES, strict=True):
            expected = [f"{round_}-e{number}" for round_ in range(5) for number in passing]
            assert ids_of(take(ws, len(expected)) if expected else []) == expected
            assert ping_pong(ws) == []


def test_a_client_goes_on_after_events_that_it_did_not_want(server: ThreadServer, session: str) -> None:
    server.post(session, *EVENTS)
    wish = {"event_types": ["error"]}
    with open_ws(server.session(session, filter=wish, after="start")) as ws:
        (event,) = events_of(take(ws, 1))
    server.post(session, *renamed(EVENTS, "later-"))
    with open_ws(server.session(session, filter=wish, after=event["cursor"])) as ws:
        assert ids_of(take(ws, 1)) == ["later-e2"]


def test_a_filter_by_session_holds_on_the_socket_of_all_sessions(server: ThreadServer, session: str) -> None:
    with open_ws(server.ws("/ws/events", filter={"session_id": f"{session}-b"})) as ws:
        for name in ("a", "b", "c", "b"):
            server.post(f"{session}-{name}", {"event_type": "note"})
        events = events_of(take(ws, 2))
        assert ping_pong(ws) == []
    assert [event["session_id"] for event in events] == [f"{session}-b"] * 2


def test_history_over_http_takes_the_same_filter(server: ThreadServer, session: str) -> None:
    server.post(session, *EVENTS)
    for wish, passing in CASES:
        answer = server.http.get(server.url(f"/api/sessions/{session}/events", filter=wish))
        page = answer.json()
        assert [event["event_id"] for event in page["events"]] == [f"e{number}" for number in passing]
        assert (page["count"], page["complete"], page["head"]) == (len(passing), True, 5)
