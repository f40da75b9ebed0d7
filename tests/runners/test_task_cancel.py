"""Cancelling tasks, wherever they are: in a queue, at work, deaf to it, between two attempts, over."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.runners import task_program
from tests.support.clients import open_ws, rest_of, take_until
from tests.support.redis_server import RedisServer
from tests.support.server import wait_until
from tests.support.swift import check
from tests.support.task_server import TaskServer

from runcast.runners.tasks import supervision
from runcast.runners.tasks.work_lease import has_died

PROGRAM = task_program.__name__


@pytest.fixture(scope="module", params=["sqlite", pytest.param("redis", marks=pytest.mark.soak)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TaskServer]:
    with ExitStack() as stack:
        if request.param == "redis":
            log = stack.enter_context(RedisServer()).url
        else:
            log = str(tmp_path_factory.mktemp("log") / "log.db")
        yield stack.enter_context(TaskServer(log, load=(PROGRAM,), runner_lease_s=1.0, task_processes=1))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second to end by itself."""
    monkeypatch.setattr(supervision, "CANCEL_GRACE_S", 0.5)


def cancel(server: TaskServer, task_id: str, status: int = 202, **body: Any) -> dict[str, Any]:
    answer = server.http.post(f"/api/v1/tasks/{task_id}/cancel", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def until_step(ws: Any, step: str) -> list[dict[str, Any]]:
    return take_until(ws, lambda frames: bool(frames) and frames[-1].get("step") == step)


def cancel_at(server: TaskServer, step: str, name: str, folder: Path) -> tuple[list[dict[str, Any]], float]:
    """Cancel a task as soon as it tells `step`; all its frames, and the seconds from there to the end."""
    task_id = server.begin(name, folder=str(folder))["task_id"]
    with open_ws(server.task(task_id)) as ws:
        frames = until_step(ws, step)
        began_s = time.monotonic()
        assert cancel(server, task_id, reason="wrong text")["cancel_requested"]
        rest, code, _ = rest_of(ws)
    assert code == 1000
    return frames + rest, time.monotonic() - began_s


def is_cancelled(server: TaskServer, frames: list[dict[str, Any]], percent: int) -> None:
    """It ends as documented clients expect it, and says why for all others."""
    for frame in frames:
        check(json.dumps(frame))
    last = frames[-1]
    assert (last["step"], last["error"], last["percent"]) == ("failed", True, percent)
    assert (last["status"], last["message"]) == ("cancelled", "Cancelled by local: wrong text")
    document = server.get(f"/api/v1/tasks/{last['task_id']}")
    assert (document["status"], document["cancelled_by"], document["percent"]) == (
        "cancelled",
        "local",
        percent,
    )
    assert [one["step"] for one in server.story(last["task_id"])][-1] == "failed"


def test_one_at_work_ends_at_its_next_call(server: TaskServer, tmp_path: Path) -> None:
    frames, took_s = cancel_at(server, "working", "tidy", tmp_path)
    is_cancelled(server, frames, 50)
    assert [frame["step"] for frame in frames[-2:]] == ["task_command", "failed"]
    assert frames[-2]["percent"] == 50
    wait_until((tmp_path / "tidied").exists)
    assert not (tmp_path / "swallowed").exists()
    print(f"cancelled within {took_s:.2f} s")
    again = server.story(server.begin("steps", count=1)["task_id"])  # its process is used again
    pid = next(frame["pid"] for frame in frames if "pid" in frame)
    assert next(frame["worker"] for frame in again if "worker" in frame).split(":")[-2] == str(pid)


@pytest.mark.usefixtures("impatient")
def test_one_that_never_asks_is_ended_from_outside(server: TaskServer, tmp_path: Path) -> None:
    frames, took_s = cancel_at(server, "working", "stubborn", tmp_path)
    is_cancelled(server, frames, 50)
    assert frames[-1]["attempt"] == 1
    print(f"ended from outside after {took_s:.2f} s")
    (tmp_path / "go").touch()
    assert server.story(server.begin("steps", count=1)["task_id"])[-1]["step"] == "completed"
    assert not (tmp_path / "woke").exists()


@pytest.mark.usefixtures("impatient")
def test_one_that_an_earlier_server_has_begun_is_ended_too(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"load": (PROGRAM,), "runner_lease_s": 1.0}
    with TaskServer(tmp_path / "log.db", **settings) as server:
        task_id = server.begin("stubborn", folder=str(tmp_path))["task_id"]
        with open_ws(server.task(task_id)) as ws:
            until_step(ws, "working")
    with TaskServer(tmp_path / "log.db", **settings) as server:
        worker = server.get(f"/api/v1/tasks/{task_id}")["worker"]
        assert not has_died(worker)
        cancel(server, task_id)
        assert server.story(task_id)[-1]["status"] == "cancelled"
        wait_until(lambda: has_died(worker))


@pytest.mark.usefixtures("impatient")
def test_a_thread_that_never_asks_tells_nothing_more(tmp_path: Path) -> None:
    with TaskServer("memory:", load=(PROGRAM,), runner_lease_s=1.0) as server:
        frames, _ = cancel_at(server, "working", "stubborn", tmp_path)
        is_cancelled(server, frames, 50)
        (tmp_path / "go").touch()
        wait_until((tmp_path / "stopped").exists)
        assert server.story(frames[-1]["task_id"])[1:] == frames[1:]


def test_one_that_waits_for_a_place_ends_at_once(server: TaskServer, tmp_path: Path) -> None:
    """There is one place, and it is taken."""
    first = server.begin("waits", folder=str(tmp_path))["task_id"]
    with open_ws(server.task(first)) as ws:
        until_step(ws, "waiting")
        frames, _ = cancel_at(server, "queued", "steps", tmp_path)
        is_cancelled(server, frames, 0)
        assert "started" not in [frame["step"] for frame in frames]
        cancel(server, first)
        assert rest_of(ws)[0][-1]["message"] == "Cancelled by local."


def test_one_that_is_to_be_tried_again_is_not(server: TaskServer, tmp_path: Path) -> None:
    frames, _ = cancel_at(server, "retrying", "hopeless", tmp_path)
    is_cancelled(server, frames, 0)
    assert [frame["step"] for frame in frames].count("started") == 1


def test_what_is_over_cannot_be_cancelled_but_again(server: TaskServer) -> None:
    task_id = server.begin("steps", count=1)["task_id"]
    server.story(task_id)
    assert "completed already" in cancel(server, task_id, 409)["detail"]
    assert cancel(server, "nobody", 404)["code"] == "stream_not_found"
    assert cancel(server, task_id, 400, why="so")["field"] == "why"


@pytest.mark.usefixtures("impatient")
def test_said_twice_it_is_one_command(server: TaskServer, tmp_path: Path) -> None:
    task_id = server.begin("stubborn", folder=str(tmp_path))["task_id"]
    for _ in range(2):
        cancel(server, task_id)
    assert [frame["step"] for frame in server.story(task_id)].count("task_command") == 1
    assert cancel(server, task_id)["status"] == "cancelled"


def test_a_task_of_another_program_is_its_own_to_end(server: TaskServer) -> None:
    server.publish("foreign", {"step": "scam_db", "percent": 20})
    assert "it alone can end it" in cancel(server, "foreign", 409)["detail"]


def test_its_id_may_be_used_again(server: TaskServer, tmp_path: Path) -> None:
    frames, _ = cancel_at(server, "working", "tidy", tmp_path)
    task_id = frames[-1]["task_id"]
    server.begin("steps", task_id=task_id, count=1)
    assert server.story(task_id)[-1]["step"] == "completed"
    document = server.get(f"/api/v1/tasks/{task_id}")
    assert (document["status"], document["cancel_requested"]) == ("completed", False)


def test_a_list_shows_titles_and_who_was_cancelled(server: TaskServer, tmp_path: Path) -> None:
    task_id = server.begin("tidy", folder=str(tmp_path), text="  Hello there\nand more")["task_id"]
    cancel(server, task_id)
    server.story(task_id)
    listed = server.get("/api/v1/tasks?status_filter=cancelled")["tasks"]
    assert next(one["title"] for one in listed if one["task_id"] == task_id) == "Hello there"
