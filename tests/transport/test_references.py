"""An event may name a stream whose content comes with it: whoever publishes it must be allowed to read that one."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients import open_ws, receive
from tests.support.locked import MASTER, LockedServer

SECRET_RUN = "wf_of_others"
MINE = "workflow:wf_mine"
FOLLOW_UP = {"type": "workflow_created", "data": {"task": "tell me", "parent_workflow_id": SECRET_RUN}}


@pytest.fixture
def server(tmp_path: Path) -> Generator[LockedServer]:
    with LockedServer(tmp_path) as server:
        yield server


def test_over_http(server: LockedServer) -> None:
    _, key = server.key(write=(MINE,))
    refused = server.as_(key, "POST", f"/api/v1/streams/{MINE}/events", json=FOLLOW_UP)
    assert refused.status_code == 403
    assert f"workflow:{SECRET_RUN}" in refused.json()["detail"]
    _, reader = server.key(read=(f"workflow:{SECRET_RUN}",), write=(MINE,))
    assert server.as_(reader, "POST", f"/api/v1/streams/{MINE}/events", json=FOLLOW_UP).status_code == 200


def test_over_a_websocket(server: LockedServer) -> None:
    _, key = server.key(write=(MINE,))
    with open_ws(server.ws("/api/v1/stream", token=key)) as ws:
        ws.send(json.dumps({"op": "publish", "id": 1, "stream": MINE, "events": [FOLLOW_UP]}))
        assert receive(ws) | {"message": ""} == {
            "type": "error",
            "id": 1,
            "code": "forbidden",
            "message": "",
            "retryable": False,
        }


def test_who_may_read_everything_may_follow_up_everything(server: LockedServer) -> None:
    assert server.as_(MASTER, "POST", f"/api/v1/streams/{MINE}/events", json=FOLLOW_UP).status_code == 200


def test_who_gives_a_command_is_who_publishes_it(server: LockedServer) -> None:
    plan = {"type": "plan_started", "data": {"step_id": None, "data": {"by": "the boss", "query": "?"}}}
    _, key = server.key(read=("plan:*",), write=("plan:*",))
    assert server.as_(key, "POST", "/api/v1/streams/plan:p/events", json=plan).status_code == 200
    (event,) = server.as_(key, "GET", "/api/v1/streams/plan:p/events").json()["events"]
    assert event["data"]["data"]["by"] == server.as_(key, "GET", "/api/v1/auth/me").json()["sub"]


def test_an_id_of_a_command_is_for_commands_only(server: LockedServer) -> None:
    note = {"type": "note", "id": "command:X", "data": {"step_id": None, "data": {}}}
    refused = server.as_(MASTER, "POST", "/api/v1/streams/plan:p/events", json=note)
    assert (refused.status_code, refused.json()["field"]) == (400, "id")


@pytest.mark.parametrize(
    "event",
    [
        {"type": "note", "id": "approval:wf_mine.1"},
        {
            "type": "approval_resolved",
            "id": "approval:wf_mine.1",
            "data": {"approval_id": "wf_mine.2", "approved": True},
        },
    ],
)
def test_nothing_takes_the_place_of_an_answer(server: LockedServer, event: dict[str, Any]) -> None:
    refused = server.as_(MASTER, "POST", f"/api/v1/streams/{MINE}/events", json=event)
    assert (refused.status_code, refused.json()["field"]) == (400, "id")


def test_who_answers_is_who_publishes_the_answer(server: LockedServer) -> None:
    _, key = server.key(read=("workflow:*",), write=("workflow:*",))
    data = {"approval_id": "wf_mine.1", "approved": True, "by": "the boss"}
    answer = {"type": "approval_resolved", "id": "approval:wf_mine.1", "data": data}
    assert server.as_(key, "POST", f"/api/v1/streams/{MINE}/events", json=answer).status_code == 200
    (event,) = server.as_(key, "GET", f"/api/v1/streams/{MINE}/events").json()["events"]
    assert event["data"]["by"] == server.as_(key, "GET", "/api/v1/auth/me").json()["sub"]
