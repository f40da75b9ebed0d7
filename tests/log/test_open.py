"""How a log is named."""

import os
from contextlib import closing
from pathlib import Path

import pytest

from runcast.errors import ConfigError
from runcast.log.conformance.support import VirtualClock, new
from runcast.log.memory import MemoryLog
from runcast.log.open import open_log
from runcast.log.sqlite import SqliteLog


def test_a_path_names_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (
        f"sqlite:///{tmp_path}/log.db",
        "sqlite:///log.db",
        "log.db",
        "./log.db",
        "~/log.db",
        tmp_path / "log.db",
        os.fspath(tmp_path / "log.db"),
    ):
        log = open_log(name)
        assert isinstance(log, SqliteLog)
        assert log.path == tmp_path / "log.db"
        assert log.url == f"sqlite:///{tmp_path}/log.db"
        assert log.blocking
        log.close()


def test_the_url_of_a_log_names_it_again(tmp_path: Path) -> None:
    log = open_log(tmp_path / "a folder?" / "log #1.db")
    log.append([new(1)])
    log.close()
    again = open_log(log.url)
    assert again.info("session:a").head == 1
    assert again.epoch == log.epoch
    again.close()


def test_memory_has_no_file() -> None:
    clock = VirtualClock()
    log = open_log("memory:", clock=clock, queue_bytes=5)
    assert isinstance(log, MemoryLog)
    assert (log.url, log.blocking) == ("memory:", False)
    log.append([new(1)])
    assert log.info("session:a").created == clock.now


@pytest.mark.parametrize("name", ["postgres://x/y", "sqlite://log.db", "sqlite:log.db", "", "sqlite:///"])
def test_what_names_no_log_is_said_with_what_does(name: str) -> None:
    with pytest.raises(ConfigError, match="sqlite:///path, a plain path, or memory:"):
        open_log(name)


def test_settings_are_passed_on(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log.db", queue_bytes=5, poll_ms=3)
    log.close()
    with pytest.raises(TypeError):
        open_log(tmp_path / "log.db", no_such_setting=1)


@pytest.mark.skipif(os.name == "nt", reason="permissions are others there")
def test_a_new_log_is_its_owners_alone(tmp_path: Path) -> None:
    """Conversations lie in it."""
    path = tmp_path / "log.db"
    with closing(SqliteLog(path)) as log:
        log.append([new(1)])
        assert {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {
            "log.db": 0o600,
            "log.db-shm": 0o600,
            "log.db-wal": 0o600,
        }
