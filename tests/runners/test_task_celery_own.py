"""Celery tasks of a program's own, by our base class: limits, revocations, chains, cancelling, workers that are killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import chain
from tests.runners.test_task_celery import OWN, kill, send, steps, until, worker
from tests.support.clients import open_ws
from tests.support.process import clean_env
from tests.support.redis_server import RedisServer
from tests.support.server import wait_until
from tests.support.swift import check
from tests.support.task_server import TaskServer

from runcast.runners.tasks import supervision
from runcast.runners.tasks.celery_app import make_celery

pytestmark = [
    pytest.mark.needs("redis-server"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of kombu's
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]

WITHOUT_WORKER = """
from tests.runners import celery_program
celery_program.app.conf.task_always_eager = True
for task, argument in (("own.steps", 1), ("own.flaky", 2), ("own.flaky", 9)):
    print(celery_program.app.tasks[task].delay(argument).id, flush=True)
assert celery_program.steps(1) == {"count": 1}  # no task at all
"""

DELIVERIES = """
from runcast.runners.tasks.celery_work import AtWork, Over, Work

def begin(retries=0, redelivered=False):
    try:
        return Work.begin("t", "own", retries=retries, redelivered=redelivered)
    except (AtWork, Over) as error:
        return type(error).__name__

first = begin()
assert first.attempt == 1
assert begin(redelivered=True) == "AtWork"  # it takes longer than the broker waits
first.tell("failed", {"message": "Cancelled.", "status": "cancelled"})
first.flush()
first.leave()
assert begin(redelivered=True) == begin(retries=1) == "Over"
again = begin()
assert again.attempt == 1
again.leave()
lost = begin(redelivered=True)
assert lost.attempt == 2
lost.leave()
"""


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module", params=["sqlite", pytest.param("redis", marks=pytest.mark.soak)])
def server(
    request: pytest.FixtureRequest, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TaskServer]:
    """Its log in a file, or where the broker is."""
    redis.client.flushall()
    log = f"{redis.url}/1" if request.param == "redis" else str(tmp_path_factory.mktemp("log") / "log.db")
    with TaskServer(log, runner_lease_s=1.0, celery_broker_url=f"{redis.url}/0") as server:
        yield server


@pytest.fixture(scope="module")
def first(server: TaskServer) -> Iterator[subprocess.Popen[str]]:
    with worker(server, OWN) as process:
        yield process


def told(server: TaskServer, task_id: str) -> list[dict[str, Any]]:
    """All frames, each of which the strict client can read."""
    frames = server.story(task_id)[1:]
    for frame in frames:
        check(json.dumps(frame))
    return frames


def cancel(server: TaskServer, task_id: str) -> None:
    assert server.http.post(f"/api/v1/tasks/{task_id}/cancel", json={}).status_code == 202


@pytest.mark.usefixtures("first")
def test_what_celery_does_to_a_task_is_told(server: TaskServer, tmp_path: Path) -> None:
    app = make_celery(server.bus.settings)
    with app.connection_for_write() as connection:
        gone = datetime.now(UTC) - timedelta(seconds=1)
        never = app.send_task("own.steps", args=[1], queue="own", connection=connection, expires=gone).id
    frames = told(server, send(server, "own.sleeps"))
    assert steps(frames) == ["started", "sleeping", "failed"]
    assert frames[-1]["message"] == "Failed: It has taken longer than its soft time limit."
    assert (frames[0]["task_type"], frames[-1]["percent"]) == ("own.sleeps", 20)

    frames = told(server, send(server, "own.hangs"))
    assert steps(frames) == ["started", "hanging", "failed"]
    assert frames[-1]["message"] == "Failed: It has taken longer than its time limit."
    assert frames[-1]["attempt"] == 1

    (expired,) = told(server, never)
    assert (expired["step"], expired["status"]) == ("failed", "cancelled")

    frames = told(server, send(server, "own.calls"))
    assert steps(frames) == ["started", "calling", "completed"]
    assert frames[-1]["result"] == {"count": 2}

    first = app.signature("own.steps", args=[1], queue="own")
    second = app.signature("own.steps", args=[2], queue="own", immutable=True)
    result: Any = chain(first, second).apply_async()
    assert steps(told(server, result.parent.id)) == ["started", "counting", "completed"]
    assert steps(told(server, result.id)) == ["started", "counting", "counting", "completed"]

    ids = [send(server, "own.stubborn", str(tmp_path)), send(server, "own.steps", 1)]
    with open_ws(server.task(ids[0])) as ws:
        until(ws, "working")
        app.control.revoke(ids[::-1], terminate=True, signal="SIGKILL")
        frames = until(ws, "failed")
    assert (frames[-1]["status"], frames[-1]["message"]) == ("cancelled", "Cancelled: revoked.")
    assert steps(told(server, ids[1])) == ["failed"]
    assert server.get(f"/api/v1/tasks/{ids[1]}")["status"] == "cancelled"
    app.close()


@pytest.mark.usefixtures("first")
def test_one_is_cancelled_at_its_next_call_or_from_outside(
    server: TaskServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "CANCEL_GRACE_S", 0.5)
    for name in ("own.waits", "own.stubborn"):
        task_id = send(server, name, str(tmp_path))
        with open_ws(server.task(task_id)) as ws:
            until(ws, "waiting", "working")
            began_s = time.monotonic()
            cancel(server, task_id)
            frames = until(ws, "failed")
        print(f"{name}: over {time.monotonic() - began_s:.2f} s after it was cancelled")
        assert (frames[-1]["message"], frames[-1]["status"]) == ("Cancelled by local.", "cancelled")
        assert steps(told(server, task_id))[-2:] == ["task_command", "failed"]
    assert steps(told(server, send(server, "own.steps", 0))) == ["started", "completed"]  # its place is free


def test_without_a_worker_it_is_told_all_the_same(server: TaskServer) -> None:
    env = {
        **clean_env(),
        "RUNCAST_LOG": str(server.bus.settings.log),
        "CELERY_BROKER_URL": "memory://",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_WORKER],
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    good, again, bad = ended.stdout.split()
    assert steps(told(server, good)) == ["started", "counting", "completed"]
    one = ["started", "processing"]
    assert steps(told(server, again)) == [*one, "retrying", *one, "completed"]
    frames = told(server, bad)
    assert steps(frames) == [*one, "retrying", *one, "retrying", *one, "failed"]
    assert [frame["attempt"] for frame in frames] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert "None" not in {one["task_id"] for one in server.get("/api/v1/tasks")["tasks"]}


def test_a_log_that_is_away_costs_it_nothing(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_text("no database at all, but long enough to be taken for one " * 20)
    env = {
        **clean_env(),
        "RUNCAST_LOG": str(tmp_path / "log.db"),
        "CELERY_BROKER_URL": "memory://",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    program = WITHOUT_WORKER.partition("for task")[0] + "print(celery_program.steps.delay(1).get())"
    ended = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "{'count': 1}\n"), ended.stderr
    assert "may be lost" in ended.stderr


def test_what_comes_of_each_delivery(tmp_path: Path) -> None:
    """One that comes again begins no task that is over, and none runs twice at a time."""
    env = {**clean_env(), "RUNCAST_LOG": str(tmp_path / "log.db"), "RUNCAST_RUNNER_LEASE_S": "0.3"}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DELIVERIES],
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def consumers(server: TaskServer) -> dict[str, Any]:
    """The workers that answer."""
    app = make_celery(server.bus.settings)
    answers = app.control.inspect(timeout=1, limit=2).ping() or {}
    app.close()
    return answers


def test_the_whole_worker_is_killed_and_the_task_comes_back_at_once(
    server: TaskServer, first: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Redis would hold it for an hour, as Celery leaves it. The last test: it ends the worker of all."""
    with worker(server, [*OWN, "-n", "second@%h"]) as second:
        wait_until(lambda: len(consumers(server)) == 2)
        task_id = send(server, "own.waits", str(tmp_path))
        with open_ws(server.task(task_id)) as ws:
            frames = until(ws, "waiting")
            killed_s = time.monotonic()
            kill(first if os.getpgid(frames[-1]["pid"]) == first.pid else second)
            frames += until(ws, "waiting", "failed")
            back_s = time.monotonic() - killed_s
            (tmp_path / "go").touch()
            frames += until(ws, "completed", "failed")
    print(f"attempt 2 began {back_s:.1f} s after the worker's death")
    assert steps(frames) == ["connected", *["started", "waiting"] * 2, "completed"]
    assert [frame["attempt"] for frame in frames[1:]] == [1, 1, 2, 2, 2]
    assert server.get(f"/api/v1/tasks/{task_id}")["attempt"] == 2
