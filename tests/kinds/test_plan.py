"""The plan kind: what is stored of an event, whoever gives it in whichever way, and the frame that clients get."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import NOW_US, PURE, json_values, make_event, texts

from runcast.core.event import Edge
from runcast.errors import InvalidEvent, InvalidInput
from runcast.kinds.base import Publish, accept
from runcast.kinds.plan import DOCUMENTED, PLAN, TYPES, encode_frame, event_type_of, to_frame


def stored(event_type: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    publish = Publish(stream="plan:p", type=event_type, data=data, **more)
    return json.loads(accept(PLAN, publish, NOW_US, 256 * 1024).data)


@pytest.mark.parametrize("name", sorted(TYPES - {"plan_command"}))
def test_types_are_accepted_in_upper_case_and_stored_in_lower(name: str) -> None:
    publish = Publish(stream="plan:p", type=name.upper(), data={"data": {"progress": 1}})
    new = accept(PLAN, publish, NOW_US, 10_000)
    assert new.type == name
    terminal = name in {"plan_completed", "plan_failed", "plan_cancelled"}
    assert new.edge == (Edge.TERMINAL if terminal else Edge.START if name == "plan_started" else Edge.NONE)


def test_other_types_stay_as_they_are() -> None:
    assert event_type_of("MyOwn") == "MyOwn"
    assert len(DOCUMENTED) == 16


def test_the_frame_has_the_documented_fields_and_the_place() -> None:
    event = make_event(
        b'{"step_id":"s1","data":{"progress":0.5}}', type="step_progress", stream="plan:p", seq=7
    )
    assert to_frame(event, "here") == {
        "event_type": "step_progress",
        "plan_id": "p",
        "step_id": "s1",
        "data": {"progress": 0.5},
        "timestamp": "2026-02-02T02:40:00.000Z",
        "event_id": "e7",
        "seq": 7,
        "cursor": "here",
    }
    assert to_frame(event)["cursor"] == f"{event.epoch}-7-{to_frame(event)['cursor'][-4:]}"


@pytest.mark.parametrize("data", [b"{}", b'{"x":1}', b'{"data":{}}'])
def test_what_was_stored_without_the_rules_has_a_frame_all_the_same(data: bytes) -> None:
    frame = to_frame(make_event(data, type="odd", stream="plan:p"), "c")
    assert (frame["step_id"], frame["data"]) == (None, json.loads(data))


@PURE
@given(st.dictionaries(texts, json_values, max_size=4), st.none() | st.just("s"))
def test_any_data_comes_out_as_it_went_in(data: dict[str, Any], step_id: str | None) -> None:
    try:
        new = accept(
            PLAN,
            Publish(stream="plan:p", type="odd", data={"step_id": step_id, "data": data}),
            NOW_US,
            10**6,
        )
    except InvalidEvent:
        return  # what JSON cannot hold
    frame = json.loads(encode_frame(make_event(new.data, type="odd", stream="plan:p"), "c"))
    assert frame["step_id"] == step_id
    assert json.dumps(frame["data"]) == json.dumps(json.loads(new.data)["data"])


def test_fields_beside_data_are_moved_into_it() -> None:
    assert stored("found", {"step_id": "a", "what": 1, "data": {"x": 2}}) == {
        "step_id": "a",
        "data": {"x": 2, "what": 1},
    }
    with pytest.raises(InvalidEvent, match=r"^what: stands beside data and in it"):
        stored("found", {"what": 1, "data": {"what": 2}})


def test_a_whole_frame_is_taken_if_it_agrees_with_its_envelope() -> None:
    frame = {
        "event_type": "PLAN_PAUSED",
        "plan_id": "p",
        "step_id": None,
        "data": {"x": 1},
        "timestamp": "2026-01-01T00:00:00Z",
        "event_id": "e",
        "seq": 3,
        "cursor": "c",
    }
    assert stored("plan_paused", frame, id="e") == {"step_id": None, "data": {"x": 1}}
    for name, value in {"event_type": "other", "plan_id": "q", "event_id": "f"}.items():
        with pytest.raises(InvalidEvent) as caught:
            stored("plan_paused", {**frame, name: value}, id="e")
        assert caught.value.field == name


@pytest.mark.parametrize("progress", [None, "0.4", 40, -0.1, 1.01, True, float("nan"), [0.5]])
def test_progress_is_a_fraction(progress: Any) -> None:
    with pytest.raises(InvalidEvent, match=r"^data.progress: a number from 0 to 1 is expected"):
        stored("step_progress", {"step_id": "a", "data": {"progress": progress}})


@pytest.mark.parametrize("progress", [0, 1, 0.25])
def test_a_fraction_is_progress_and_there_is_always_a_message(progress: float) -> None:
    data = stored("step_progress", {"step_id": "a", "data": {"progress": progress}})["data"]
    assert data == {"progress": progress, "message": ""}


@pytest.mark.parametrize(
    ("given_data", "score"),
    [
        ({"quality_score": 0.4}, 0.4),
        ({"score": 0.3}, 0.3),
        ({"passed": True}, 1.0),
        ({"passed": False}, 0.0),
        ({}, 0.0),
        ({"quality_score": float("nan")}, 0.0),
        ({"quality_score": None}, 0.0),
    ],
)
def test_a_quality_check_always_has_a_score_to_compare(given_data: dict[str, Any], score: float) -> None:
    assert stored("quality_check", {"data": given_data})["data"]["quality_score"] == score


@pytest.mark.parametrize("name", ["plan_failed", "step_failed"])
def test_what_failed_always_says_so_in_words(name: str) -> None:
    assert stored(name, {"step_id": "a"})["data"]["error"] == "It failed."
    with pytest.raises(InvalidEvent, match=r"^data.error: a text is expected"):
        stored(name, {"data": {"error": {"code": 1}}})


@pytest.mark.parametrize("step_id", ["", "x" * 201, 7, "a\nb", ["a"]])
def test_a_step_is_called_something_that_can_be_shown(step_id: Any) -> None:
    with pytest.raises(InvalidEvent, match=r"^step_id: null, or a text"):
        stored("step_started", {"step_id": step_id})


@pytest.mark.parametrize("data", [[], "text", 3])
def test_data_is_an_object(data: Any) -> None:
    with pytest.raises(InvalidEvent, match=r"^data: an object"):
        stored("plan_paused", {"data": data})


def test_a_plan_for_our_runner_is_one_that_can_be_run() -> None:
    stored("plan_started", {"data": {"managed": True, "steps": [{"step_id": "a"}]}})
    with pytest.raises(InvalidEvent, match=r'^data.steps\[0\].depends_on: there is no step "x"') as caught:
        stored("plan_started", {"data": {"managed": True, "steps": [{"step_id": "a", "depends_on": ["x"]}]}})
    assert caught.value.field == "data.steps[0].depends_on"
    # others may call steps what they like
    stored("plan_started", {"data": {"steps": "three", "query": "x"}})


@pytest.mark.parametrize(
    ("step_id", "data", "field"),
    [
        (None, {"command": "explode", "command_id": "c"}, "data.command"),
        (None, {"command_id": "c"}, "data.command"),
        (None, {"command": "pause"}, "data.command_id"),
        (None, {"command": "skip_step", "command_id": "c"}, "data.step_id"),
        (None, {"command": "review", "command_id": "c", "approved": True}, "data.gate"),
        (None, {"command": "review", "command_id": "c", "gate": "a", "approved": "yes"}, "data.approved"),
        ("a", {"command": "set_depends_on", "command_id": "c", "depends_on": "b"}, "data.depends_on"),
        (None, {"command": "reorder", "command_id": "c", "order": [1]}, "data.order"),
        (None, {"command": "add_step", "command_id": "c", "step": {}}, "data.step.step_id"),
    ],
)
def test_a_command_says_what_it_needs(step_id: str | None, data: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        stored("plan_command", {"step_id": step_id, "data": data})
    assert caught.value.field == field
