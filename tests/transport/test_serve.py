"""`runcast serve` as a person runs it: one line when it works, one line when it cannot."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.clients import ids_of, open_ws, ping_pong, rest_of, take
from tests.support.process import RUNCAST, ServeProcess, clean_env, run_runcast, start_process
from tests.support.server import flat, flats, wait_until


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def refusal(*arguments: str, **env: str) -> str:
    """The one line that `serve` says when it cannot."""
    ended = run_runcast("serve", *arguments, env=env)
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("runcast: ")
    return line


def test_it_says_where_it_is_what_log_it_has_and_that_it_is_open(log: Path) -> None:
    with ServeProcess(log) as server:
        assert server.terminate() == 0
    assert server.output == (
        f"Runcast on http://localhost:{server.port}  log sqlite:///{log}  open (this machine only)\n"
    )
    assert server.complaints == ""


def test_a_port_that_is_taken_is_one_clear_line(log: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refusal("--port", str(port), "--log", str(log))
    assert f"127.0.0.1:{port}" in line
    assert "--port" in line


def test_two_that_start_at_once_on_one_port_do_not_both_run(log: Path) -> None:
    with ServeProcess(log) as first:
        line = refusal("--port", str(first.port), "--log", str(log))
        assert first.is_healthy()
    assert str(first.port) in line


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_an_address_that_others_can_reach_is_refused(log: Path, host: str) -> None:
    line = refusal("--host", host, "--log", str(log))
    assert host in line
    assert "127.0.0.1" in line
    assert not log.exists()


def test_a_log_in_memory_has_one_worker() -> None:
    assert "workers" in refusal("--workers", "2", "--log", "memory:")


@pytest.mark.parametrize(
    ("env", "word"),
    [
        ({"RUNCAST_PORT": "abc"}, "RUNCAST_PORT"),
        ({"RUNCAST_WORKERS": "0"}, "RUNCAST_WORKERS"),
        ({"RUNCAST_BATCH_SIZE": "5000"}, "RUNCAST_BATCH_SIZE"),
        ({"WEBSOCKET_PING_INTERVAL": "-1"}, "WEBSOCKET_PING_INTERVAL"),
        ({"RUNCAST_LOG": "carrier-pigeon://coop"}, "carrier-pigeon"),
    ],
)
def test_a_setting_that_cannot_be_is_named(env: dict[str, str], word: str) -> None:
    assert word in refusal(**env)


def test_a_file_that_is_no_log_is_named(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear sir or madam, " * 500)
    assert str(path) in refusal("--log", str(path), "--port", "0")
    assert path.read_text().startswith("Dear sir")


def test_settings_come_from_the_environment(log: Path) -> None:
    env = {"RUNCAST_LOG": str(log), "MAX_WEBSOCKET_CLIENTS": "1", "RUNCAST_BATCH_SIZE": "2"}
    with ServeProcess(log, env=env) as server:
        server.post("a", *flats(range(4)))
        with open_ws(server.session("a", after="start")) as only:
            assert [frame["count"] for frame in take(only, 4)] == [2, 2]
            with open_ws(server.session("b")) as other:
                assert rest_of(other)[1] == 1008
        assert server.terminate(signal.SIGINT) == 0


def test_the_port_accepts_as_soon_as_the_line_is_there(log: Path) -> None:
    with just_started(log) as (process, line):
        port = int(line.split()[2].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        process.terminate()
        assert process.communicate(timeout=20) == ("", "")
        assert process.returncode == 0


def test_a_signal_right_after_the_start_is_a_clean_end_too(log: Path) -> None:
    for _ in range(3):
        with just_started(log) as (process, _):
            process.terminate()
            process.communicate(timeout=20)
            assert process.returncode == 0


def test_workers_serve_one_log_together(log: Path) -> None:
    with ServeProcess(log, "--workers", "2") as server:
        workers = two_workers_of(server)
        with ExitStack() as stack:
            clients = [stack.enter_context(open_ws(server.session("a", after="start"))) for _ in range(8)]
            for number in range(20):
                server.close_http()  # each request takes whichever worker accepts it
                server.post("a", flat(number))
            for ws in clients:
                assert ids_of(take(ws, 20)) == [f"e{number}" for number in range(20)]
                assert ping_pong(ws) == []
            assert server.terminate() == 0
            assert [rest_of(ws)[1] for ws in clients] == [1012] * 8
    assert all(not psutil.pid_exists(worker) for worker in workers)
    assert server.complaints == ""


def test_a_worker_that_dies_is_replaced_and_nothing_is_lost(log: Path) -> None:
    with ServeProcess(log, "--workers", "2") as server:
        server.post("a", flat(0))
        first = two_workers_of(server)
        psutil.Process(first[0]).kill()
        wait_until(lambda: len(set(workers_of(server)) - set(first)) == 1, "a new worker")
        server.close_http()
        wait_until(server.is_healthy)
        receipt: dict[str, Any] = server.post("a", flat(1))
        assert receipt["last_seq"] == 2
        assert server.terminate() == 0


def two_workers_of(server: ServeProcess) -> list[int]:
    wait_until(lambda: len(workers_of(server)) == 2, "two workers")
    return workers_of(server)


def workers_of(server: ServeProcess) -> list[int]:
    """The processes that the server has started, without multiprocessing's own helper."""
    children = psutil.Process(server.process.pid).children()
    found: list[int] = []
    for child in children:
        with suppress(psutil.Error):  # one that has died meanwhile
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child.pid)
    return found


@contextmanager
def just_started(log: Path) -> Generator[tuple[subprocess.Popen[str], str]]:
    """A server that has said its line, and that line."""
    process = start_process([*RUNCAST, "serve", "--port", "0", "--log", str(log)], clean_env())
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate(timeout=20)
