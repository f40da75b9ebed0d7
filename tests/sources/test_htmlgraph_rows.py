"""Rows of `agent_events` as session events: what is told once, what of a change, and what the log gives back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runcast.core.event import Event
from runcast.errors import InvalidStreamName
from runcast.kinds.base import Publish, accept
from runcast.kinds.session import MAX_SUMMARY_CHARS, SESSION
from runcast.sources.htmlgraph.rows import Seen, after_update, first_event, recall, seen, update_event

ROW: dict[str, Any] = {
    "event_id": "evt-1",
    "agent_id": "claude-code",
    "event_type": "task_delegation",
    "timestamp": "2026-11-20 08:47:38",
    "tool_name": "Task",
    "input_summary": "(Explore): look",
    "tool_input": '{"prompt":"look"}',
    "output_summary": None,
    "context": "not json",
    "session_id": "session-8463c716",
    "feature_id": "feat-1",
    "parent_agent_id": None,
    "parent_event_id": "evt-0",
    "subagent_type": "Explore",
    "child_spike_count": 0,
    "cost_tokens": 13,
    "execution_duration_seconds": 0.0,
    "status": "started",
    "model": "claude-opus-4-6",
    "claude_task_id": None,
    "source": "hook",
    "step_id": None,
    "created_at": "2026-11-20 08:47:38",
    "updated_at": "2026-11-20 08:47:38",
}
TIME_US = 1_795_164_458_000_000


def stored(publish: Publish, seq: int = 1) -> Event:
    new = accept(SESSION, publish, TIME_US, 256 * 1024)
    return Event(new.stream, "e", seq, seq, new.id, new.type, new.time, new.data)


def first(**changes: Any) -> Publish:
    row = {**ROW, **changes}
    return first_event(row, seen(row))


def test_a_row_s_fields_are_the_document_s() -> None:
    event = first()
    assert (event.stream, event.id) == ("session:session-8463c716", "evt-1")
    assert (event.type, event.time) == ("task_delegation", TIME_US)
    assert event.data == {
        "agent_id": "claude-code",
        "tool_name": "Task",
        "input_summary": "(Explore): look",
        "output_summary": None,
        "model": "claude-opus-4-6",
        "feature_id": "feat-1",
        "status": "started",
        "source": "htmlgraph",
        "row_digest": seen(ROW).digest,
        "agent_type": "Explore",
        "recorded_by": "hook",
        "tool_input": {"prompt": "look"},
        "context": "not json",
        "parent_event_id": "evt-0",
        "cost_tokens": 13,
        "execution_duration_seconds": 0.0,
    }
    stored(event)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T08:47:38",
        "2026-11-20T08:47:38Z",
        "2026-11-20 09:47:38+01:00",
        "2026-11-20T08:47:38.000000",
    ],
)
def test_times_are_read_in_every_form_and_are_utc_without_a_zone(text: str) -> None:
    assert first(timestamp=text).time == TIME_US


def test_a_time_that_cannot_be_read_is_that_of_writing_or_now() -> None:
    assert first(timestamp="yesterday").time == TIME_US
    assert first(timestamp=None, created_at=b"\x00").time is None


def test_columns_may_be_missing_or_hold_anything() -> None:
    row: dict[str, Any] = {"event_id": "e", "event_type": "error", "session_id": "s"}
    event = stored(first_event(row, seen(row)))
    assert json.loads(event.data)["status"] == "recorded"
    odd = first(
        cost_tokens="many", execution_duration_seconds=-1, model=5, agent_id=b"\xff", output_summary=1.5
    )
    data = json.loads(stored(odd).data)
    assert (data["cost_tokens"], data["execution_duration_seconds"]) == (0, 0.0)
    assert (data["model"], data["agent_id"], data["output_summary"]) == ("5", "ff", "1.5")
    long = json.loads(stored(first(tool_input=json.dumps("x" * 20_000), input_summary="y" * 20_000)).data)
    assert len(long["tool_input"]) == len(long["input_summary"]) == MAX_SUMMARY_CHARS


def test_a_row_without_a_session_has_no_stream() -> None:
    with pytest.raises(InvalidStreamName):
        first(session_id=None)


class TestChanges:
    def test_an_update_has_the_fields_as_they_are_now_and_what_came_to_the_cost(self):
        row = {
            **ROW,
            "status": "completed",
            "cost_tokens": 20,
            "execution_duration_seconds": 2.5,
            "updated_at": "2026-11-20 08:48:00",
        }
        event = update_event(row, seen(row), seen(ROW))
        assert (event.type, event.time) == ("update", TIME_US + 22_000_000)
        assert event.id is not None
        assert event.id.startswith("evt-1:")
        assert event.data["parent_event_id"] == "evt-1"
        assert (event.data["status"], event.data["updated_type"]) == ("completed", "task_delegation")
        assert (event.data["cost_tokens"], event.data["execution_duration_seconds"]) == (7, 2.5)
        again = update_event({**row, "feature_id": "f"}, seen(row), after_update(seen(row), seen(ROW)))
        assert (again.data["cost_tokens"], again.data["execution_duration_seconds"]) == (0, 0.0)

    def test_only_what_says_something_makes_a_change(self):
        digest = seen(ROW).digest
        assert seen({**ROW, "updated_at": "2027-01-01", "new_column": None, "another": 0}).digest == digest
        for name in ROW.keys() - {"created_at", "updated_at"}:
            assert seen({**ROW, name: "changed"}).digest != digest, name

    def test_a_row_that_changes_back_and_forth_is_told_each_time(self):
        other = {**ROW, "status": "completed"}
        later = {**other, "updated_at": "2026-11-20 08:50:00"}
        ids = {update_event(row, seen(row), seen(ROW)).id for row in (other, later)}
        assert len(ids) == 2

    def test_a_cost_that_shrinks_is_not_told_twice_when_it_grows_again(self):
        costs = [13, 5, 15]
        known, total = Seen("", 0, 0.0), 0
        for cost in costs:
            row = {**ROW, "cost_tokens": cost}
            now = seen(row)
            event = update_event(row, now, known)
            total += event.data["cost_tokens"]
            known = after_update(now, known)
        assert total == 15

    def test_the_log_gives_back_what_was_told(self):
        told: dict[str, Seen] = {}
        row = {**ROW, "status": "completed", "cost_tokens": 20, "execution_duration_seconds": 2.5}
        recall(stored(first()), told)
        assert told == {"evt-1": seen(ROW)}
        recall(stored(update_event(row, seen(row), seen(ROW)), 2), told)
        assert told == {"evt-1": seen(row)}
        final = {**row, "feature_id": None}
        recall(stored(update_event(final, seen(final), seen(row)), 3), told)
        assert told == {"evt-1": seen(final)}

    def test_events_of_others_say_nothing_of_rows(self):
        told: dict[str, Seen] = {}
        for data in ({}, {"source": "hook", "row_digest": "a"}, {"source": "htmlgraph", "row_digest": 5}):
            recall(stored(Publish(stream="session:s", type="tool_call", id="evt-1", data=data)), told)
        recall(Event("session:s", "e", 1, 1, "evt-1", "x", 1, b"[]"), told)
        assert told == {}
