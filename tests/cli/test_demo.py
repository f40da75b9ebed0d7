"""`runcast demo` as a person starts it."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest
from tests.support.process import RUNCAST, clean_env, start_process
from tests.support.server import WAIT_S

from runcast.cli import demo
from runcast.client.blocking import Client
from runcast.errors import ConfigError


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_shows_an_agent_at_work_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    (tmp_path / "README.md").write_text("# Hello\n")
    (tmp_path / "tmp").mkdir()
    env = {**clean_env(), "TMPDIR": str(tmp_path / "tmp")}
    process = start_process([*RUNCAST, "demo", "--port", "0", "--path", str(tmp_path)], env)
    try:
        assert process.stdout is not None
        first, second = process.stdout.readline(), process.stdout.readline()
        assert str(tmp_path) in second
        assert "estimates" in second
        with Client(first.split()[2], patience_s=WAIT_S) as client:
            (session,) = [info["stream"] for info in client.streams("session")]
            with client.tail(session, after="start") as tail:
                types = [next(tail).value["type"] for _ in range(4)]
                assert types == ["start", "user_prompt", "message", "tool_call"]
                process.send_signal(number)
                rest, complaints = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
        process.communicate(timeout=WAIT_S)
    assert (rest, complaints, process.returncode) == ("", "", 0)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_once_ends_after_a_session(tmp_path: Path) -> None:
    process = start_process([*RUNCAST, "demo", "--once", "--port", "0", "--path", str(tmp_path)], clean_env())
    try:
        output, complaints = process.communicate(timeout=45)
    finally:
        process.kill()
        process.communicate(timeout=WAIT_S)
    assert (complaints, process.returncode, len(output.splitlines())) == ("", 0, 2)


def test_a_taken_port_is_no_obstacle_unless_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(demo, "PORT", port)
        with demo.take_port(None) as other:
            assert other.getsockname()[1] != port
        with pytest.raises(ConfigError, match=str(port)):
            demo.take_port(port)


def test_it_begins_within_a_moment(tmp_path: Path) -> None:
    process = start_process([*RUNCAST, "demo", "--port", "0", "--path", str(tmp_path)], clean_env())
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[2]
        with Client(url, patience_s=WAIT_S) as client:
            events = client.events("session:*").events
            assert events  # the server answers only when the agent has begun
    finally:
        process.kill()
        process.communicate(timeout=WAIT_S)
