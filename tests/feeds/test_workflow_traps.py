"""What the original fell into: each trap, shown not to be there, on the whole server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients import RawClient, open_ws, receive, rest_of, take_until
from tests.support.locked import MASTER, LockedServer
from tests.support.server import WAIT_S, ThreadServer, wait_until
from tests.support.text_sockets import BareSocket

from runcast.errors import LogClosed
from runcast.feeds.workflows.manager import ConnectionManager
from runcast.runners.workflows.registry import workflow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ThreadServer]:
    with ThreadServer(tmp_path / "log.db") as server:
        yield server


def start(server: ThreadServer, name: str, task: str = "a task") -> str:
    answer = server.http.post("/api/v1/workflows", json={"task": task, "workflow": name})
    assert answer.status_code == 202, answer.text
    return answer.json()["workflow_id"]


def socket_of(server: ThreadServer, workflow_id: str, **query: Any) -> str:
    return server.ws(f"/api/v1/ws/workflows/{workflow_id}", **query)


def story(server: ThreadServer, workflow_id: str) -> list[dict[str, Any]]:
    with open_ws(socket_of(server, workflow_id)) as ws:
        frames, code, _ = rest_of(ws)
    assert code == 1000
    return frames


# --- "the auth check was written and never awaited" ---------------------------------------------


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[LockedServer]:
    with LockedServer(tmp_path) as server:
        yield server
    server.store.close()


def begun(locked: LockedServer) -> str:
    body = {"task": "What causes the tides?"}
    answer = locked.as_(MASTER, "POST", "/api/v1/workflows", json=body)
    assert answer.status_code == 202, answer.text
    return answer.json()["workflow_id"]


def test_without_a_key_that_counts_nothing_is_told(locked: LockedServer) -> None:
    workflow_id = begun(locked)
    _, other = locked.key(read=("workflow:wf_other",))
    for path in (f"/api/v1/ws/workflows/{workflow_id}", "/api/v1/ws/system/events"):
        with RawClient(locked.ws(path, api_key=other)) as ws:
            (error,) = ws.messages()
            assert (error["type"], error["code"], ws.close_code) == ("error", "forbidden", 1008)
        with RawClient(locked.ws(path, api_key="made-up")) as ws:
            (error,) = ws.messages()
            assert (error["code"], ws.close_code) == ("unauthenticated", 1008)
        with RawClient(locked.ws(path)) as ws:
            ws.send_text("status")
            (error,) = ws.messages()
            assert (error["code"], ws.close_code) == ("unauthenticated", 1008)
    with open_ws(socket_of(locked, workflow_id, api_key=MASTER)) as ws:
        assert rest_of(ws)[0][-1]["type"] == "workflow_complete"


def test_grants_hold_over_rest(locked: LockedServer) -> None:
    workflow_id = begun(locked)
    path = f"/api/v1/workflows/{workflow_id}"
    _, reader = locked.key(read=(f"workflow:{workflow_id}",))
    _, starter = locked.key(write=("workflow:*",))
    _, other = locked.key(read=("workflow:wf_other",), write=("workflow:wf_other",))
    body = {"json": {"task": "What causes the tides?"}}
    assert locked.as_(reader, "GET", path).status_code == 200
    assert locked.as_(other, "GET", path).status_code == 403
    assert locked.as_(reader, "POST", f"{path}/cancel").status_code == 403
    assert locked.as_(other, "POST", "/api/v1/workflows", **body).status_code == 403
    mine = locked.as_(starter, "POST", "/api/v1/workflows", **body)
    assert mine.status_code == 202
    assert locked.as_(reader, "GET", "/api/v1/workflows").json()["total"] == 1
    assert locked.as_(other, "GET", "/api/v1/workflows").json()["workflows"] == []
    assert locked.as_(MASTER, "GET", "/api/v1/workflows").json()["total"] == 2
    follow = {"json": {"task": "And then?", "parent_workflow_id": workflow_id}}
    assert locked.as_(starter, "POST", "/api/v1/workflows", **follow).status_code == 403  # it may not read it
    assert locked.as_(other, "GET", "/api/v1/agents").status_code == 403
    assert locked.as_(reader, "POST", "/api/v1/system/start").status_code == 403


def test_an_answer_takes_a_grant_to_write(locked: LockedServer) -> None:
    workflow("asking")(lambda ctx: "yes" if ctx.approve("May I?") else "no")
    body = {"json": {"task": "ask", "workflow": "asking"}}
    workflow_id = locked.as_(MASTER, "POST", "/api/v1/workflows", **body).json()["workflow_id"]
    approvals = "/api/v1/approvals"
    asked = wait_until(lambda: locked.as_(MASTER, "GET", approvals).json()["approvals"])[0]
    _, reader = locked.key(read=("workflow:*",))
    _, other = locked.key(read=("workflow:wf_other",), write=("workflow:wf_other",))
    _, writer = locked.key(write=(f"workflow:{workflow_id}",))
    path, yes = f"{approvals}/{asked['approval_id']}", {"json": {"approved": True}}
    assert locked.as_(reader, "GET", approvals).json()["total"] == 1
    assert locked.as_(other, "GET", approvals).json()["total"] == 0
    assert locked.as_(reader, "POST", path, **yes).status_code == 403
    assert locked.as_(other, "POST", path, **yes).status_code == 404  # it is not told that there is one
    assert locked.as_(writer, "POST", path, **yes).status_code == 200


# --- "agent events were sent after the run had ended" -------------------------------------------


def test_events_are_sent_while_agents_work(server: ThreadServer) -> None:
    written, go_on = threading.Event(), threading.Event()

    def work(agent: Any) -> str:
        agent.output("half of ")
        written.set()
        assert go_on.wait(WAIT_S)
        return "half of it"

    workflow("halting")(lambda ctx: ctx.agent("writer", work))
    workflow_id = start(server, "halting")
    with open_ws(socket_of(server, workflow_id)) as ws:
        assert written.wait(WAIT_S)
        seen = take_until(ws, lambda frames: frames[-1:] != [] and frames[-1]["type"] == "agent_output")
        assert seen[-1]["content"] == "half of "
        assert server.get(f"/api/v1/workflows/{workflow_id}")["status"] == "running"
        go_on.set()
        while receive(ws)["type"] != "workflow_complete":
            pass


# --- "no terminal event when there was no synthesis" --------------------------------------------


@pytest.mark.parametrize("result", [None, "", "text"])
def test_a_run_without_a_synthesis_completes_all_the_same(server: ThreadServer, result: str | None) -> None:
    workflow("silent")(lambda _: result)
    last = story(server, start(server, "silent"))[-1]
    assert last["type"] == "workflow_complete"
    assert last["synthesis"]["content"] == (result or "")  # read by clients without a look


def test_a_run_in_which_every_agent_fails_ends(server: ThreadServer) -> None:
    def fail(_: Any) -> str:
        raise ValueError("no")

    workflow("hopeless")(lambda ctx: ctx.agent("a", fail))
    last = story(server, start(server, "hopeless"))[-1]
    assert (last["type"], last["status"]) == ("workflow_error", "failed")
    server.errors.forgive()


# --- "errors of sending were logged at debug and lost" ------------------------------------------


async def test_what_cannot_be_stored_is_said_to_the_sender() -> None:
    manager = ConnectionManager()
    socket = BareSocket()
    await manager.connect(socket, "wf_1")
    await manager.close()
    with pytest.raises(LogClosed):
        await manager.send_to_workflow("wf_1", {"type": "note"})


# --- "a new event loop per event" ---------------------------------------------------------------


def test_no_event_loop_is_made_for_events(server: ThreadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    make = asyncio.new_event_loop

    def counted() -> asyncio.AbstractEventLoop:
        made.append(threading.current_thread().name)
        return make()

    monkeypatch.setattr(asyncio, "new_event_loop", counted)

    def work(agent: Any) -> str:
        for number in range(50):
            agent.output(str(number))
        return "all"

    workflow("busy")(lambda ctx: ctx.agent("counter", work))
    frames = story(server, start(server, "busy"))
    assert [frame["content"] for frame in frames if frame["type"] == "agent_output"][-1].endswith("49")
    assert made == []
