"""What is known of the open runs: pure bookkeeping, one event at a time."""

from __future__ import annotations

from typing import cast

from runcast.core.event import Event
from runcast.kinds.base import Kind
from runcast.runners.lane import Lane, Runner

JOB = Kind(name="job", starts=frozenset({"begun"}), terminals=frozenset({"done"}))
STREAM = "job:1"


def event(event_type: str) -> Event:
    return Event(STREAM, "e", 1, 1, "id", event_type, 0, b"{}")


def lane() -> Lane:
    return Lane(cast("Runner", None), JOB, 1)


def test_a_run_that_begins_waits_for_a_place() -> None:
    known = lane()
    known.hear(event("begun"))
    assert known.take_ready() == STREAM
    assert known.take_ready() is None


def test_what_comes_while_it_is_tried_is_not_lost() -> None:
    for came in ("job_command", "begun"):
        known = lane()
        known.hear(event("begun"))
        known.take_ready()
        known.hear(event(came))
        known.put_back(STREAM, held=False)
        assert known.take_ready() == STREAM
        known.put_back(STREAM, held=False)
        assert known.take_ready() is None


def test_one_that_belongs_to_another_is_left_to_it() -> None:
    known = lane()
    known.hear(event("begun"))
    known.take_ready()
    known.hear(event("job_command"))
    known.put_back(STREAM, held=True)
    assert known.take_ready() is None
    known.try_held()
    assert known.take_ready() == STREAM


def test_one_that_is_over_is_forgotten() -> None:
    known = lane()
    known.hear(event("begun"))
    known.hear(event("done"))
    assert known.take_ready() is None
