"""Who may watch, list and start tasks, on a server that asks everybody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runners import task_program
from tests.support.clients import RawClient, open_ws, receive, rest_of
from tests.support.process import ServeProcess
from tests.support.swift import check
from tests.support.task_server import TaskServer

from runcast.auth.grants import Grants

MASTER = "the-master-key-of-the-tests"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TaskServer]:
    with TaskServer(tmp_path / "log.db", api_keys=(MASTER,), load=(task_program.__name__,)) as server:
        yield server
    assert server.made.store is not None
    server.made.store.close()


def key(server: TaskServer, read: tuple[str, ...] = (), write: tuple[str, ...] = ()) -> str:
    return server.made.keys.create("test", Grants(read, write))[1]


def ask(server: TaskServer, secret: str, method: str, path: str, **more: Any) -> Any:
    return server.http.request(method, path, headers={"Authorization": f"Bearer {secret}"}, **more)


def refusal(url: str) -> tuple[str, int | None]:
    """The one frame that comes, which documented clients can read, and the close code."""
    with RawClient(url) as ws:
        (error,) = ws.messages()
        assert (check(json.dumps(error)).step, error["error"]) == ("error", True)
        return error["code"], ws.close_code


def test_one_sees_what_one_may_read(server: TaskServer) -> None:
    server.publish("mine", {"step": "completed", "message": "Done"})
    server.publish("other", {"step": "completed", "message": "Done"})
    mine = key(server, read=("task:mine",))
    with open_ws(server.task("mine", api_key=mine)) as ws:
        assert [frame["step"] for frame in rest_of(ws)[0]] == ["connected", "completed"]
    assert refusal(server.task("other", api_key=mine)) == ("forbidden", 1008)
    assert refusal(server.task("mine", api_key="made-up")) == ("unauthenticated", 1008)
    listed = ask(server, mine, "GET", "/api/v1/tasks").json()["tasks"]
    assert [task["task_id"] for task in listed] == ["mine"]
    assert ask(server, mine, "GET", "/api/v1/tasks/other").status_code == 403
    assert server.http.get("/api/v1/tasks/mine").status_code == 401


def test_every_refusal_is_a_frame_that_documented_clients_can_read(server: TaskServer) -> None:
    """Whoever refuses: the gate, which knows the page that asks, or the feed, which knows the task."""
    nobody = key(server)
    assert refusal(server.task("mine", api_key=nobody)) == ("forbidden", 1008)
    assert refusal(server.task("..", api_key=MASTER)) == ("invalid_stream_name", 1008)
    assert refusal(server.task("mine", api_key=MASTER, after="yesterday")) == ("invalid_cursor", 1008)
    assert refusal(server.task("mine", ticket="made-up")) == ("unauthenticated", 1008)
    with open_ws(server.task("mine")) as ws:  # who it is, it never says
        ws.send("hello")
        frames, code, _ = rest_of(ws)
    assert ([check(json.dumps(frame)).step for frame in frames], code) == (["error"], 1008)


def test_a_page_of_another_site_is_refused_in_the_feeds_words(tmp_path: Path) -> None:
    """By the gate of the whole server, before any feed is asked."""
    with ServeProcess(tmp_path / "log.db") as server:
        for path in ("/ws/agent-progress/t", "/ws/agent-progress/../t", "/ws/agent-progress/"):
            with open_ws(f"ws://127.0.0.1:{server.port}{path}", origin="https://evil.example") as ws:
                frames, code, reason = rest_of(ws)
            assert [check(json.dumps(frame)).step for frame in frames] == ["error"]
            assert (frames[0]["error"], code, reason) == (True, 1008, "forbidden")


def test_a_key_that_is_revoked_ends_in_a_frame(server: TaskServer) -> None:
    made, secret = server.made.keys.create("test", Grants(("task:mine",), ()))
    with open_ws(server.task("mine", api_key=secret)) as ws:
        assert receive(ws)["step"] == "connected"
        server.made.keys.revoke(made.id)
        frames, code, _ = rest_of(ws)
    assert ([check(json.dumps(frame)).step for frame in frames], code) == (["error"], 1008)


def test_one_cancels_what_one_may_write(server: TaskServer) -> None:
    begun = ask(server, MASTER, "POST", "/api/v1/tasks", json={"type": "steps", "task_id": "mine-2"})
    assert begun.status_code == 202
    path = "/api/v1/tasks/mine-2/cancel"
    reader, writer = key(server, read=("task:*",)), key(server, read=("task:*",), write=("task:mine-*",))
    assert ask(server, reader, "POST", path, json={}).status_code == 403
    assert ask(server, key(server), "POST", path, json={}).status_code == 403
    assert server.http.post(path, json={}).status_code == 401
    assert ask(server, writer, "POST", path, json={}).status_code in {202, 409}  # it may be through


def test_one_starts_what_one_may_write(server: TaskServer) -> None:
    mine = key(server, read=("task:*",), write=("task:mine-*",))
    assert ask(server, mine, "POST", "/api/v1/tasks", json={"type": "steps"}).status_code == 403
    begun = ask(server, mine, "POST", "/api/v1/tasks", json={"type": "steps", "task_id": "mine-1"})
    assert begun.status_code == 202
    assert begun.json()["by"] != "local"
    with open_ws(server.task("mine-1", api_key=mine)) as ws:
        assert rest_of(ws)[0][-1]["step"] == "completed"


def test_a_first_message_may_say_who_it_is(server: TaskServer) -> None:
    server.publish("mine", {"step": "completed"})
    with open_ws(server.task("mine")) as ws:
        ws.send(f'{{"type": "auth", "token": "{MASTER}"}}')
        assert [frame["step"] for frame in rest_of(ws)[0]] == ["connected", "completed"]


def test_a_renewal_is_a_heartbeat_that_says_so(server: TaskServer) -> None:
    with RawClient(server.task("mine", api_key=MASTER)) as ws:
        messages = ws.messages()
        assert next(messages)["step"] == "connected"
        ws.send_text(f'{{"type": "auth", "token": "{MASTER}"}}')
        renewed = next(messages)
        assert (renewed["heartbeat"], renewed["authenticated"]) == (True, True)
