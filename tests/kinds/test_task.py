"""The task kind: what an event says, whoever published it, and what begins and ends a run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.swift import check

from runcast.core.event import Edge, Event
from runcast.errors import InvalidEvent
from runcast.kinds.base import Publish, accept
from runcast.kinds.task import (
    TASK,
    begins,
    check_own_step,
    encode_frame,
    from_frame,
    normalise,
    task_id_of,
    task_stream,
    to_frame,
)

NOW = 1_760_000_000_000_000


def settled(data: dict[str, Any], step: str = "scam_db", **more: Any) -> dict[str, Any]:
    return normalise(Publish(stream="task:t1", type=step, data=data, **more))


def edge(step: str, **data: Any) -> Edge:
    return accept(TASK, Publish(stream="task:t1", type=step, data=data), NOW, 100_000).edge


def frame_of(publish: Publish) -> bytes:
    new = accept(TASK, publish, NOW, 1_000_000)
    return encode_frame(Event(new.stream, "ab" * 8, 1, 1, new.id or "e1", new.type, new.time, new.data))


def test_what_clients_read_is_there_whatever_was_given() -> None:
    assert settled({}) == {"message": "", "percent": 0, "error": False, "tool": None}
    assert settled({"message": None, "percent": None, "error": None, "tool": None}) == settled({})
    given = {"tool": "scam_database", "percent": 35, "message": "…", "error": False, "found": [1]}
    assert settled(given) == given


def test_completed_is_a_hundred_percent_and_failed_is_an_error() -> None:
    assert settled({}, "completed")["percent"] == 100
    assert settled({"error": False}, "failed")["error"] is True
    assert settled({}, "failed")["percent"] == 0


@pytest.mark.parametrize(("given", "percent"), [(0, 0), (100, 100), (35.0, 35), (99.9, 99)])
def test_percent_is_an_integer(given: float, percent: int) -> None:
    assert settled({"percent": given})["percent"] == percent
    assert type(settled({"percent": given})["percent"]) is int


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[
            ("percent", value)
            for value in ("40", True, -1, 101, 100.5, float("nan"), float("inf"), [], 1e300)
        ],
        *[("message", value) for value in (1, True, ["x"], {})],
        *[("error", value) for value in (0, 1, "false", "")],
        *[("tool", value) for value in (1, False, "x" * 201)],
        ("heartbeat", True),
        ("heartbeat", "yes"),
        ("step", "other"),
        ("task_id", "t2"),
        ("event_id", "e9"),
        ("timestamp", "2025-10-18T10:30:00Z"),
    ],
)
def test_what_cannot_be_is_named(field: str, value: Any) -> None:
    with pytest.raises(InvalidEvent, match=f"^{field}: ") as caught:
        settled({field: value})
    assert caught.value.field == field


def test_the_envelope_may_be_repeated_and_a_false_heartbeat_is_dropped() -> None:
    repeated = {"step": "scam_db", "task_id": "t1", "event_id": "e1", "timestamp": "2025-10-18T10:30:00"}
    given = settled({**repeated, "heartbeat": False}, id="e1", time="2025-10-18T10:30:00Z")
    assert given == settled({})


def test_reserved_names_are_moved_and_a_long_message_is_cut() -> None:
    assert settled({"type": "progress", "cursor": 5})["data"] == {"type": "progress", "cursor": 5}
    assert len(settled({"message": "x" * 10_000})["message"]) == 4_000


def test_which_events_begin_and_end_a_run() -> None:
    assert edge("completed") is edge("failed") is Edge.TERMINAL
    assert edge("queued", percent=5) is edge("started", percent=5) is Edge.START
    assert edge("entity_extraction", percent=10) is Edge.START  # the documented agent's first
    assert edge("processing", percent=0) is edge("anything") is Edge.START
    assert edge("processing", percent=1) is edge("scam_db", percent=35) is Edge.NONE
    assert edge("processing", percent=0, error=True) is Edge.NONE  # a cry after the end is no beginning


def test_the_frame_has_the_documented_fields() -> None:
    publish = from_frame("t1", {"step": "scam_db", "tool": "scam_database", "message": "…", "percent": 40})
    frame = json.loads(frame_of(publish))
    assert list(frame) == [
        *("step", "task_id", "message", "percent", "error", "tool"),
        *("timestamp", "event_id", "seq", "cursor"),
    ]
    assert (frame["step"], frame["tool"], frame["percent"], frame["error"]) == (
        *("scam_db", "scam_database"),
        *(40, False),
    )
    new = Event("task:t1", "ab" * 8, 1, 1, "e1", "x", NOW, b"{}")
    assert to_frame(new)["task_id"] == "t1"
    assert task_id_of(task_stream("t1")) == "t1"


def test_a_message_without_a_step_is_processing() -> None:
    assert from_frame("t1", {"message": "…"}).type == "processing"
    with pytest.raises(InvalidEvent, match=r"^step: "):
        from_frame("t1", {"step": 5})
    with pytest.raises(InvalidEvent, match=r"^task_id: "):
        from_frame("t1", {"task_id": "t2"})
    with pytest.raises(InvalidEvent, match=r"^timestamp: "):
        from_frame("t1", {"timestamp": "soon"})


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(
    ["step", "message", "percent", "error", "tool", "timestamp", "heartbeat", "task_id", "seq", "type", "x"]
)


@given(st.dictionaries(names | st.text(max_size=8), values, max_size=8))
def test_whatever_is_accepted_decodes_as_the_swift_client_does(message: dict[str, Any]) -> None:
    frame, refused = b"", None
    try:
        frame = frame_of(from_frame("t1", message))
    except InvalidEvent as error:
        refused = error
    if refused is None:
        assert check(frame).heartbeat is None
    else:
        assert refused.field


def test_a_command_begins_no_run_and_is_one_that_there_is() -> None:
    """It may come right after the end: the last run is over all the same."""
    fields = normalise(Publish(stream="task:t", type="task_command", data={"command": "cancel"}))
    assert not begins("task_command", fields)
    assert begins("processing", fields)
    for data in ({}, {"command": "explode"}, {"command": None}):
        with pytest.raises(InvalidEvent, match="command: cancel is the one there is"):
            normalise(Publish(stream="task:t", type="task_command", data=data))


def test_a_tasks_own_steps_are_not_those_of_who_runs_it() -> None:
    for step in ("queued", "started", "retrying", "task_command"):
        with pytest.raises(InvalidEvent, match=f"^step: {step} is the word of those who run"):
            check_own_step(step)
    for step in ("completed", "failed"):
        with pytest.raises(InvalidEvent, match="is told when the task's function ends"):
            check_own_step(step)
    for step in ("processing", "entity_extraction", "start"):
        check_own_step(step)
