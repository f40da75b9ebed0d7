"""`runcast hook claude-code` as Claude Code runs it: it never fails, says nothing, and keeps what can be kept."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.log.programs import query, write_lock
from tests.support.process import RUNCAST, ServeProcess, clean_env, run_runcast
from tests.support.redis_server import RedisServer
from tests.support.server import WAIT_S, wait_until

from runcast.cli.hook import last_failures
from runcast.config import Settings
from runcast.kinds.base import accept
from runcast.kinds.session import SESSION
from runcast.log.place import spool_folder
from runcast.log.sqlite import SqliteLog
from runcast.sources.claude_code.hooks import publishes_of
from runcast.sources.spool import drain, put, waits

HOOK = [*RUNCAST, "hook", "claude-code"]


def body(number: int = 1, event: str = "PreToolUse", **fields: Any) -> dict[str, Any]:
    return {
        "session_id": "s1",
        "cwd": "/home/me",
        "hook_event_name": event,
        "tool_name": "Bash",
        "tool_input": {"command": "ls"},
        "tool_use_id": f"toolu_{number}",
        **fields,
    }


def run_hook(told: bytes | dict[str, Any], **env: str) -> None:
    """Run it; whatever it is told, it exits 0 and prints nothing."""
    given = told if isinstance(told, bytes) else json.dumps(told).encode()
    ended = subprocess.run(
        HOOK, input=given, env={**clean_env(), **env}, capture_output=True, timeout=WAIT_S, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled modules go where the tests' other files go, and so does what hooks note in the user's data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "log.db"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def ids(path: Path) -> list[str]:
    """What is in the log, in order; nothing stands there twice."""
    found = [row[0] for row in query(path, "SELECT id FROM events WHERE seq IS NOT NULL ORDER BY position")]
    assert len(set(found)) == len(found)
    return found


def drain_into(path: Path) -> int:
    """Take the spool into the log, as a server or a watcher does."""
    log = SqliteLog(path)
    try:
        return drain(
            spool_folder(path),
            lambda events: log.append([accept(SESSION, event, 2**60, 2**20) for event in events]),
        )
    finally:
        log.close()


def test_events_are_in_the_log_without_any_server(path: Path) -> None:
    run_hook(body(1), RUNCAST_LOG=str(path))
    run_hook(body(1, "PostToolUse", tool_response="a\nb", duration_ms=12), RUNCAST_LOG=f"sqlite:///{path}")
    run_hook(body(1), RUNCAST_LOG=str(path))
    assert ids(path) == ["toolu_1", "toolu_1:result"]
    rows = query(path, "SELECT type, data FROM events ORDER BY position")
    assert rows[1][0] == "tool_result"
    data = json.loads(rows[1][1])
    assert (data["execution_duration_seconds"], data["output_summary"]) == (0.012, "a\nb")
    assert last_failures(Settings(log=str(path))) == []


def test_the_default_log_is_made_in_the_users_data(home: Path) -> None:
    run_hook(body(), HOME=str(home), XDG_DATA_HOME="")
    run_hook(body(2), HOME="/nowhere", XDG_DATA_HOME=str(home / "xdg"))
    assert ids(home / ".local/share/runcast/log.db") == ["toolu_1"]
    assert ids(home / "xdg/runcast/log.db") == ["toolu_2"]


def test_a_server_delivers_what_a_hook_wrote(path: Path) -> None:
    path.parent.mkdir()
    with ServeProcess(path) as server:
        run_hook(body(), RUNCAST_LOG=str(path))
        run_hook(body(2), RUNCAST_LOG=str(path))
        wait_until(lambda: len(server.get("/api/sessions/s1/events")["events"]) == 2, "both events")
    assert ids(path) == ["toolu_1", "toolu_2"]


def test_many_at_once_lose_nothing(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: run_hook(body(number), RUNCAST_LOG=str(path)), range(40)))
    drain_into(path)
    assert sorted(ids(path)) == sorted(f"toolu_{number}" for number in range(40))


def test_a_locked_log_costs_a_detour(path: Path) -> None:
    run_hook(body(0), RUNCAST_LOG=str(path))
    with write_lock(path):
        for number in (1, 2, 3):
            run_hook(body(number), RUNCAST_LOG=str(path))
        run_hook(body(2), RUNCAST_LOG=str(path))
        assert waits(spool_folder(path)) == 4
        assert ids(path) == ["toolu_0"]
    assert drain_into(path) == 4
    assert ids(path) == [f"toolu_{number}" for number in range(4)]
    assert waits(spool_folder(path)) == 0
    assert last_failures(Settings(log=str(path))) == [], "nothing was lost, so there is nothing to tell"


def test_the_next_hook_that_gets_through_takes_the_spool_along(path: Path) -> None:
    run_hook(body(0), RUNCAST_LOG=str(path))
    with write_lock(path):
        run_hook(body(1), RUNCAST_LOG=str(path))
    bad = spool_folder(path) / "0-1-a-3.json"
    bad.write_bytes(b"{{{")
    run_hook(body(2), RUNCAST_LOG=str(path))
    assert ids(path) == ["toolu_0", "toolu_2", "toolu_1"], "first what it is told itself"
    assert [entry.name for entry in spool_folder(path).iterdir()] == ["0-1-a-3.json.bad"]


def test_what_goes_wrong_with_the_spool_costs_nothing_but_a_note(path: Path) -> None:
    run_hook(body(0), RUNCAST_LOG=str(path))
    spool_folder(path).write_text("in the way")
    run_hook(body(1), RUNCAST_LOG=str(path))
    assert ids(path) == ["toolu_0", "toolu_1"]
    assert "NotADirectoryError" in last_failures(Settings(log=str(path)))[0]


def test_whatever_goes_wrong_the_event_is_kept(path: Path) -> None:
    """The schema is what nobody's code expects: no error of the log's, and the event goes to the spool."""
    run_hook(body(0), RUNCAST_LOG=str(path))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE meta RENAME TO other")
        connection.commit()
    run_hook(body(1), RUNCAST_LOG=str(path))
    assert waits(spool_folder(path)) == 1
    program = (
        "import sys; sys.argv = ['runcast', 'hook', 'claude-code']\n"
        "from runcast.log.sqlite.once import LogOnce\n"
        "def fail(*_): raise ZeroDivisionError\n"
        "LogOnce.append = fail\n"
        "from runcast.cli import main; main()"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(body(2)).encode(),
        env={**clean_env(), "RUNCAST_LOG": str(path.with_name("new.db"))},
        check=True,
    )
    assert waits(spool_folder(path.with_name("new.db"))) == 1
    assert "ZeroDivisionError" in last_failures(Settings(log=str(path)))[-1]


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"garbage",
        b"\xff\xfe\x00",
        b"[]",
        b"{}",
        b'{"session_id": "..", "hook_event_name": "Stop"}',
        b"[" * 9_999,
    ],
)
def test_garbage_is_noted_and_nothing_more(garbage: bytes, path: Path) -> None:
    run_hook(garbage, RUNCAST_LOG=str(path))
    assert not path.exists()
    (failure,) = last_failures(Settings(log=str(path)))
    assert failure[:2] == "20"


def test_a_large_response_is_cut(path: Path) -> None:
    run_hook(body(1, "PostToolUse", tool_response={"stdout": "é" * 5_000_000}), RUNCAST_LOG=str(path))
    ((data,),) = query(path, "SELECT data FROM events")
    assert len(data) < 64 * 1024
    assert "[cut, 5000000 characters]" in json.loads(data)["output_summary"]


@pytest.mark.parametrize("words", [["cursor"], ["--verbose"], ["claude-code", "--verbose"]])
def test_a_command_that_was_mistyped_does_not_disturb_either(words: list[str], path: Path) -> None:
    """Claude Code would take the exit code 2 of a usage error for a veto."""
    ended = subprocess.run(
        [*RUNCAST, "hook", *words],
        input=json.dumps(body()).encode(),
        env={**clean_env(), "RUNCAST_LOG": str(path)},
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    if words[0] == "claude-code":
        assert ids(path) == ["toolu_1"]
    else:
        assert "not known" in last_failures(Settings(log=str(path)))[0]


def test_a_person_gets_help() -> None:
    assert "claude-code" in run_runcast("hook", "--help").stdout


def test_too_much_is_noted(path: Path) -> None:
    run_hook(b"x" * (64 * 1024 * 1024 + 1), RUNCAST_LOG=str(path))
    assert "over the limit" in last_failures(Settings(log=str(path)))[0]


def test_closed_streams(path: Path) -> None:
    env = {**clean_env(), "RUNCAST_LOG": str(path)}
    for closed in ("<&-", ">&- 2>&-", "<&- >&- 2>&-", "</dev/null"):
        line = f"{HOOK[0]} hook claude-code {closed}"
        ended = subprocess.run(
            ["/bin/sh", "-c", line],
            input=json.dumps(body()).encode(),
            env=env,
            capture_output=True,
            check=False,
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    assert ids(path) == ["toolu_1"]


@pytest.mark.parametrize("log", ["/proc/nothing/log.db", "/dev/null/log.db", "memory:", "http://x", "{home}"])
def test_a_log_that_cannot_be_is_noted_elsewhere(log: str, home: Path) -> None:
    named = log.format(home=home)
    run_hook(body(), RUNCAST_LOG=named, HOME=str(home), XDG_DATA_HOME=str(home))
    notes = [*home.rglob("hook-errors.log"), *home.parent.glob("hook-errors.log")]
    assert len(notes) == 1
    assert notes[0].read_text().count("\n") in {1, 2}


@pytest.mark.parametrize(
    "env", [{"HOME": "/proc"}, {"HOME": ""}, {"HOME": "relative"}, {"XDG_DATA_HOME": "/dev/null"}]
)
def test_a_home_that_cannot_be_written(env: dict[str, str], home: Path) -> None:
    if "XDG_DATA_HOME" not in env and env["HOME"] != "/proc":
        # the password file says where home is; the test is not to write there
        env = {**env, "RUNCAST_LOG": str(home / "log.db")}
    run_hook(body(), **{"XDG_DATA_HOME": "", **env})


def test_no_home_at_all(path: Path) -> None:
    env = {name: value for name, value in clean_env().items() if name not in {"HOME", "XDG_DATA_HOME"}}
    ended = subprocess.run(
        HOOK,
        input=json.dumps(body()).encode(),
        env={**env, "RUNCAST_LOG": str(path)},
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    assert ids(path) == ["toolu_1"]


def test_a_log_that_is_none_keeps_the_event_in_the_spool(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database, but it is long enough to be taken for one" * 100)
    run_hook(body(), RUNCAST_LOG=str(path))
    assert "not a Runcast log" in last_failures(Settings(log=str(path)))[0]
    path.unlink()
    assert drain_into(path) == 1
    assert ids(path) == ["toolu_1"]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.needs("tmpfs")
def test_a_full_disk(tiny: Path, home: Path) -> None:
    filler = tiny / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(b"x" * 1024 * 1024)
    run_hook(body(1), RUNCAST_LOG=str(tiny / "log.db"), XDG_DATA_HOME=str(home))
    assert "space" in (home / "runcast" / "hook-errors.log").read_text()
    filler.unlink()
    run_hook(body(2), RUNCAST_LOG=str(tiny / "log.db"))
    assert ids(tiny / "log.db") == ["toolu_2"]


def test_the_spool_is_bounded_and_keeps_the_oldest(path: Path) -> None:
    run_hook(body(0), RUNCAST_LOG=str(path))
    folder = spool_folder(path)
    put(folder, publishes_of(body(1), 1), 1)
    (kept,) = folder.iterdir()
    (folder / f"{0:017d}-1-a-{64 * 1024 * 1024}.json").write_bytes(kept.read_bytes())
    with write_lock(path):
        run_hook(body(2), RUNCAST_LOG=str(path))
    assert waits(folder) == 2
    assert "full" in last_failures(Settings(log=str(path)))[-1]
    assert drain_into(path) == 2
    assert ids(path) == ["toolu_0", "toolu_1"]


def test_failures_are_bounded(path: Path) -> None:
    path.parent.mkdir()
    note = path.parent / "hook-errors.log"
    note.write_text("".join(f"2026-01-01T00:00:00Z failure {number}\n" for number in range(2_000)))
    run_hook(b"garbage", RUNCAST_LOG=str(path))
    assert note.stat().st_size < 32 * 1024
    shown = last_failures(Settings(log=str(path)))
    assert len(shown) == 20
    assert shown[0].startswith("2026-01-01T00:00:00Z failure 19")
    assert "JSON" in shown[-1]


def test_it_imports_next_to_nothing(path: Path) -> None:
    """The time it takes is measured elsewhere; here, what it must never import."""
    program = (
        "import os, sys; sys.argv = ['runcast', 'hook', 'claude-code']; out = os.dup(1)\n"
        "os._exit = lambda code: os.write(out, ' '.join(sys.modules).encode())\n"
        "from runcast.cli import main; main()"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(body()).encode(),
        env={**clean_env(), "RUNCAST_LOG": str(path)},
        capture_output=True,
        check=True,
    ).stdout.decode()
    modules = set(said.split())
    assert ids(path) == ["toolu_1"]
    heavy = {
        "asyncio",
        "cyclopts",
        "rich",
        "fastapi",
        "starlette",
        "uvicorn",
        "httpx2",
        "websockets",
        "pydantic",
    }
    slow = {
        "inspect",
        "dataclasses",
        "logging",
        "email",
        "importlib.metadata",
        "importlib.resources",
        "hashlib",
        "platformdirs",
        "typing_extensions",
    }
    assert not modules & (heavy | slow | {"runcast.config", "runcast.log.sqlite.log", "runcast.live.bus"})


def test_a_msgspec_that_cannot_be_imported_in_part_is_imported_whole() -> None:
    program = (
        "import sys; from runcast.cli import lean\n"
        "lean._UNUSED = ('msgspec._version', 'msgspec.inspect')\n"
        "lean.import_lean()\n"
        "from runcast.sources.claude_code.hooks import decode_hook\n"
        "import msgspec.inspect; assert msgspec.inspect.type_info\n"
        "print(decode_hook(b'{}'))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "{}\n"


@pytest.mark.needs("redis-server")
def test_what_is_told_to_a_log_on_redis_is_taken_there_by_a_server(home: Path) -> None:
    with RedisServer() as redis:
        env = {"RUNCAST_LOG": redis.url, "HOME": str(home), "XDG_DATA_HOME": ""}
        run_hook(body(), **env)
        run_hook(body(2), **env)
        with ServeProcess(redis.url, env=env) as server:
            wait_until(lambda: len(server.get("/api/sessions/s1/events")["events"]) == 2, "both events")
