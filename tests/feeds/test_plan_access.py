"""Who may watch which plan, on a server that asks everybody who they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.feeds.plans import FIELDS, act, ids, meanwhile, progress, publish, take
from tests.support.clients import open_ws, receive, rest_of
from tests.support.locked import MASTER, LockedServer
from websockets.sync.client import ClientConnection


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LockedServer]:
    with LockedServer(tmp_path) as server:
        yield server


@contextmanager
def watch(
    server: LockedServer, secret: str, client_id: str = "c1", **query: Any
) -> Iterator[ClientConnection]:
    with open_ws(server.ws(f"/api/v1/streaming/ws/{client_id}", api_key=secret, **query)) as ws:
        assert receive(ws)["event_type"] == "ping"
        yield ws


def tell(server: LockedServer, plan_id: str, number: int) -> None:
    publish(server, plan_id, progress(number), secret=MASTER)


def refusal(frame: dict[str, Any]) -> str:
    assert frame.keys() == FIELDS
    assert frame["event_type"] == "error"
    return frame["data"]["code"]


def test_each_subscription_is_checked_and_the_connection_goes_on(server: LockedServer) -> None:
    _, key = server.key(read=("plan:mine",))
    tell(server, "mine", 1)
    tell(server, "other", 2)
    with watch(server, key, plan_id="mine") as ws:
        assert ids(take(ws, 1)) == ["e1"]
        act(ws, "subscribe", "other", id="x")
        refused = receive(ws)
        assert (refusal(refused), refused["plan_id"], refused["data"]["id"]) == ("forbidden", "other", "x")
        tell(server, "mine", 3)
        assert ids(take(ws, 1)) == ["e3"]


def test_a_plan_in_the_address_that_may_not_be_seen_is_refused(server: LockedServer) -> None:
    _, key = server.key(read=("plan:mine",))
    with open_ws(server.ws("/api/v1/streaming/ws/c1", api_key=key, plan_id="other")) as ws:
        frames, code, reason = rest_of(ws)
    assert ([refusal(frame) for frame in frames], code, reason) == (["forbidden"], 1008, "forbidden")


def test_who_may_see_no_plan_gets_no_connection(server: LockedServer) -> None:
    _, key = server.key(read=("session:*",))
    with open_ws(server.ws("/api/v1/streaming/ws/c1", api_key=key)) as ws:
        frames, code, reason = rest_of(ws)
    assert ([refusal(frame) for frame in frames], code, reason) == (["forbidden"], 1008, "forbidden")


def test_who_one_is_may_be_said_first(server: LockedServer) -> None:
    _, key = server.key(read=("plan:*",))
    url = server.ws("/api/v1/streaming/ws/c1", plan_id="p")
    tell(server, "p", 1)
    with open_ws(url) as ws:
        ws.send(json.dumps({"type": "auth", "token": key}))
        assert [frame["event_type"] for frame in take(ws, 2)] == ["ping", "step_progress"]
    with open_ws(url) as ws:
        ws.send(json.dumps({"action": "auth", "token": "wrong"}))
        frames, code, _ = rest_of(ws)
        assert ([refusal(frame) for frame in frames], code) == (["unauthenticated"], 1008)


def test_commands_take_the_right_to_write(server: LockedServer) -> None:
    _, key = server.key(read=("plan:*",))
    with watch(server, key) as ws:
        act(ws, "pause", "p", id=1)
        refused = receive(ws)
        assert (refusal(refused), refused["data"]["action"]) == ("forbidden", "pause")
        assert meanwhile(ws) == []


def test_nobody_takes_the_place_of_somebody_else(server: LockedServer) -> None:
    _, mine = server.key(read=("plan:*",))
    with watch(server, mine, plan_id="p") as ws, watch(server, MASTER, plan_id="p") as other:
        tell(server, "p", 1)
        assert ids(take(ws, 1)) == ids(take(other, 1)) == ["e1"]


def test_a_revoked_key_ends_its_connection(server: LockedServer) -> None:
    key_id, key = server.key(read=("plan:*",))
    with watch(server, key, plan_id="p") as ws:
        server.elsewhere.keys.revoke(key_id)
        frames, code, _ = rest_of(ws)
    assert ([refusal(frame) for frame in frames], code) == (["unauthenticated"], 1008)


def test_the_routes_show_what_may_be_seen(server: LockedServer) -> None:
    _, key = server.key(read=("plan:mine",))
    tell(server, "mine", 1)
    with watch(server, key, plan_id="mine"):
        answer = server.as_(key, "GET", "/api/v1/streaming/plans/mine/subscribers")
        assert answer.json() == {"plan_id": "mine", "subscriber_count": 1}
        assert server.as_(key, "GET", "/api/v1/streaming/plans/mine/history").json()["event_count"] == 1
        for path in ("clients", "plans/other/subscribers", "plans/other/history"):
            answer = server.as_(key, "GET", f"/api/v1/streaming/{path}")
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
            assert server.as_("", "GET", f"/api/v1/streaming/{path}").status_code == 401
        assert server.as_(MASTER, "GET", "/api/v1/streaming/clients").json()["client_count"] == 1
