"""Tasks of which no attempt ever begins, as their processes cannot: tried for a while, then given up."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.runners import broken_program, task_program
from tests.support.task_server import TaskServer

from runcast.runners.tasks import supervision

PROGRAM = task_program.__name__


@pytest.mark.parametrize(
    ("how", "logged"),
    [("load", "broken_program cannot be imported (RuntimeError: only here)"), ("attempt", "")],
)
def test_processes_that_never_begin_it_are_not_begun_without_end(
    how: str,
    logged: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(supervision, "PAUSE_S", 0.01)
    monkeypatch.setattr(supervision, "MOST_IN_VAIN", 3)
    monkeypatch.setenv("TEST_BROKEN", how)
    with TaskServer(tmp_path / "log.db", load=(PROGRAM, broken_program.__name__)) as server:
        frames = server.story(server.begin("steps")["task_id"])[1:]
        server.errors.texts.clear()  # looked at below
    assert [frame["step"] for frame in frames] == ["queued", "failed"]
    assert (frames[-1]["message"], frames[-1]["attempt"]) == ("Failed: no process could begin it.", 0)
    causes = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(causes) == bool(logged)
    assert logged in "".join(causes)
    waits = [record.getMessage() for record in caplog.records if "no process has begun it" in record.msg]
    assert [wait.split()[3] for wait in waits] == ["0.01", "0.02"]
    assert "Traceback" not in capfd.readouterr().err
