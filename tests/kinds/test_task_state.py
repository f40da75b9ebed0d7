"""What a task has come to, as a fold."""

from __future__ import annotations

from itertools import count
from typing import Any

from runcast.core.event import Event
from runcast.kinds.base import Publish, accept
from runcast.kinds.task import TASK
from runcast.kinds.task_state import MAX_RESULT_BYTES, TASK_STATE, TaskState, step, to_document

NOW = 1_760_000_000_000_000
QUEUED = {"task_type": "scam_analysis", "executor": "celery", "max_attempts": 3, "by": "ann", "params": {}}


def told(*steps: tuple[str, dict[str, Any]]) -> TaskState:
    state, numbers = TaskState(), count(1)
    for name, data in steps:
        new = accept(TASK, Publish(stream="task:t1", type=name, data=data), NOW, 1_000_000)
        seq = next(numbers)
        event = Event(
            new.stream, "ab" * 8, seq, seq, f"e{seq}", new.type, new.time + seq * 1_000_000, new.data
        )
        step(state, event)
    return TASK_STATE.load(TASK_STATE.dump(state))


def test_a_task_of_which_only_others_tell_is_running_and_nobodys_to_run() -> None:
    state = told(("scam_db", {"message": "Checking", "percent": 35, "tool": "scam_database"}))
    assert (state.status, state.step, state.percent, state.tool) == (
        "running",
        "scam_db",
        35,
        "scam_database",
    )
    assert state.is_known
    assert not state.is_open
    document = to_document(state, "t1")
    assert (document["attempt"], document["max_attempts"], document["completed_at"]) == (0, None, None)


def test_attempts_are_counted_by_their_beginnings() -> None:
    state = told(
        ("queued", QUEUED),
        ("started", {"attempt": 1, "worker": "w1"}),
        ("started", {"attempt": 1, "worker": "w2"}),  # whatever it says itself
        ("retrying", {"due_at": 5, "percent": 40}),
    )
    assert (state.attempt, state.status, state.due_at, state.worker) == (2, "retrying", 5, "w2")
    assert (state.type, state.executor, state.by, state.max_attempts) == ("scam_analysis", "celery", "ann", 3)
    assert state.is_open


def test_the_first_end_counts() -> None:
    state = told(
        ("queued", QUEUED),
        ("completed", {"result": {"score": 7}}),
        ("failed", {"message": "late"}),
        ("scam_db", {"percent": 35}),
    )
    assert (state.status, state.percent, state.step, state.error) == ("completed", 100, "completed", False)
    assert to_document(state, "t1")["result"] == {"score": 7}
    assert not state.is_open


def test_a_long_result_is_left_in_the_stream() -> None:
    state = told(("completed", {"result": "x" * MAX_RESULT_BYTES}))
    assert to_document(state, "t1")["result"] is None


def test_what_a_log_of_old_may_hold_breaks_nothing() -> None:
    state = TaskState()
    for data in (b"{}", b'{"percent":"40","message":5,"error":1}', b"[]", b"nonsense"):
        step(state, Event("task:t1", "ab" * 8, 1, 1, "e1", "started", NOW, data))
    assert (state.percent, state.message, state.error, state.attempt) == (0, "", False, 4)
