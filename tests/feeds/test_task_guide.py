"""The blocks of docs/tasks.md run, and do what the guide says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.runners import task_program
from tests.support.process import clean_env
from tests.support.task_server import TaskServer

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "tasks.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PUBLIC = """
import runcast
from runcast.runners.tasks.registry import task
from runcast.sources.progress import ProgressPublisher
runcast.task, runcast.ProgressPublisher = task, ProgressPublisher
"""


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(GUIDE.read_text()) if kind == language]


def test_the_publisher_tells(tmp_path: Path) -> None:
    with TaskServer(tmp_path / "log.db", runs=False) as server:
        env = {**clean_env(), "RUNCAST_LOG": str(tmp_path / "log.db")}
        subprocess.run([sys.executable, "-c", PUBLIC + blocks("python")[0]], env=env, check=True, timeout=30)
        frames = server.story("task-123")
    assert [frame["step"] for frame in frames] == ["connected", "scam_db", "completed"]
    (shown,) = blocks("json")
    assert frames[1].keys() == json.loads(shown).keys()


def ask(server: TaskServer, request: str) -> dict[str, Any]:
    """What a request of the guide is answered."""
    done = subprocess.run(
        ["sh", "-ec", request.replace("localhost:8000", f"localhost:{server.port}")],
        env={**os.environ, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return json.loads(done.stdout)


def test_the_requests_begin_and_cancel(tmp_path: Path) -> None:
    begin, cancel = blocks("sh")
    with TaskServer(tmp_path / "log.db", load=(task_program.__name__,)) as server:
        frames = server.story(ask(server, begin)["task_id"])
        assert frames[-1]["result"]["verdict"] == "scam"
        server.begin("tidy", task_id="task-123", folder=str(tmp_path))
        assert ask(server, cancel)["cancel_reason"] == "wrong text"
        assert server.story("task-123")[-1]["status"] == "cancelled"


def test_the_own_task_is_run(tmp_path: Path) -> None:
    (tmp_path / "guide_tasks.py").write_text(PUBLIC + blocks("python")[1])
    sys.path.insert(0, str(tmp_path))
    try:
        with TaskServer("memory:", load=("guide_tasks",)) as server:
            frames = server.story(server.begin("count", to=4)["task_id"])
    finally:
        sys.path.remove(str(tmp_path))
    assert [frame["percent"] for frame in frames if frame["step"] == "counting"] == [0, 25, 50, 75]
    assert frames[-1]["result"] == {"counted": 4}


def test_the_celery_app_can_be_made() -> None:
    code = blocks("python")[2] + "\nassert 'ProgressTask' in str(type(analyse._get_current_object()).__mro__)"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=clean_env(), check=True, timeout=30)
