"""Tasks on Celery's real workers: over Redis and over a folder, and what becomes of them when workers are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.concurrency import get_implementation
from tests.documents.snippets import at, python
from tests.documents.tasks import CLIENT_TASK, block
from tests.runners import task_program
from tests.support.clients import open_ws, receive
from tests.support.process import clean_env, start_process
from tests.support.redis_server import RedisServer
from tests.support.server import wait_until
from tests.support.swift import check
from tests.support.task_server import TaskServer

from runcast.config import Settings
from runcast.errors import ConfigError
from runcast.runners.tasks import supervision
from runcast.runners.tasks.celery_app import make_celery
from runcast.runners.tasks.celery_pool import LOOK_S
from runcast.sources.redis_echo import echo_for

pytestmark = [
    pytest.mark.needs("redis-server"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of kombu's
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]

PROGRAM = task_program.__name__
WORKER = [sys.executable, "-c", "from runcast.cli.worker import worker; worker()"]
OWN = [sys.executable, "-m", "celery", "-q", "-A", "tests.runners.celery_program", "worker", "-c", "1"]
END_STEPS = {"completed", "failed"}


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["redis", pytest.param("folder", marks=pytest.mark.soak)])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return f"filesystem://{tmp_path / 'queue'}"
    redis: RedisServer = request.getfixturevalue("redis")
    redis.client.flushall()
    return f"{redis.url}/0"


@pytest.fixture
def server(broker: str, tmp_path: Path) -> Iterator[TaskServer]:
    with TaskServer(
        tmp_path / "log.db", load=(PROGRAM,), runner_lease_s=1.0, celery_broker_url=broker
    ) as server:
        yield server


@contextmanager
def worker(server: TaskServer, command: list[str] = WORKER) -> Iterator[subprocess.Popen[str]]:
    """A worker, with its pool, as a group of processes; killed at the end, however it stands."""
    settings = server.bus.settings
    env = {
        **clean_env(),
        "RUNCAST_LOG": settings.log,
        "RUNCAST_LOAD": PROGRAM,
        "RUNCAST_RUNNER_LEASE_S": str(settings.runner_lease_s),
        "RUNCAST_TASK_PROCESSES": "1",
        "CELERY_BROKER_URL": settings.celery_broker_url,
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    process = start_process(command, env)
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    """The worker and all its processes, as a loss of the machine would be."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)


def steps(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["step"] for frame in frames]


def until(ws: Any, *wanted: str) -> list[dict[str, Any]]:
    """Frames until one of these steps came."""
    frames: list[dict[str, Any]] = []
    while not frames or frames[-1]["step"] not in wanted:
        frame = receive(ws)
        if not frame.get("heartbeat"):
            frames.append(frame)
    return frames


@pytest.mark.parametrize("broker", ["folder", pytest.param("redis", marks=pytest.mark.soak)], indirect=True)
def test_a_worker_makes_the_attempts(
    server: TaskServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "CANCEL_GRACE_S", 0.5)
    with worker(server) as process:
        task_id = server.begin("steps", count=2)["task_id"]
        assert steps(server.story(task_id)[1:]) == ["queued", "started", "step_0", "step_1", "completed"]
        document = server.get(f"/api/v1/tasks/{task_id}")
        assert (document["executor"], document["attempt"]) == ("celery", 1)

        frames = server.story(server.begin("flaky", good=9)["task_id"])[1:]
        assert steps(frames).count("retrying") == 2
        assert steps(frames)[-1] == "failed"
        assert [frame["attempt"] for frame in frames if frame["step"] == "started"] == [1, 2, 3]

        frames = server.story(server.begin("dies")["task_id"])[1:]  # and with it the process of the pool
        assert steps(frames) == ["queued", *["started", "dying"] * 2, "failed"]
        assert "has died" in frames[-1]["message"]

        task_id = server.begin("stubborn", folder=str(tmp_path))["task_id"]  # and asks nobody
        with open_ws(server.task(task_id)) as ws:
            until(ws, "working")
            assert server.http.post(f"/api/v1/tasks/{task_id}/cancel", json={}).status_code == 202
            assert until(ws, *END_STEPS)[-1]["status"] == "cancelled"
        server.begin("steps", task_id=task_id, count=1)  # the only place is free, and the id no burnt one
        assert server.story(task_id)[-1]["step"] == "completed"
        process.terminate()
        process.communicate(timeout=20)
        assert process.returncode == 0


def test_the_pools_process_is_killed_then_the_whole_worker(server: TaskServer, tmp_path: Path) -> None:
    """The documented Python client, unchanged, watches it all, and so does the strict decoder."""
    task_id = server.begin("waits", folder=str(tmp_path), task_id=CLIENT_TASK)["task_id"]
    with (
        open_ws(server.task(task_id)) as ws,
        python(tmp_path, at(server, block("Python", "python"))) as client,
        worker(server) as first,
    ):
        frames = until(ws, "waiting")
        os.kill(frames[-1]["pid"], signal.SIGKILL)
        killed_s = time.monotonic()
        frames += until(ws, "waiting", *END_STEPS)
        back_s = time.monotonic() - killed_s
        assert frames[-1]["attempt"] == 2
        kill(first)
        killed_s = time.monotonic()
        (tmp_path / "go").touch()
        with worker(server):
            frames += until(ws, *END_STEPS)
        again_s = time.monotonic() - killed_s
        client.until("Progress: 100% - Complete!", "Agent completed")
        assert client.process.wait(20) == 0
    assert [line for line in client.lines if line.startswith("Progress: 0% - Started")] == [
        f"Progress: 0% - Started, attempt {number}" for number in (1, 2, 3)
    ]
    assert all(check(json.dumps(frame)).step for frame in frames)
    assert steps(frames) == ["connected", "queued", *["started", "waiting"] * 3, "completed"]
    assert [frame["attempt"] for frame in frames[2:]] == [1, 1, 2, 2, 3, 3, 3]
    print(f"back after {back_s:.1f} s, after the whole worker's death {again_s:.1f} s, its start included")


def test_a_broker_that_is_away_is_waited_for(tmp_path: Path) -> None:
    with RedisServer() as redis:
        redis.kill()
        with TaskServer(tmp_path / "log.db", load=(PROGRAM,), celery_broker_url=f"{redis.url}/0") as server:
            task_id = server.begin("steps")["task_id"]
            redis.start()
            with worker(server):
                assert server.story(task_id)[-1]["step"] == "completed"


# --- a Celery app of one's own ------------------------------------------------------------------


def send(server: TaskServer, name: str, *args: Any) -> str:
    """Send a task as the user's own program would; returns its id."""
    app = make_celery(server.bus.settings)
    with app.connection_for_write() as connection:
        return app.send_task(name, args=args, queue="own", connection=connection).id


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_tasks_of_the_base_class_tell_by_themselves(server: TaskServer, tmp_path: Path) -> None:
    with worker(server, OWN):
        frames = server.story(send(server, "own.steps", 2))[1:]
        assert steps(frames) == ["started", "counting", "counting", "completed"]
        assert frames[-1]["result"] == {"count": 2}
        assert (frames[1]["tool"], {frame["attempt"] for frame in frames}) == ("counter", {1})

        frames = server.story(send(server, "own.flaky", 2))[1:]
        assert steps(frames) == [
            *["started", "processing"],
            "retrying",
            *["started", "processing"],
            "completed",
        ]
        assert [frame["attempt"] for frame in frames] == [1, 1, 1, 2, 2, 2]

        frames = server.story(send(server, "own.flaky", 9))[1:]
        assert steps(frames).count("retrying") == 2
        assert (frames[-1]["step"], frames[-1]["message"]) == ("failed", "Failed: ValueError.")

        frames = server.story(send(server, "own.dies_once", str(tmp_path)))[1:]
        assert steps(frames) == [*["started", "dying"] * 2, "completed"]
        assert [frame["attempt"] for frame in frames] == [1, 1, 2, 2, 2]  # Celery counts no retry here


# --- configuration ------------------------------------------------------------------------------


def test_a_task_is_acknowledged_late_and_given_back() -> None:
    app = make_celery(Settings(celery_broker_url="redis://localhost:6379/0"))
    assert app.conf.task_acks_late
    assert app.conf.task_reject_on_worker_lost
    assert app.conf.worker_prefetch_multiplier == 1


def test_a_process_that_dies_is_replaced_at_once() -> None:
    """Celery's own pool may look away for five seconds."""
    app = make_celery(Settings(celery_broker_url="redis://localhost:6379/0"))
    pool: Any = get_implementation(app.conf.worker_pool).Pool
    assert list(pool.timers.fget(SimpleNamespace(maintain_pool="looks")).values()) == [LOOK_S]
    assert LOOK_S < 0.5


def test_what_is_missing_is_said() -> None:
    with pytest.raises(ConfigError, match="CELERY_BROKER_URL"):
        make_celery(Settings())
    with pytest.raises(ConfigError, match="needs a folder"):
        make_celery(Settings(log="memory:", celery_broker_url="filesystem://"))
    with pytest.raises(ConfigError, match="no broker pigeon://"):
        make_celery(Settings(celery_broker_url="pigeon://coop"))


def test_without_the_extras_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "celery", None)
    with pytest.raises(ConfigError, match=r"pip install 'runcast\[celery\]'"):
        make_celery(Settings(celery_broker_url="redis://localhost"))
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match=r"pip install 'runcast\[redis\]'"):
        echo_for(Settings(redis_url="redis://localhost:6380"))


def test_a_worker_without_celery_works_by_processes(tmp_path: Path) -> None:
    with TaskServer(tmp_path / "log.db", runs=False, load=(PROGRAM,)) as server:
        task_id = server.begin("steps", count=1)["task_id"]
        with worker(server) as process:
            assert server.story(task_id)[-1]["step"] == "completed"
            process.terminate()
            output, complaints = process.communicate(timeout=20)
        assert (process.returncode, complaints) == (0, "what a task prints harms nothing\n")
        assert output.startswith("Runcast works at tasks by processes, 1 at once")
        wait_until(lambda: server.get(f"/api/v1/tasks/{task_id}")["status"] == "completed")
