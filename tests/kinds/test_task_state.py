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


def test_of_a_task_that_is_run_here_a_runners_words_count_only_from_a_runner() -> None:
    """A task's own code, or another program, may use the same words."""
    story = [("queued", QUEUED), ("started", {"worker": "w1"})]
    state = told(*story, ("started", {"message": "reading", "percent": 5}))
    assert (state.attempt, state.status, state.percent, state.worker) == (1, "running", 5, "w1")
    assert told(*story, ("retrying", {"percent": 5})).status == "running"
    assert told(("started", {}), ("retrying", {}), ("started", {})).attempt == 2  # of others all are counted


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


def test_a_command_to_cancel_changes_nothing_until_it_is_over() -> None:
    command = ("task_command", {"command": "cancel", "by": "ann", "reason": "wrong", "percent": 35})
    story = [("queued", QUEUED), ("started", {"worker": "w1"}), ("scam_db", {"percent": 35})]
    state = told(*story, command)
    assert (state.status, state.step, state.percent, state.cancel) == ("running", "scam_db", 35, True)
    assert state.is_open
    state = told(*story, command, ("failed", {"status": "cancelled", "percent": 35}))
    assert (state.status, state.error, state.is_over) == ("cancelled", True, True)
    document = to_document(state, "t1")
    assert (document["cancelled_by"], document["cancel_reason"]) == ("ann", "wrong")
    assert told(*story, ("failed", {"status": "anything else"})).status == "failed"
    assert told(*story, ("completed", {"status": "cancelled"})).status == "completed"


def test_its_title_is_the_first_line_of_what_it_was_begun_with() -> None:
    for params, title in (
        ({"text": "  Pay now\nor else"}, "Pay now"),
        ({"text": "Pay now", "title": "A letter"}, "A letter"),
        ({"text": "x" * 200}, "x" * 160 + "…"),
        ({"text": 5}, None),
        ({"text": " \n "}, None),
        ("params", None),
    ):
        state = told(("queued", {**QUEUED, "params": params}))
        assert to_document(state, "t1")["title"] == title


def test_whose_it_is_says_who_would_hear_a_command() -> None:
    ours, celerys = told(("queued", QUEUED)), told(("started", {"executor": "celery", "task_type": "own"}))
    theirs = told(("started", {"percent": 0}))
    assert [one.can_be_cancelled for one in (ours, celerys, theirs)] == [True, True, False]
    assert [one.is_guarded for one in (ours, celerys, theirs)] == [False, True, False]
    assert (celerys.type, celerys.is_open) == ("own", False)
