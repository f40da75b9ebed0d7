"""The system feed: its socket, its status, registered agents, and approvals; all of it from real things."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients import Frames, open_ws, receive, rest_of, take_until
from tests.support.server import WAIT_S, wait_until
from tests.support.workflow_server import WorkflowServer

from runcast.kinds.base import Publish
from runcast.runners.workflows.registry import workflow

SYSTEM = "/api/v1/ws/system/events"
AGENT = {"agent_id": "scout-1", "agent_type": "research", "capabilities": ["search"], "metadata": {"v": 2}}


@pytest.fixture
def server() -> Iterator[WorkflowServer]:
    with WorkflowServer() as server:
        yield server


def first_of(frames: Frames, event_type: str) -> dict[str, Any]:
    return next(frame for frame in frames if frame["type"] == event_type)


def until_type(ws: Any, event_type: str) -> dict[str, Any]:
    return take_until(ws, lambda frames: frames[-1:] != [] and frames[-1]["type"] == event_type)[-1]


# --- agents -------------------------------------------------------------------------------------


def test_agents_come_and_go_and_watchers_hear_of_it(server: WorkflowServer) -> None:
    with open_ws(server.ws(SYSTEM)) as ws:
        assert receive(ws)["type"] == "connected"
        made = server.http.post("/api/v1/agents", json=AGENT)
        assert made.status_code == 201, made.text
        agent = made.json()
        assert {name: agent[name] for name in AGENT} == AGENT
        registered = receive(ws)
        assert (registered["type"], registered["agent_id"]) == ("agent_registered", "scout-1")
        assert registered.keys() >= {"agent_type", "timestamp", "seq", "cursor", "event_id"}
        assert server.get("/api/v1/agents") == {"agents": [agent], "total": 1}
        assert server.get("/api/v1/system/status")["registered_agents"] == 1
        gone = server.http.delete("/api/v1/agents/scout-1")
        assert (gone.status_code, gone.json()["status"]) == (200, "deregistered")
        left = receive(ws)
        assert (left["type"], left["agent_id"]) == ("agent_deregistered", "scout-1")
        assert server.get("/api/v1/agents")["agents"] == []
        assert server.http.delete("/api/v1/agents/scout-1").json()["code"] == "agent_not_found"


def test_registering_again_replaces(server: WorkflowServer) -> None:
    for kind in ("research", "critic"):
        assert server.http.post("/api/v1/agents", json={**AGENT, "agent_type": kind}).status_code == 201
    (agent,) = server.get("/api/v1/agents")["agents"]
    assert agent["agent_type"] == "critic"


def test_agents_are_there_after_a_restart(tmp_path: Path) -> None:
    with WorkflowServer(tmp_path / "log.db") as server:
        server.http.post("/api/v1/agents", json=AGENT)
    with WorkflowServer(tmp_path / "log.db") as server:
        assert [one["agent_id"] for one in server.get("/api/v1/agents")["agents"]] == ["scout-1"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"agent_type": "x"}, "agent_id"),
        ({"agent_id": "a/b", "agent_type": "x"}, "agent_id"),
        ({"agent_id": "..", "agent_type": "x"}, "agent_id"),
        ({"agent_id": "a"}, "agent_type"),
        ({"agent_id": "a", "agent_type": "x", "capabilities": "search"}, "capabilities"),
        ({"agent_id": "a", "agent_type": "x", "capabilities": ["s"] * 101}, "capabilities"),
        ({"agent_id": "a", "agent_type": "x", "metadata": []}, "metadata"),
        ({"agent_id": "a", "agent_type": "x", "colour": "red"}, "colour"),
    ],
)
def test_an_agent_that_cannot_be_is_refused(server: WorkflowServer, body: dict[str, Any], field: str) -> None:
    answer = server.http.post("/api/v1/agents", json=body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert server.get("/api/v1/agents")["agents"] == []


# --- status -------------------------------------------------------------------------------------


def test_the_status_is_of_real_things(server: WorkflowServer) -> None:
    at_work, go_on = threading.Event(), threading.Event()

    def wait(_: Any) -> str:
        at_work.set()
        go_on.wait(WAIT_S)
        return "done"

    workflow("waiting")(lambda ctx: ctx.agent("waiter", wait))
    status = server.get("/api/v1/system/status")
    assert status["status"] == "ready"
    assert status["active_workflows"] == status["active_agents"] == 0
    assert status["llm_provider"] == "extractive"
    assert status["knowledge_brain_enabled"] is True
    assert status["knowledge_documents"] == 1
    assert status["uptime_seconds"] > 0
    workflow_id = server.start_workflow("wait", workflow="waiting")["workflow_id"]
    assert at_work.wait(WAIT_S)
    wait_until(lambda: server.get("/api/v1/system/status")["active_agents"] == 1)
    assert server.get("/api/v1/system/status")["active_workflows"] == 1
    go_on.set()
    server.story(workflow_id)
    wait_until(lambda: server.get("/api/v1/system/status")["active_workflows"] == 0)


def test_starting_is_told_once(server: WorkflowServer) -> None:
    with open_ws(server.ws(SYSTEM)) as ws:
        assert receive(ws)["type"] == "connected"
        for _ in range(2):
            answer = server.http.post("/api/v1/system/start")
            assert (answer.status_code, answer.json()["status"]) == (200, "running")
        changed = receive(ws)
        assert (changed["type"], changed["status"]) == ("system_status_change", "running")
        assert changed["previous"] == "ready"
        server.http.post("/api/v1/agents", json=AGENT)
        assert receive(ws)["type"] == "agent_registered"  # nothing came between


def test_a_workflow_starts_the_system(server: WorkflowServer) -> None:
    with open_ws(server.ws(SYSTEM)) as ws:
        server.start_workflow("What causes the tides?")
        assert until_type(ws, "system_status_change")["status"] == "running"
    assert server.get("/api/v1/system/status")["status"] == "running"


def test_a_server_that_ends_says_so(tmp_path: Path) -> None:
    with WorkflowServer(tmp_path / "log.db") as server:
        server.http.post("/api/v1/system/start")
        server.stop()
    with WorkflowServer(tmp_path / "log.db") as server:
        events = server.http.get("/api/v1/streams/system:events/events").json()["events"]
        assert [event["data"]["status"] for event in events] == ["running", "stopped"]
        assert server.get("/api/v1/system/status")["status"] == "ready"


# --- approvals ----------------------------------------------------------------------------------


def asking(server: WorkflowServer) -> str:
    """A workflow that asks, and has asked."""
    workflow("asking")(
        lambda ctx: (
            ctx.agent("actor", lambda _: "did it") if ctx.approve("May I?", {"cost": 3}) else "did not"
        )
    )
    workflow_id = server.start_workflow("ask", workflow="asking")["workflow_id"]
    wait_until(lambda: server.get("/api/v1/approvals")["total"] > 0)
    return workflow_id


def test_an_approval_is_asked_answered_and_told_everywhere(server: WorkflowServer) -> None:
    with open_ws(server.ws(SYSTEM)) as ws:
        workflow_id = asking(server)
        (asked,) = server.get("/api/v1/approvals")["approvals"]
        assert (asked["workflow_id"], asked["question"]) == (workflow_id, "May I?")
        assert asked["details"] == {"cost": 3}
        requested = until_type(ws, "approval_requested")
        assert (requested["approval_id"], requested["workflow_id"]) == (asked["approval_id"], workflow_id)
        assert "May I?" not in str(requested)  # that is for who may read the workflow
        path = f"/api/v1/approvals/{asked['approval_id']}"
        answer = server.http.post(path, json={"approved": True, "comment": "go on"})
        assert answer.status_code == 200, answer.text
        assert (answer.json()["approved"], answer.json()["comment"]) == (True, "go on")
        resolved = until_type(ws, "approval_resolved")
        assert (resolved["approved"], "go on" in str(resolved)) == (True, False)
    frames = server.story(workflow_id)
    assert {"approval_requested", "approval_resolved"} <= {frame["type"] for frame in frames}
    assert frames[-1]["type"] == "workflow_complete"
    assert server.get("/api/v1/approvals") == {"approvals": [], "total": 0}
    again = server.http.post(path, json={"approved": False})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


def test_a_refusal_reaches_the_workflow(server: WorkflowServer) -> None:
    workflow_id = asking(server)
    (asked,) = server.get("/api/v1/approvals")["approvals"]
    server.http.post(f"/api/v1/approvals/{asked['approval_id']}", json={"approved": False})
    frames = server.story(workflow_id)
    assert not any(frame["type"] == "agent_spawned" for frame in frames)


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "approved"), ({"approved": "yes"}, "approved"), ({"approved": True, "comment": 1}, "comment")],
)
def test_an_answer_that_cannot_be_is_refused(
    server: WorkflowServer, body: dict[str, Any], field: str
) -> None:
    asking(server)
    (asked,) = server.get("/api/v1/approvals")["approvals"]
    path = f"/api/v1/approvals/{asked['approval_id']}"
    answer = server.http.post(path, json=body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert server.http.post(path, json={"approved": True}).status_code == 200


@pytest.mark.parametrize("name", ["nothing", "wf_x.1", "%00", "..", "a.b.c"])
def test_what_nobody_asks_is_not_found(server: WorkflowServer, name: str) -> None:
    answer = server.http.post(f"/api/v1/approvals/{name}", json={"approved": True})
    assert answer.status_code in {404, 405}


def test_what_others_workflows_ask_is_answered_too(server: WorkflowServer) -> None:
    asked = {"approval_id": "deploy", "question": "Deploy?"}
    server.run(server.bus.publish("workflow:theirs", "approval_requested", asked))
    assert server.get("/api/v1/approvals")["approvals"][0]["workflow_id"] == "theirs"
    answer = server.http.post("/api/v1/approvals/deploy", json={"approved": True})
    assert answer.status_code == 200, answer.text
    with open_ws(server.workflow("theirs")) as ws:
        assert until_type(ws, "approval_resolved")["approved"] is True


def test_of_a_workflow_that_is_over_nothing_is_asked(server: WorkflowServer) -> None:
    stream = "workflow:theirs"
    asked = {"approval_id": "theirs.1", "question": "Deploy?"}
    server.run(
        server.bus.publish_all(
            [
                Publish(stream=stream, type="approval_requested", data=asked),
                Publish(stream=stream, type="workflow_error", data={"error": "no"}),
            ]
        )
    )
    assert server.get("/api/v1/approvals")["approvals"] == []
    answer = server.http.post("/api/v1/approvals/theirs.1", json={"approved": True})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_what_was_asked_while_nobody_told_is_told_once(tmp_path: Path) -> None:
    log = tmp_path / "log.db"
    with WorkflowServer(log) as server:
        asked = {"approval_id": "deploy", "question": "Deploy?"}
        server.run(server.bus.publish("workflow:theirs", "approval_requested", asked))
        path = "/api/v1/streams/system:events/events"
        wait_until(lambda: server.http.get(path).json().get("events"))
    with WorkflowServer(log) as one, WorkflowServer(log) as another:
        one.http.post("/api/v1/approvals/deploy", json={"approved": True})
        wait_until(lambda: len(another.get(path)["events"]) >= 2)
        another.http.post("/api/v1/agents", json=AGENT)
        told = [event["type"] for event in another.get(path)["events"]]
    assert told == ["approval_requested", "approval_resolved", "agent_registered"]


# --- the socket ---------------------------------------------------------------------------------


def test_plain_words_are_answered(server: WorkflowServer) -> None:
    server.run(server.bus.publish("workflow:w1", "agent_spawned", {"agent_id": "a"}))
    with open_ws(server.ws(SYSTEM)) as ws, open_ws(server.workflow("w1")) as other:
        assert receive(ws)["type"] == receive(other)["type"] == "connected"
        for word, answer in (("ping", "pong"), ('{"type": "ping"}', "pong"), ("stats", "stats")):
            ws.send(word)
            told = receive(ws)
            assert told["type"] == answer
        assert told["stats"]["total_connections"] == 2
        assert told["stats"]["system_connections"] == 1
        assert told["stats"]["workflow_connections"] == {"w1": 1}
        ws.send("pong")
        ws.send("status")
        assert receive(ws)["field"] == "message"


def test_a_watcher_goes_on_where_it_left_off(server: WorkflowServer) -> None:
    server.http.post("/api/v1/agents", json=AGENT)
    with open_ws(server.ws(SYSTEM, after="start")) as ws:
        seen = [receive(ws), receive(ws)]
    server.http.delete("/api/v1/agents/scout-1")
    with open_ws(server.ws(SYSTEM, after=seen[-1]["cursor"])) as ws:
        assert [receive(ws)["type"] for _ in range(2)] == ["connected", "agent_deregistered"]
    with open_ws(server.ws(SYSTEM, after="never")) as ws:
        (error,), code, _ = rest_of(ws)
    assert (error["field"], code) == ("after", 1008)


def test_a_server_without_websockets_serves_everything_by_rest(tmp_path: Path) -> None:
    """uvicorn's own `ws="none"`: no handshake is ever answered, and nothing else is missing."""
    with WorkflowServer(tmp_path / "log.db", protocol="none") as server:
        assert server.http.post("/api/v1/system/start").json()["status"] == "running"
        workflow_id = server.start_workflow("What causes the tides?")["workflow_id"]
        done = wait_until(
            lambda: (
                (found := server.get(f"/api/v1/workflows/{workflow_id}"))["status"] == "completed" and found
            )
        )
        assert done["synthesis"]["content"]
        assert server.get("/api/v1/workflows")["total"] == 1
        events = server.get(f"/api/v1/streams/workflow:{workflow_id}/events")["events"]
        assert events[-1]["type"] == "workflow_complete"
        handshake = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        path = f"/api/v1/ws/workflows/{workflow_id}"
        assert server.http.get(path, headers={**handshake, **key}).status_code == 404


def test_numbers_of_any_length_break_nothing(server: WorkflowServer) -> None:
    for number in range(70):  # so many that the state is stored
        agent = {"agent_id": f"a{number}", "agent_type": "x", "metadata": {"n": 10**30}}
        assert server.http.post("/api/v1/agents", json=agent).status_code == 201
    assert len(server.get("/api/v1/agents")["agents"]) == 70
    assert server.get("/api/v1/system/status")["registered_agents"] == 70


def test_metadata_is_bounded(server: WorkflowServer) -> None:
    agent = {"agent_id": "a", "agent_type": "x", "metadata": {"text": "x" * 9_000}}
    refused = server.http.post("/api/v1/agents", json=agent)
    assert refused.status_code == 413
    assert refused.json()["field"] == "metadata"
