"""`runcast task`: through a server and straight on its log, with the same words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runners import task_program
from tests.support.commands import Ended, run_here
from tests.support.task_server import TaskServer

PROGRAM = task_program.__name__


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TaskServer]:
    log = tmp_path_factory.mktemp("log") / "log.db"
    with TaskServer(log, load=(PROGRAM,), runner_lease_s=1.0) as server:
        yield server


@pytest.fixture(params=["server", "log"])
def place(request: pytest.FixtureRequest, server: TaskServer) -> list[str]:
    if request.param == "server":
        return ["--url", server.url("")]
    return ["--log", str(server.bus.settings.log)]


def run(*arguments: str) -> Ended:
    return run_here("task", *arguments, env={"COLUMNS": "80"})


def load(place: list[str]) -> list[str]:
    return ["--load", PROGRAM] if place[0] == "--log" else []


def test_from_start_to_list(server: TaskServer, place: list[str]) -> None:
    started = run("start", "steps", "count=1", "text=Hello there", *place, *load(place))
    task_id = started.out.strip()
    assert server.story(task_id)[-1]["result"] == {"count": 1, "attempt": 1}
    assert run("show", task_id, "--json", *place).json[0] == server.get(f"/api/v1/tasks/{task_id}")
    assert f"task id         {task_id}\n" in run("show", task_id, *place).out
    listed = run("list", "--status", "completed", *place).out
    assert task_id in listed
    assert "Hello there" in listed
    assert task_id in {one["task_id"] for one in run("list", "--json", *place).json}
    assert "completed already" in run("cancel", task_id, *place).complaint(1)


def test_one_is_cancelled(server: TaskServer, place: list[str], tmp_path: Path) -> None:
    task_id = server.begin("tidy", folder=str(tmp_path))["task_id"]
    told = run("cancel", task_id, "--reason", "wrong text", *place)
    assert (told.code, told.out) == (
        0,
        f"{task_id} is told to end; whoever runs it ends it within a few seconds.\n",
    )
    assert server.story(task_id)[-1]["message"].endswith(": wrong text")
    assert run("cancel", task_id, *place).out == f"{task_id} is cancelled.\n"


def test_what_cannot_be_is_one_line(place: list[str]) -> None:
    assert "There is no task nobody" in run("show", "nobody", *place).complaint(1)
    assert "There is no task nobody" in run("cancel", "nobody", *place).complaint(1)
    assert "NAME=VALUE" in run("start", "steps", "count", *place).complaint(2)
    assert "there is no task strange" in run("start", "strange", *place).complaint(2)
    assert "--limit" in run("list", "--limit", "0", *place).complaint(2)
    assert "1 to 200 characters" in run("show", "a b", *place).complaint(2)


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    assert "there is none at" in run("list", "--log", str(tmp_path / "none.db")).complaint(1)
