"""What a Celery task of one's own may tell by itself, and what is told by its base class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from runcast.errors import InvalidEvent
from runcast.log.sqlite import SqliteLog
from runcast.runners.tasks.celery_task import ProgressTask
from runcast.runners.tasks.celery_work import Work, tell_end


def test_its_own_steps_are_not_those_of_who_runs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(self: Any) -> None:
        del self

    monkeypatch.setenv("RUNCAST_LOG", str(tmp_path / "log.db"))
    app = Celery("own", task_cls=ProgressTask, set_as_current=False)
    task: Any = app.task(bind=True, name="own.any")(nothing)
    work = Work("t1", 1)
    task.push_request(runcast_work=work)
    for step in ("queued", "started", "retrying", "completed", "failed", "task_command"):
        with pytest.raises(InvalidEvent, match=f"^step: {step} is"):
            task.progress("reading", 5, step)
    for percent in (150, float("nan")):
        with pytest.raises(InvalidEvent, match=r"^percent: a number from 0 to 100"):
            task.progress("reading", percent)
    task.progress("reading", 5, "started_reading")
    task.progress("at nothing", None)
    work.flush()
    log = SqliteLog(tmp_path / "log.db")
    assert [event.type for event in log.read("task:t1").events] == ["started_reading", "processing"]
    log.close()
    task.pop_request()


def test_the_end_of_one_whose_stream_was_ended_begins_no_other_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNCAST_LOG", str(tmp_path / "log.db"))
    work = Work.begin("t1", "own.any", retries=0, redelivered=False)
    log = SqliteLog(tmp_path / "log.db")
    ended = log.end("task:t1")
    tell_end("t1", "Failed: its process has died.")
    work.leave()
    assert log.info("task:t1").epoch == ended.epoch
    log.close()
