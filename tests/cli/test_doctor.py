"""`runcast doctor`: each thing that can be wrong is told, with what to do."""

from __future__ import annotations

import json
import socket
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands import Run
from tests.support.process import RUNCAST, clean_env, free_port
from tests.support.redis_server import RedisServer
from tests.support.server import ThreadServer, in_background

from runcast.cli import doctor_log
from runcast.cli.usage import WRITABLE
from runcast.errors import Busy, LogError, LogFull, LogReadOnly, LogTooNew
from runcast.log.place import spool_folder

Findings = dict[str, list[tuple[str, str]]]


class Silent(BaseHTTPRequestHandler):
    """Another program, which knows no request."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def look(run: Run) -> Any:
    """Runs the doctor; returns its exit code, and what it found by name as (state, words)."""

    def look(*arguments: str, port: int | None = None, **env: str) -> tuple[int, Findings]:
        ended = run("doctor", "--json", "--port", str(port or free_port()), *arguments, env=env)
        assert ended.err == ""
        (report,) = ended.json
        assert report["ok"] == (ended.code == 0)
        found: Findings = {}
        for one in report["findings"]:
            assert one["state"] == "ok" or one["advice"]
            found.setdefault(one["name"], []).append((one["state"], f"{one['says']} {one['advice']}"))
        return ended.code, found

    return look


def test_all_is_well(run: Run, look: Any, log: Path) -> None:
    code, found = look()
    assert code == 0
    assert {"runcast", "sqlite", "settings", "log", "disk", "port", "fast path", "spool", "hook"} <= set(
        found
    )
    assert {state for states in found.values() for state, _ in states} == {"ok"}
    assert "will be made" in found["log"][0][1]
    assert not log.exists()
    run("publish", "a:b", "x")
    assert "nothing wrong" in look()[1]["log health"][0][1]
    lines = run("doctor", "--port", str(free_port())).out.splitlines()
    assert all(line.startswith("ok ") for line in lines)


def test_settings_that_are_set_are_told_with_their_variable(look: Any, log: Path) -> None:
    _, found = look(RUNCAST_BATCH_SIZE="7", MAX_WEBSOCKET_CLIENTS="9")
    told = [words for _, words in found["settings"]]
    assert "batch_size = 7, from RUNCAST_BATCH_SIZE " in told
    assert "max_connections = 9, from MAX_WEBSOCKET_CLIENTS " in told
    assert f"log = {log}, from RUNCAST_LOG " in told


def test_a_variable_that_is_no_setting_is_told(look: Any) -> None:
    code, found = look(RUNCAST_BATCHSIZE="7")
    assert code == 0
    assert (
        "warn",
        "RUNCAST_BATCHSIZE is set, but no setting is called so Did you mean RUNCAST_BATCH_SIZE?",
    ) in found["settings"]


def test_a_setting_that_cannot_be_is_a_failure_and_the_rest_is_looked_at(look: Any) -> None:
    code, found = look(RUNCAST_BATCH_SIZE="many")
    assert code == 1
    assert any(state == "fail" and "RUNCAST_BATCH_SIZE" in words for state, words in found["settings"])
    assert "port" in found


def test_a_file_that_is_no_log_and_a_damaged_one(run: Run, look: Any, log: Path) -> None:
    log.write_text("Dear sir or madam, " * 500)
    code, found = look()
    assert (code, found["log"][0][0]) == (1, "fail")
    log.unlink()
    run("publish", "a:b", stdin=b'{"type":"x","data":{"text":"' + b"y" * 60_000 + b'"}}\n')
    data = bytearray(log.read_bytes())
    data[8_192 : len(data) // 2] = b"\x55" * (len(data) // 2 - 8_192)
    log.write_bytes(data)
    code, found = look()
    assert code == 1
    assert "fail" in {state for name in ("log", "log health") for state, _ in found.get(name, [])}


def test_a_check_that_takes_too_long_is_left(run: Run, look: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run("publish", "a:b", stdin=b'{"type":"x"}\n' * 500)
    monkeypatch.setattr(doctor_log, "CHECK_S", -1)
    monkeypatch.setattr(doctor_log, "CHECK_STEPS", 1)
    code, found = look()
    assert (code, found["log health"][0][0]) == (0, "ok")
    assert "have seen" in found["log health"][0][1]


def test_a_log_that_cannot_be(look: Any) -> None:
    code, found = look("--log", "pigeon:coop")
    assert (code, found["log"][0][0]) == (1, "fail")
    code, found = look("--log", "memory:")
    assert (code, found["log"][0][0]) == (0, "ok")


def test_who_answers_at_the_port(look: Any, tmp_path: Path) -> None:
    with ThreadServer(tmp_path / "other.db") as server:
        code, found = look(port=server.port)
        assert code == 0
        assert "Runcast" in found["port"][0][1]
        assert found["port"][1][0] == "warn"
        assert "other.db" in found["port"][1][1]
    with HTTPServer(("127.0.0.1", 0), Silent) as other, in_background(other.handle_request):
        code, found = look(port=other.server_port)
        assert (code, found["port"][0][0]) == (0, "warn")
        assert "another program" in found["port"][0][1]


def test_no_password_is_told(look: Any) -> None:
    url = "redis://me:s3cret@127.0.0.1:1/0?wait_s=0"
    sentinel = "redis+sentinel://127.0.0.1:1/name?sentinel_password=s3cret&wait_s=0"
    for log in (url, sentinel):
        code, found = look(
            RUNCAST_LOG=log, REDIS_URL=url, CELERY_BROKER_URL=url, RUNCAST_JWKS_URL="https://u:s3cret@h/"
        )
        assert code == 1
        assert "s3cret" not in json.dumps(found)
        assert "://(hidden)@127.0.0.1:1/0" in json.dumps(found["settings"])
        assert found["log"][0][0] == "fail"


@pytest.mark.needs("redis-server")
def test_a_log_on_redis_is_looked_at(look: Any) -> None:
    with RedisServer() as server:
        server.client.config_set("requirepass", "s3cret")
        place = f"127.0.0.1:{server.port}"
        code, found = look(RUNCAST_LOG=f"redis://:s3cret@{place}")
        assert (code, found["log"]) == (0, [("ok", f"redis://{place} answers ")])
        assert found["log health"][0][0] == "warn"
        assert "appendonly yes" in found["log health"][0][1]
        code, found = look(RUNCAST_LOG=f"redis://:wrong@{place}")
        assert (code, found["log"][0][0]) == (1, "fail")


def test_a_port_that_is_held_and_does_not_answer(look: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runcast.cli.doctor_system.ASK_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, found = look(port=taken.getsockname()[1])
    assert (code, found["port"][0][0]) == (1, "fail")


def test_what_waits_in_the_spool_is_told(look: Any, log: Path) -> None:
    folder = spool_folder(log)
    folder.mkdir()
    (folder / "1-2-aa-20.json").write_text("{}")
    (folder / "1-2-ab-20.json.bad").write_text("{")
    _, found = look()
    assert [state for state, _ in found["spool"]] == ["warn", "warn"]


def test_little_space_is_told(look: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_log, "LITTLE_SPACE", 1 << 62)
    assert look()[1]["disk"][0][0] == "warn"
    monkeypatch.setattr(doctor_log, "NO_SPACE", 1 << 62)
    assert look()[0] == 1


def test_where_the_hook_is_installed_is_told(look: Any, tmp_path: Path) -> None:
    assert "not installed" in look()[1]["hook"][0][1]
    folder = tmp_path / ".claude"
    folder.mkdir()
    entry = {"hooks": [{"type": "command", "command": "/usr/bin/runcast hook claude-code"}]}
    (folder / "settings.json").write_text(json.dumps({"hooks": {"Stop": [entry]}}))
    assert "1 event in" in look()[1]["hook"][0][1]
    (folder / "settings.json").write_text("{")
    assert look()[1]["hook"][0][0] == "warn"


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (LogReadOnly(), WRITABLE),
        (LogTooNew(), "Upgrade"),
        (LogFull(), "Make room"),
        (Busy(), "locked"),
        (LogError(), "this user may open"),
    ],
)
def test_the_advice_is_about_the_cause(
    run: Run, look: Any, monkeypatch: pytest.MonkeyPatch, error: LogError, advice: str
) -> None:
    run("publish", "a:b", "x")

    def fails(_: Path) -> None:
        raise error

    monkeypatch.setattr(doctor_log, "open_log", fails)
    code, found = look()
    ((state, words),) = found["log"]
    assert (code, state, "backup" in words) == (1, "fail", False)
    assert advice in words


def test_a_log_that_may_only_be_read_is_told(run: Run, look: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run("publish", "a:b", "x")
    monkeypatch.setattr("runcast.cli.doctor_log.os.access", lambda *_: False)
    code, found = look()
    assert (code, found["log"][0][0]) == (0, "warn")
    assert WRITABLE in found["log"][0][1]


@pytest.mark.parametrize(
    ("stdin", "source", "advice"),
    [
        (b"{garbage", "claude-code", "the log is not to blame"),
        (b"{}", "another", "Register the hook anew"),
    ],
)
def test_the_advice_about_a_hook_is_about_what_it_said(
    look: Any, log: Path, tmp_path: Path, stdin: bytes, source: str, advice: str
) -> None:
    env = {**clean_env(), "RUNCAST_LOG": str(log), "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    subprocess.run([*RUNCAST, "hook", source], input=stdin, env=env, check=True)
    (said,) = [words for state, words in look()[1]["hook"] if state == "warn"]
    assert advice in said
    assert "can be written" not in said


def test_whether_a_server_would_be_open_and_how_many_keys_there_are(run: Run, look: Any, log: Path) -> None:
    def door(**env: str) -> tuple[str, str]:
        (found,) = look(**env)[1]["keys"]
        return found

    state, words = door()
    assert state == "ok"
    assert "is open" in words
    assert "0 keys" in words
    assert not log.with_name("log.db.auth").exists()
    state, words = door(RUNCAST_LOCKED="true")
    assert (state, "runcast token create" in words) == ("warn", True)
    run("token", "create", "ci", "--read", "*")
    run("token", "create", "gone", "--read", "*")
    gone = next(line for line in run("token", "list").out.splitlines() if " gone " in line).split()[0]
    run("token", "revoke", gone)
    assert door()[1].startswith("a server is open: it believes whoever is on this machine; 1 key, which")
    assert door(RUNCAST_LOCKED="true") == ("ok", "a server is locked: 1 key ")
    several = door(RUNCAST_API_KEYS="rck_a,rck_b", RUNCAST_JWT_SECRET="s" * 32)
    assert several == ("ok", "a server is locked: 3 keys, and tokens ")
