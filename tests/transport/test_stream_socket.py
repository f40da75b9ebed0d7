"""`WS /api/v1/stream` as PROTOCOL.md tells it, over both transports."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from tests.support.clients import open_ws, receive, rest_of
from tests.support.server import Server
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection


def say(ws: ClientConnection, op: str, **fields: Any) -> None:
    ws.send(json.dumps({"op": op, **fields}))


def ask(ws: ClientConnection, op: str, **fields: Any) -> dict[str, Any]:
    """Say it, and take the reply to it, which repeats the id."""
    say(ws, op, id=op, **fields)
    reply = receive(ws)
    assert reply.pop("id") == op
    return reply


def events_until(ws: ClientConnection, count: int) -> list[dict[str, Any]]:
    """The events of the next pushes, until there are so many."""
    events: list[dict[str, Any]] = []
    while len(events) < count:
        push = receive(ws)
        assert push["type"] == "events"
        assert {event["stream"] for event in push["events"]} == {push["stream"]} or push["stream"].endswith(
            "*"
        )
        assert push["cursor"] == push["events"][-1]["cursor"]
        events += push["events"]
    assert len(events) == count
    return events


def publish(ws: ClientConnection, stream: str, *names: str) -> dict[str, Any]:
    return ask(ws, "publish", stream=stream, events=[{"type": "a", "id": name} for name in names])


def test_what_is_published_is_pushed_to_who_subscribed(server: Server) -> None:
    with open_ws(server.ws("/api/v1/stream")) as ws:
        assert ask(ws, "subscribe", stream="job:1") == {
            "type": "subscribed",
            "stream": "job:1",
            "after": "start",
        }
        with open_ws(server.ws("/api/v1/stream")) as other:
            published = publish(other, "job:1", "x", "y")
        assert (published["type"], published["first_seq"], published["last_seq"]) == ("published", 1, 2)
        assert [event["id"] for event in events_until(ws, 2)] == ["x", "y"]


def test_many_streams_over_one_socket_each_in_order(server: Server) -> None:
    with open_ws(server.ws("/api/v1/stream")) as ws, open_ws(server.ws("/api/v1/stream")) as other:
        for number in range(20):
            assert ask(ws, "subscribe", stream=f"job:m{number}")["type"] == "subscribed"
        for round_number in range(3):
            for number in range(20):
                publish(other, f"job:m{number}", f"{round_number}")
        seen: dict[str, list[str]] = {}
        for event in events_until(ws, 60):
            seen.setdefault(event["stream"], []).append(event["id"])
        assert list(seen.values()) == [["0", "1", "2"]] * 20


def test_a_subscription_goes_on_after_its_cursor(server: Server) -> None:
    with open_ws(server.ws("/api/v1/stream")) as ws:
        publish(ws, "job:r", *"abcde")
        ask(ws, "subscribe", stream="job:r")
        cursor = events_until(ws, 5)[2]["cursor"]
    with open_ws(server.ws("/api/v1/stream")) as ws:
        ask(ws, "subscribe", stream="job:r", after=cursor)
        assert [event["id"] for event in events_until(ws, 2)] == ["d", "e"]


def test_a_firehose_of_a_kind(server: Server) -> None:
    with open_ws(server.ws("/api/v1/stream")) as ws, open_ws(server.ws("/api/v1/stream")) as other:
        assert ask(ws, "subscribe", stream="flow:*")["after"] == "now"
        publish(other, "flow:1", "a")
        publish(other, "ebb:1", "b")
        publish(other, "flow:2", "c")
        assert [event["id"] for event in events_until(ws, 2)] == ["a", "c"]


def test_a_filter_is_the_same_for_replay_and_live(server: Server) -> None:
    with open_ws(server.ws("/api/v1/stream")) as ws, open_ws(server.ws("/api/v1/stream")) as other:
        kinds = [{"type": "a", "id": "1"}, {"type": "b", "id": "2"}]
        ask(other, "publish", stream="job:f", events=kinds)
        ask(ws, "subscribe", stream="job:f", filter={"event_types": ["b"]})
        ask(other, "publish", stream="job:f", events=[{"type": "a", "id": "3"}, {"type": "b", "id": "4"}])
        assert [event["id"] for event in events_until(ws, 2)] == ["2", "4"]


def test_after_unsubscribing_nothing_more_comes(server: Server) -> None:
    with open_ws(server.ws("/api/v1/stream")) as ws, open_ws(server.ws("/api/v1/stream")) as other:
        ask(ws, "subscribe", stream="job:u")
        assert ask(ws, "unsubscribe", stream="job:u") == {"type": "unsubscribed", "stream": "job:u"}
        publish(other, "job:u", "x")
        assert ask(ws, "ping") == {"type": "pong"}
        assert ask(ws, "subscribe", stream="job:u")["type"] == "subscribed"
        assert [event["id"] for event in events_until(ws, 1)] == ["x"]


def test_the_end_of_one_subscription_leaves_the_others(server: Server) -> None:
    with open_ws(server.ws("/api/v1/stream")) as ws:
        publish(ws, "job:e", "x")
        ask(ws, "subscribe", stream="job:e")
        events_until(ws, 1)
        ask(ws, "subscribe", stream="job:e2")
        httpx2.post(server.url("/api/v1/streams/job:e/end")).raise_for_status()
        assert receive(ws) | {"cursor": ""} == {"type": "end", "stream": "job:e", "cursor": ""}
        say(ws, "publish", stream="job:e2", events=[{"type": "a", "id": "y"}])
        got = [receive(ws), receive(ws)]
        assert {one["type"] for one in got} == {"published", "events"}


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        ('{"op": "dance", "id": 7}', "invalid_input", "op"),
        ('{"id": 7}', "invalid_input", "op"),
        ('{"op": "subscribe", "id": 7}', "invalid_input", "message"),
        ('{"op": "subscribe", "stream": "nonsense", "id": 7}', "invalid_stream_name", None),
        ('{"op": "subscribe", "stream": "a:b", "after": "soon", "id": 7}', "invalid_cursor", "after"),
        ('{"op": "subscribe", "stream": "a:b", "filter": {"x": 1}, "id": 7}', "invalid_filter", "filter"),
        ('{"op": "subscribe", "stream": "a:b", "speed": 3, "id": 7}', "invalid_input", "message"),
        ('{"op": "unsubscribe", "stream": "a:b", "id": 7}', "invalid_input", "stream"),
        ('{"op": "publish", "stream": "a:b", "events": [], "id": 7}', "invalid_input", "events"),
        ('{"op": "publish", "stream": "a:b", "events": [{"typ": "x"}], "id": 7}', "invalid_event", None),
        (
            '{"op": "publish", "stream": "a:*", "events": [{"type": "x"}], "id": 7}',
            "invalid_stream_name",
            None,
        ),
    ],
)
def test_what_cannot_be_done_is_told_with_its_id_and_the_connection_goes_on(
    server: Server, message: str, code: str, field: str | None
) -> None:
    with open_ws(server.ws("/api/v1/stream")) as ws:
        ws.send(message)
        error = receive(ws)
        assert (error["type"], error["id"], error["code"]) == ("error", 7, code)
        assert field is None or error["field"] == field
        assert ask(ws, "ping") == {"type": "pong"}


def test_a_message_that_is_no_json_and_one_that_is_binary_are_answered(server: Server) -> None:
    with open_ws(server.ws("/api/v1/stream")) as ws:
        for message in ("{", b"\x00\x01", "[1]", "null"):
            ws.send(message)
            assert receive(ws)["type"] == "error"
        assert ask(ws, "ping") == {"type": "pong"}


def test_a_stream_is_subscribed_to_once_and_only_so_many_of_them(server: Server) -> None:
    with open_ws(server.ws("/api/v1/stream")) as ws:
        ask(ws, "subscribe", stream="job:once")
        again = ask(ws, "subscribe", stream="job:once")
        assert (again["code"], again["field"]) == ("invalid_input", "stream")


def test_ten_thousand_subscriptions_are_refused_by_rate_and_nobody_else_notices(server: Server) -> None:
    with open_ws(server.ws("/api/v1/stream")) as ws, open_ws(server.ws("/api/v1/stream")) as other:
        ask(other, "subscribe", stream="job:calm")
        for number in range(10_000):
            try:
                say(ws, "subscribe", stream=f"job:s{number}")
            except ConnectionClosed:
                break
        told, code, _ = rest_of(ws)
        assert code == 1008
        assert told[-1]["code"] == "too_many"
        say(other, "publish", stream="job:calm", events=[{"type": "a", "id": "x"}])
        assert {receive(other)["type"], receive(other)["type"]} == {"published", "events"}
