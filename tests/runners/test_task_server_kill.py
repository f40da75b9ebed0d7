"""The server is killed in the midst of a task: alone, or with the process that works at it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.runners import task_program
from tests.support.clients import open_ws, receive
from tests.support.process import ServeProcess, free_port
from tests.support.server import wait_until

ENV = {"RUNCAST_LOAD": task_program.__name__, "RUNCAST_RUNNER_LEASE_S": "1.0"}


def serving(folder: Path) -> ServeProcess:
    port = free_port()
    command = [sys.executable, "-m", "tests.support.task_server", str(port)]
    env = {**ENV, "RUNCAST_LOG": str(folder / "log.db"), "PYTHONPATH": str(Path.cwd())}
    return ServeProcess(folder / "log.db", port=port, command=command, env=env)


def begin(server: ServeProcess, folder: Path) -> int:
    """Begin a task that waits; returns the process that works at it."""
    body = {"type": "waits", "folder": str(folder), "task_id": "t1"}
    assert server.http.post("/api/v1/tasks", json=body).status_code == 202
    with open_ws(server.ws("/ws/agent-progress/t1")) as ws:
        while True:
            frame = receive(ws)
            if frame.get("step") == "waiting":
                return frame["pid"]


def story(server: ServeProcess) -> list[str]:
    with open_ws(server.ws("/ws/agent-progress/t1")) as ws:
        steps: list[str] = []
        while not steps or steps[-1] not in {"completed", "failed"}:
            frame = receive(ws)
            if not frame.get("heartbeat"):
                steps.append(frame["step"])
    return steps


def test_killed_with_its_processes_the_task_comes_back(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        begin(server, tmp_path)
        server.kill()
        (tmp_path / "go").touch()
        server.start()
        assert story(server) == ["connected", "queued", *["started", "waiting"] * 2, "completed"]
        assert server.get("/api/v1/tasks/t1")["attempt"] == 2


def test_killed_alone_the_attempt_goes_on(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        worker = begin(server, tmp_path)
        server.close_http()
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        with serving(tmp_path) as next_one:
            assert next_one.get("/api/v1/tasks/t1")["attempt"] == 1
            (tmp_path / "never").touch()
            assert story(next_one) == ["connected", "queued", "started", "waiting", "completed"]
            assert next_one.get("/api/v1/tasks/t1")["attempt"] == 1
        wait_until(lambda: not _lives(worker))


def test_a_server_that_ends_lets_the_attempt_go_on(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        begin(server, tmp_path)
        server.close_http()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) in {0, -signal.SIGTERM}
        with serving(tmp_path) as next_one:
            (tmp_path / "never").touch()
            assert story(next_one) == ["connected", "queued", "started", "waiting", "completed"]


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
