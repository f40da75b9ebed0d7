"""Workflows over REST, really run: what is answered, listed, cancelled and refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.clients import open_ws, receive, take_until
from tests.support.server import WAIT_S, wait_until
from tests.support.workflow_server import WorkflowServer

from runcast.kinds.base import Publish
from runcast.runners.workflows.registry import workflow

DOCUMENTED = {
    "workflow_id",
    "status",
    "task",
    "created_at",
    "completed_at",
    "agents_spawned",
    "synthesis",
    "performance_metrics",
    "error",
}


@pytest.fixture(scope="module")
def server() -> Iterator[WorkflowServer]:
    with WorkflowServer() as server:
        yield server


class Gate:
    """A workflow that waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def work(self, agent: Any) -> str:
        self.reached.set()
        while not self.opened.wait(0.01):
            agent.check()
        return "done"


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    workflow("gated")(lambda ctx: ctx.agent("waiter", gate.work))
    yield gate
    gate.opened.set()


def test_a_workflow_is_answered_at_once_and_run(server: WorkflowServer) -> None:
    begun = server.start_workflow("What causes the tides?", max_steps=10)
    assert begun.keys() >= DOCUMENTED
    assert begun["workflow_id"].startswith("wf_")
    assert begun["status"] in {"pending", "running"}
    assert (begun["task"], begun["completed_at"]) == ("What causes the tides?", None)
    frames = server.story(begun["workflow_id"])
    assert frames[-1]["type"] == "workflow_complete"
    done = server.get(f"/api/v1/workflows/{begun['workflow_id']}")
    assert done["status"] == "completed"
    assert done["completed_at"] > done["created_at"]
    assert done["synthesis"].keys() >= {"content", "confidence", "agents_synthesized", "token_count"}
    assert done["synthesis"]["content"] == frames[-1]["synthesis"]["content"]
    assert done["performance_metrics"].keys() >= {"total_duration", "llm_calls", "total_tokens"}
    assert done["agents_spawned"]
    for agent in done["agents_spawned"]:
        assert agent.keys() >= {"agent_id", "agent_type", "spawn_time", "confidence"}
    assert done["error"] is None
    assert done["model"] == "extractive"


def test_agents_are_heard_while_they_work_and_not_after(server: WorkflowServer, gate: Gate) -> None:
    workflow_id = server.start_workflow("wait", workflow="gated")["workflow_id"]
    with open_ws(server.workflow(workflow_id)) as ws:
        seen = take_until(ws, lambda frames: frames[-1:] != [] and frames[-1]["type"] == "agent_spawned")
        assert gate.reached.wait(WAIT_S)
        assert server.get(f"/api/v1/workflows/{workflow_id}")["status"] == "running"  # it has not ended
        assert [frame["type"] for frame in seen][:3] == ["connected", "workflow_created", "workflow_status"]
        gate.opened.set()
        while receive(ws)["type"] != "workflow_complete":
            pass


def test_a_failure_ends_with_an_error_that_shows_nothing_of_ours(server: WorkflowServer) -> None:
    @workflow("failing")
    def fail(_: Any) -> None:
        raise RuntimeError("secret /etc/passwd")

    workflow_id = server.start_workflow("fail", workflow="failing")["workflow_id"]
    last = server.story(workflow_id)[-1]
    assert (last["type"], last["status"]) == ("workflow_error", "failed")
    assert "secret" not in last["error"]
    document = server.get(f"/api/v1/workflows/{workflow_id}")
    assert (document["status"], document["error"], document["synthesis"]) == ("failed", last["error"], None)
    assert "secret" in "".join(server.errors.forgive())  # the log has the whole of it


def test_a_workflow_follows_another_one_up(server: WorkflowServer) -> None:
    first = server.start_workflow("What causes the tides?")["workflow_id"]
    server.story(first)
    second = server.start_workflow("And spring tides?", parent_workflow_id=first)
    assert second["parent_workflow_id"] == first
    assert server.story(second["workflow_id"])[-1]["type"] == "workflow_complete"


# --- cancelling ---------------------------------------------------------------------------------


def test_cancelling_ends_it_with_an_error_of_that_status(server: WorkflowServer, gate: Gate) -> None:
    workflow_id = server.start_workflow("wait", workflow="gated")["workflow_id"]
    assert gate.reached.wait(WAIT_S)
    with open_ws(server.workflow(workflow_id)) as ws:
        answer = server.http.post(f"/api/v1/workflows/{workflow_id}/cancel", json={"reason": "enough"})
        assert answer.status_code == 202, answer.text
        frames = take_until(ws, lambda frames: frames[-1:] != [] and frames[-1]["type"] == "workflow_error")
    assert frames[-1]["status"] == "cancelled"
    document = server.get(f"/api/v1/workflows/{workflow_id}")
    assert document["status"] == "cancelled"
    assert document["completed_at"]
    again = server.http.post(f"/api/v1/workflows/{workflow_id}/cancel")  # without a body, and once more
    assert (again.status_code, again.json()["status"]) == (202, "cancelled")


def test_what_is_over_cannot_be_cancelled(server: WorkflowServer) -> None:
    workflow_id = server.start_workflow("What causes the tides?")["workflow_id"]
    server.story(workflow_id)
    answer = server.http.post(f"/api/v1/workflows/{workflow_id}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


# --- lists --------------------------------------------------------------------------------------


def finished(server: WorkflowServer, workflow_id: str, event: str, **data: Any) -> None:
    stream = f"workflow:{workflow_id}"
    server.run(
        server.bus.publish_all(
            [
                Publish(stream=stream, type="agent_spawned", data={"agent_id": "a"}),
                Publish(stream=stream, type=event, data=data),
            ]
        )
    )


def test_a_list_is_by_page_and_by_status_the_latest_first() -> None:
    with WorkflowServer(runs=False) as server:
        for number in range(7):
            finished(server, f"wf_done{number}", "workflow_complete", synthesis={"content": "x" * 5_000})
        for number in range(3):
            finished(server, f"wf_failed{number}", "workflow_error", error="no")
        waiting = server.start_workflow("wait")["workflow_id"]
        first = server.get("/api/v1/workflows", page_size=4)
        assert (first["total"], first["page"], first["page_size"], first["pages"]) == (11, 1, 4, 3)
        assert [one["workflow_id"] for one in first["workflows"]] == [
            waiting,
            "wf_failed2",
            "wf_failed1",
            "wf_failed0",
        ]
        last = server.get("/api/v1/workflows", page_size=4, page=3)
        assert [one["workflow_id"] for one in last["workflows"]] == ["wf_done2", "wf_done1", "wf_done0"]
        assert server.get("/api/v1/workflows", page=50)["workflows"] == []
        done = server.get("/api/v1/workflows", status_filter="completed", page_size=5, page=2)
        assert (done["total"], len(done["workflows"])) == (7, 2)
        assert all(one["status"] == "completed" for one in done["workflows"])
        assert all(one.keys() >= DOCUMENTED for one in done["workflows"])
        assert len(done["workflows"][0]["synthesis"]["content"]) == 1_000  # the whole is in its own document
        two = server.get("/api/v1/workflows", status_filter="failed,pending")
        assert (two["total"], two["workflows"][0]["status"]) == (4, "pending")
        assert server.get("/api/v1/workflows", status_filter="cancelled")["total"] == 0


def test_a_list_reads_no_long_stream() -> None:
    """A workflow of very many events, looked at by its snapshot."""
    with WorkflowServer(runs=False, snapshot_interval_s=0.01) as server:
        stream = "workflow:wf_long"
        for _ in range(20):
            deltas = [{"agent_id": "a", "content": "x"}] * 500
            server.run(
                server.bus.publish_all(
                    [Publish(stream=stream, type="agent_output", data=data) for data in deltas]
                )
            )
        server.run(server.bus.publish(stream, "workflow_error", {"error": "at last"}))
        wait_until(lambda: server.get("/api/v1/workflows", status_filter="failed")["total"] == 1)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"page": "0"}, "page"),
        ({"page": "x"}, "page"),
        ({"page_size": "101"}, "page_size"),
        ({"page_size": "-1"}, "page_size"),
        ({"status_filter": "done"}, "status_filter"),
    ],
)
def test_a_list_that_cannot_be_is_refused(server: WorkflowServer, query: dict[str, str], field: str) -> None:
    answer = server.http.get("/api/v1/workflows", params=query)
    assert answer.status_code == 400
    assert answer.json()["field"] == field


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field", "word"),
    [
        ({}, "task", "1 to 10,000"),
        ({"task": ""}, "task", "1 to 10,000"),
        ({"task": " \n "}, "task", "1 to 10,000"),
        ({"task": "x" * 10_001}, "task", "10,000"),
        ({"task": 7}, "task", "10,000"),
        ({"task": None}, "task", "10,000"),
        ({"task": "t", "max_steps": 0}, "max_steps", "1 to 50"),
        ({"task": "t", "max_steps": 51}, "max_steps", "1 to 50"),
        ({"task": "t", "max_steps": "10"}, "max_steps", "1 to 50"),
        ({"task": "t", "max_steps": True}, "max_steps", "1 to 50"),
        ({"task": "t", "parent_workflow_id": "wf_nothing"}, "parent_workflow_id", "not known"),
        ({"task": "t", "parent_workflow_id": "../x"}, "parent_workflow_id", "no workflow"),
        ({"task": "t", "parent_workflow_id": 3}, "parent_workflow_id", "text"),
        ({"task": "t", "workflow": "nothing"}, "workflow", "research"),
        ({"task": "t", "steps": 3}, "steps", "max_steps"),
        ([], "body", "object"),
        ("text", "body", "object"),
    ],
)
def test_a_workflow_that_cannot_be_is_refused_in_words(
    server: WorkflowServer, body: Any, field: str, word: str
) -> None:
    answer = server.http.post("/api/v1/workflows", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["field"] == field
    assert word in problem["detail"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe{}", b"[" * 5_000, b'{"task": "t", "x": ' + b"[" * 70]
)
def test_a_body_that_is_none_is_refused(server: WorkflowServer, content: bytes) -> None:
    answer = server.http.post("/api/v1/workflows", content=content)
    assert answer.status_code == 400
    assert answer.json()["field"] == "body"


def test_a_body_that_is_too_large_is_refused(server: WorkflowServer) -> None:
    answer = server.http.post("/api/v1/workflows", json={"task": "x" * 300_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("name", ["wf_unknown", "wf_%00", "a b", "x" * 201])
def test_what_is_not_there_is_not_found(server: WorkflowServer, name: str) -> None:
    assert server.http.get(f"/api/v1/workflows/{name}").status_code in {400, 404}
    assert server.http.post(f"/api/v1/workflows/{name}/cancel").status_code in {400, 404}
