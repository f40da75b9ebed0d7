"""The workflow client at the documented place does what it says, run as its user would run it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.process import clean_env, free_port
from tests.support.server import WAIT_S
from tests.support.workflow_server import WorkflowServer

from runcast.runners.workflows.registry import workflow

PLACE = Path(__file__).resolve().parents[2] / "examples" / "api_examples"
CLIENT = PLACE / "websocket_client_example.py"
NAMES = ["websocket_client.html", "websocket_client_example.py"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WorkflowServer]:
    with WorkflowServer(tmp_path / "log.db") as server:
        yield server


def run(url: str, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CLIENT), *arguments, "--url", url],
        env={**clean_env(), "NO_PROXY": "*"},
        input=typed,
        text=True,
        capture_output=True,
        timeout=WAIT_S,
        check=False,
    )


def test_there_are_no_others() -> None:
    assert sorted(path.name for path in PLACE.iterdir() if path.is_file()) == NAMES


def test_an_example_can_be_read_at_once() -> None:
    for name in NAMES:
        assert len((PLACE / name).read_text().splitlines()) < 200


def test_it_starts_the_system_and_shows_the_synthesis(server: WorkflowServer) -> None:
    done = run(server.url(), "What causes the tides?")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].endswith("is running, answering with extractive")
    assert any(line.startswith("+ research_001 (research)") for line in lines)
    (listed,) = server.get("/api/v1/workflows")["workflows"]
    document = server.get(f"/api/v1/workflows/{listed['workflow_id']}")
    assert document["synthesis"]["content"] in done.stdout
    assert "Moon" in document["synthesis"]["content"]


def test_tasks_are_offered(server: WorkflowServer) -> None:
    done = run(server.url(), typed="2\n")
    assert done.returncode == 0, done.stderr
    assert "1. Explain how a durable log" in done.stdout
    (listed,) = server.get("/api/v1/workflows")["workflows"]
    assert listed["task"].startswith("Compare WebSocket")
    run(server.url(), typed="a task of my own\n")
    assert server.get("/api/v1/workflows")["workflows"][0]["task"] == "a task of my own"


def test_what_agents_ask_is_answered_in_between(server: WorkflowServer) -> None:
    asked: list[Any] = []

    @workflow("research")
    def ask(ctx: Any) -> str:
        asked.append(ctx.approve("Shall I?"))
        return "with permission" if asked[0] else "without"

    try:
        done = run(server.url(), typed="do it\ny\n")
    finally:
        from runcast.runners.workflows import research

        workflow("research")(research.research)
    assert done.returncode == 0, done.stderr
    assert "? Shall I? [y/N]" in done.stdout
    assert "with permission" in done.stdout


def test_a_failure_is_a_line_and_an_exit_code(server: WorkflowServer) -> None:
    done = run(server.url(), "x" * 10_001)
    assert done.returncode == 1
    assert done.stderr.startswith("400: task: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_server_that_is_not_there_is_named() -> None:
    done = run(f"http://127.0.0.1:{free_port()}", "anything")
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert len(done.stderr.splitlines()) == 1
