"""The publishers of the task document, run as they stand: from agent code, and straight to Redis."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.documents.snippets import at, python
from tests.documents.tasks import CLIENT_TASK, MODULE, PUBLISHER_TASK, block, server
from tests.support.clients import open_ws, receive
from tests.support.process import clean_env
from tests.support.redis_server import RedisServer
from tests.support.server import wait_until
from tests.support.task_server import TaskServer

__all__ = ["server"]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def run_program(code: str, **env: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**clean_env(), **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_agents_publisher_is_heard(server: TaskServer) -> None:
    with open_ws(server.task(PUBLISHER_TASK)) as ws:
        assert receive(ws)["step"] == "connected"
        run_program(MODULE + block("From Agent Code", "python"), RUNCAST_LOG=str(server.bus.settings.log))
        frames = [receive(ws) for _ in range(3)]
    assert [(frame["step"], frame["percent"], frame["tool"]) for frame in frames] == [
        ("entity_extraction", 10, None),
        ("scam_db", 35, "scam_database"),
        ("completed", 100, None),
    ]
    assert server.get(f"/api/v1/tasks/{PUBLISHER_TASK}")["status"] == "completed"


def test_run_again_it_is_another_run(server: TaskServer) -> None:
    """It ends by `completed`, then `failed`; the same id begins anew."""
    for _ in range(2):
        run_program(MODULE + block("From Agent Code", "python"), RUNCAST_LOG=str(server.bus.settings.log))
    frames = server.story(PUBLISHER_TASK)
    assert [frame["step"] for frame in frames] == ["connected", "entity_extraction", "scam_db", "completed"]


@pytest.mark.needs("redis-server")
def test_a_foreign_redis_client_is_heard_by_the_documented_python_client(
    redis: RedisServer, tmp_path: Path
) -> None:
    there = f"127.0.0.1:{redis.port}"
    publish = block("Direct Redis Publishing", "python").replace("localhost:6379", there)
    publish = publish.replace(PUBLISHER_TASK, CLIENT_TASK)
    with TaskServer(tmp_path / "log.db", runs=False, redis_url=f"{redis.url}/0") as server:
        wait_until(server.source.is_listening.is_set)
        with python(tmp_path, at(server, block("Python", "python"))) as client:
            client.until("Progress: 0% - Connected to agent progress stream")
            run_program(publish)
            client.until("Progress: 40% - Checking database...")
            run_program(publish.replace('"scam_db"', '"completed"'))
            client.until("Agent completed")
            assert client.process.wait(20) == 0
