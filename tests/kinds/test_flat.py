"""Flat frames, and the envelope's names in what publishers give."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.strategies import make_event

from runcast.errors import InvalidEvent
from runcast.kinds.base import Publish
from runcast.kinds.flat import Flat

FLAT = Flat("job", "step", "job_id")


def publish(**data: Any) -> Publish:
    return Publish(stream="job:7", type="begun", id="one", time="2026-02-02T02:40:00Z", data=data)


@pytest.mark.parametrize("data", [b"{}", b'{"a":1,"b":{"c":[]}}'])
def test_a_frame_is_the_fields_between_owner_and_place(data: bytes) -> None:
    event = make_event(data, type="begun", stream="job:7")
    frame = json.loads(FLAT.encode_frame(event, "here"))
    assert list(frame) == [
        "step",
        "job_id",
        *json.loads(data),
        "timestamp",
        "event_id",
        "seq",
        "cursor",
    ]
    assert (frame["step"], frame["job_id"], frame["cursor"]) == ("begun", "7", "here")
    assert FLAT.to_frame(event)["cursor"].startswith(event.epoch)


def test_the_two_halves_of_a_streams_name() -> None:
    assert (FLAT.stream("7"), FLAT.id_of("job:7")) == ("job:7", "7")


def test_what_repeats_the_envelope_is_left_out_and_what_contradicts_it_refused() -> None:
    same = {"step": "begun", "event_id": "one", "job_id": "7", "timestamp": "2026-02-02T03:40:00+01:00"}
    assert FLAT.fields(publish(**same, a=1)) == {"a": 1}
    assert FLAT.fields(publish(event_id=None, a=1)) == {"a": 1}
    for name, value in (("step", "over"), ("event_id", "two"), ("job_id", "8"), ("timestamp", 5)):
        with pytest.raises(InvalidEvent, match=f"^{name}: does not agree"):
            FLAT.fields(publish(**{name: value}))


def test_reserved_names_are_moved_and_the_publishers_own_is_left_as_it_is() -> None:
    given = publish(seq=3, type="mine", a=1)
    assert FLAT.fields(given) == {"a": 1, "data": {"seq": 3, "type": "mine"}}
    assert given.data == {"seq": 3, "type": "mine", "a": 1}
    with_type = Flat("job", "type", "job_id")
    assert with_type.fields(publish(type="begun", a=1)) == {"a": 1}
    assert with_type.fields(publish(type="other")) == {"data": {"type": "other"}}
