"""`ProgressPublisher`: synchronous, in any process, and never in its agent's way."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.support.clients import open_ws, receive
from tests.support.process import clean_env
from tests.support.task_server import TaskServer

from runcast.config import Settings
from runcast.errors import ConfigError, InvalidEvent, InvalidStreamName
from runcast.log.sqlite import SqliteLog
from runcast.sources import outbox
from runcast.sources.progress import ProgressPublisher, ProgressWriter, new_publish, writer_for


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TaskServer]:
    with TaskServer(tmp_path / "log.db", runs=False) as server:
        yield server


def run_program(code: str, log: Path, *, status: int = 0) -> str:
    """Run a program that publishes; returns what it complained of."""
    env = {**clean_env(), "RUNCAST_LOG": str(log)}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == status, ended.stderr
    return ended.stderr


def messages(log: Path, task: str) -> list[str]:
    opened = SqliteLog(log)
    try:
        return [msgspec.json.decode(event.data)["message"] for event in opened.read(f"task:{task}").events]
    finally:
        opened.close()


def test_what_it_publishes_is_heard(server: TaskServer, tmp_path: Path) -> None:
    publisher = ProgressPublisher("t1", Settings(log=str(tmp_path / "log.db")))
    with open_ws(server.task("t1")) as ws:
        receive(ws)
        assert publisher.publish("Checking...", percent=35.5, step="scam_db", tool="scam_database", found=3)
        frame = receive(ws)
    assert (frame["step"], frame["percent"], frame["tool"], frame["found"]) == (
        *("scam_db", 35),
        *("scam_database", 3),
    )


def test_a_process_that_ends_at_once_has_told_everything(tmp_path: Path) -> None:
    run_program(
        "from runcast.sources.progress import ProgressPublisher as P\n"
        "p = P(task_id='t1')\n"
        "for number in range(500): p.publish(message=str(number), percent=number / 5)\n",
        tmp_path / "log.db",
    )
    assert messages(tmp_path / "log.db", "t1") == [str(number) for number in range(256)]


def test_one_that_ends_by_an_exception_has_too(tmp_path: Path) -> None:
    run_program(
        "from runcast.sources.progress import ProgressPublisher as P\n"
        "P('t1').publish('last words')\nraise SystemExit(3)\n",
        tmp_path / "log.db",
        status=3,
    )
    assert messages(tmp_path / "log.db", "t1") == ["last words"]


def test_it_works_on_both_sides_of_a_fork(tmp_path: Path) -> None:
    run_program(
        "import os\n"
        "from runcast.sources.progress import ProgressPublisher as P\n"
        "p = P('t1')\np.publish('before')\np.flush()\n"
        "pid = os.fork()\n"
        "p.publish('parent' if pid else 'child')\n"
        "assert p.flush()\n"
        "if pid: assert os.waitpid(pid, 0)[1] == 0\n"
        "else: os._exit(0)\n",
        tmp_path / "log.db",
    )
    told = messages(tmp_path / "log.db", "t1")
    assert (told[0], sorted(told[1:])) == ("before", ["child", "parent"])


def test_a_log_that_is_away_is_logged_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    publisher = ProgressPublisher("t1", Settings(log=str(tmp_path / "file" / "log.db")))
    with caplog.at_level(logging.WARNING, "runcast.progress"):
        assert publisher.publish("nobody hears it")
        assert publisher.flush()
    assert publisher.lost == 1
    assert "could not be sent" in caplog.text


def test_a_lost_lease_costs_nobody_elses_events(tmp_path: Path) -> None:
    settings = Settings(log=str(tmp_path / "log.db"))
    log = SqliteLog(tmp_path / "log.db")
    lost, held = log.acquire("work:task:lost", "me", 60), log.acquire("work:task:held", "me", 60)
    assert lost
    log.release(lost)
    writer = ProgressWriter(settings)
    for number in range(3):
        for task, lease in (("lost", lost), ("free", None), ("held", held)):
            writer.write(new_publish(f"task:{task}", "step", {"message": str(number)}), lease)
    assert writer.flush(10)
    assert (writer.lost, log.info("task:lost").head) == (3, 0)
    log.close()
    assert messages(tmp_path / "log.db", "free") == messages(tmp_path / "log.db", "held") == ["0", "1", "2"]


def test_a_log_that_is_locked_delays_nobody_and_loses_nothing(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db")
    publisher = ProgressPublisher("t1", Settings(log=str(tmp_path / "log.db")))
    holder = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    for number in range(100):
        assert publisher.publish(str(number))  # or it would wait for us
    assert not publisher.flush(0.2)
    holder.execute("ROLLBACK")
    holder.close()
    assert publisher.flush(20)
    log.close()
    assert (len(messages(tmp_path / "log.db", "t1")), publisher.lost) == (100, 0)


def test_it_keeps_no_more_than_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MAX_ITEMS", 10)
    settings = Settings(log=str(tmp_path / "log.db"))
    publisher = ProgressPublisher("t1", settings)

    def away(items: list[object]) -> None:
        del items
        raise outbox.NotNow("away")

    writer = writer_for(settings)
    monkeypatch.setattr(writer._outbox, "_send", away)
    taken = [publisher.publish("x") for _ in range(300)]
    assert not all(taken)
    assert publisher.lost >= 1
    writer._outbox.end()  # what waits is given up


@pytest.mark.parametrize(
    ("field", "value"), [("percent", "40"), ("percent", 101), ("message", 5), ("tool", 7), ("error", "no")]
)
def test_what_cannot_be_is_said_at_once(tmp_path: Path, field: str, value: object) -> None:
    publisher = ProgressPublisher("t1", Settings(log=str(tmp_path / "log.db")))
    given: dict[str, object] = {"message": "x", field: value}
    with pytest.raises(InvalidEvent, match=f"^{field}: "):
        publisher.publish(**given)  # pyright: ignore[reportArgumentType]


def test_what_no_task_can_be_called(tmp_path: Path) -> None:
    with pytest.raises(InvalidStreamName):
        ProgressPublisher("a/b", Settings(log=str(tmp_path / "log.db")))
    with pytest.raises(ConfigError, match="RUNCAST_LOG"):
        ProgressPublisher("t1", Settings(log="memory:"))


def test_it_is_there_soon(tmp_path: Path) -> None:
    """An agent's start must not wait for what it does not use."""
    code = (
        "import sys\nfrom runcast.sources.progress import ProgressPublisher as P\nP('t1')\n"
        "heavy = {'asyncio', 'fastapi', 'starlette', 'uvicorn', 'redis', 'celery', 'openai', 'phonenumbers'}\n"
        "sys.exit(', '.join(heavy & sys.modules.keys()) or 0)"
    )
    run_program(code, tmp_path / "log.db")
