"""The fold of a plan's events, and the document that is made of it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kinds.plans import STREAM, Story, begun, fold
from tests.support.strategies import PURE, json_values, make_event, texts

from runcast.kinds.plan import TYPES
from runcast.kinds.plan_commands import Command, check
from runcast.kinds.plan_definition import MAX_STEPS
from runcast.kinds.plan_document import plan_document, plan_line
from runcast.kinds.plan_fold import KEPT_RESULT_BYTES, PLAN_STATE
from runcast.kinds.plan_state import MAX_PENDING, PlanState


def test_a_plan_of_others_is_known_by_what_is_told_of_it() -> None:
    story = Story().tell("plan_started", query="Why?", total_steps=2, research_type="deep")
    story.tell("step_started", "s1").tell("step_progress", "s1", progress=0.25)
    state = story.state
    assert (state.status, state.managed, state.query, state.total_steps) == ("running", False, "Why?", 2)
    assert (state.steps["s1"].status, state.steps["s1"].progress, state.steps["s1"].attempt) == (
        "running",
        0.25,
        1,
    )
    story.tell("step_completed", "s1", status="success", quality_score=0.95, data={"x": 1})
    story.tell("step_failed", "s2", error="no").tell("step_started", "s2").tell("plan_completed")
    state = story.state
    assert state.steps["s1"].result == {"status": "success", "quality_score": 0.95, "data": {"x": 1}}
    assert state.steps["s1"].quality_score == 0.95
    assert (state.steps["s2"].status, state.steps["s2"].error, state.status) == ("running", None, "completed")


def test_a_plan_that_nobody_started_exists_by_its_events() -> None:
    state = Story().tell("step_started", "s1").state
    assert (state.status, list(state.steps), state.events) == ("unknown", ["s1"], 1)
    command = Command(command="pause", command_id="c")
    assert check(state, command) == "There is no such plan."


def test_others_cannot_grow_a_state_without_bound() -> None:
    story = Story().tell("plan_started", query="x")
    for number in range(MAX_STEPS + 5):
        story.tell("step_started", f"s{number}")
    story.tell("step_progress", "s0", progress=0.5, message="m" * 10_000)
    state = story.state
    assert len(state.steps) == MAX_STEPS
    assert len(state.steps["s0"].message) == 500
    ours = begun("a")
    for number in range(MAX_PENDING + 5):
        ours.tell("plan_command", command="pause", command_id=f"c{number}")
    assert len(ours.state.pending) == MAX_PENDING
    ours.tell("command_refused", command_id="c7", command="pause", reason="no")
    assert "c7" not in ours.state.pending


def test_a_result_too_long_to_keep_is_named_by_its_place() -> None:
    story = begun("a").tell("step_started", "a", attempt=1)
    story.tell("step_completed", "a", result="x" * KEPT_RESULT_BYTES, quality_score=0.5)
    step = story.state.steps["a"]
    assert (step.result, step.result_seq, step.quality_score) == (None, 3, 0.5)


@pytest.mark.parametrize(
    ("before", "nonsense"),
    [
        ([], ("step_completed", "a")),
        ([], ("step_retrying", "a")),
        ([], ("step_progress", "a")),
        ([], ("plan_resumed", None)),
        ([("step_started", "a")], ("step_started", "a")),
        ([("step_started", "a")], ("plan_started", None)),
        ([("step_started", "a"), ("step_completed", "a")], ("step_started", "a")),
        ([("step_started", "a"), ("step_completed", "a")], ("step_skipped", "a")),
        ([("plan_cancelled", None)], ("plan_resumed", None)),
        ([("plan_completed", None)], ("step_started", "a")),
        ([("plan_completed", None)], ("plan_failed", None)),
        ([], ("step_removed", "x")),
        ([], ("step_started", "x")),
    ],
)
def test_what_makes_no_sense_for_a_plan_of_ours_changes_nothing(
    before: list[tuple[str, str | None]], nonsense: tuple[str, str | None]
) -> None:
    story = begun("a", "b")
    for name, step_id in before:
        story.tell(name, step_id)
    known = story.state
    event_type, step_id = nonsense
    story.tell(event_type, step_id, progress=0.9, attempt=7)
    changed = story.state
    changed.events, changed.latest_at = known.events, known.latest_at
    assert changed == known


def test_a_cancelled_plan_has_nothing_at_work() -> None:
    story = (
        begun("a", "b", "c").tell("step_started", "a").tell("step_started", "b").tell("step_completed", "b")
    )
    state = story.tell("plan_cancelled", reason="enough").state
    assert [step.status for step in state.steps.values()] == ["cancelled", "completed", "waiting"]
    assert state.error == "enough"


FIELDS = ("steps", "step", "order", "depends_on", "attempt", "command", "command_id", "progress", "error")
stored = st.fixed_dictionaries(
    {},
    optional={
        "step_id": json_values,
        "data": json_values | st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=4),
    },
)


@PURE
@given(st.lists(st.tuples(st.sampled_from([*sorted(TYPES), "own"]), stored), max_size=6))
def test_whatever_is_stored_the_fold_takes_it_and_is_kept(events: list[tuple[str, dict[str, Any]]]) -> None:
    """Not even a log that was written without the rules of the kind stops it."""
    state = PlanState()
    for seq, (event_type, data) in enumerate(events, 1):
        try:
            encoded = msgspec.json.encode(data)
        except (ValueError, ArithmeticError):
            continue
        PLAN_STATE.step(state, make_event(encoded, type=event_type, stream=STREAM, seq=seq))
        PLAN_STATE.step(state, make_event(b"[1]", type=event_type, stream=STREAM, seq=seq))
    assert PLAN_STATE.load(PLAN_STATE.dump(state)) == state
    json.dumps(plan_document("p", state))


@given(texts)
def test_integers_and_texts_of_any_kind_survive_a_snapshot(text: str) -> None:
    result = {"n": 2**200, "text": text}
    try:
        story = begun("a").tell("step_started", "a").tell("step_completed", "a", result=result)
    except ValueError:
        return
    state = story.state
    assert PLAN_STATE.load(PLAN_STATE.dump(state)) == state


def test_the_document_says_what_people_ask() -> None:
    gate = {"min_score": 0.5, "on_fail": "review"}
    story = begun(
        {"step_id": "a", "quality_gate": gate}, {"step_id": "b", "depends_on": ["a"]}, "c", query="Why?"
    )
    story.tell("step_started", "a", attempt=1).tell("quality_check", "a", quality_score=0.2, passed=False)
    story.tell("review_required", "a", gate="a", reason="low", quality_score=0.2, result={"x": 1})
    story.tell("step_started", "c", attempt=1).tell("step_failed", "c", error="no", will_retry=False)
    story.tell("plan_command", command="pause", command_id="c1", by="eva")
    document = plan_document("p", story.state)
    assert (document["plan_id"], document["status"], document["query"]) == ("p", "running", "Why?")
    assert document["steps_by_status"] == {"review": 1, "waiting": 1, "failed": 1}
    assert document["layers"] == [["a", "c"], ["b"]]
    assert document["reviews"] == [{"gate": "a", "step_id": "a", "reason": "low", "quality_score": 0.2}]
    assert document["pending_commands"] == [{"command_id": "c1", "command": "pause", "by": "eva"}]
    a, b, c = document["steps"]
    assert (a["status"], a["result"], a["quality_gate"]) == ("review", {"x": 1}, {**gate, "check": None})
    assert (b["depends_on"], c["error"], c["status"]) == (["a"], "no", "failed")
    assert plan_line("p", story.state).items() <= document.items()


def test_a_step_after_a_failed_one_is_shown_as_blocked() -> None:
    story = begun("a", {"step_id": "b", "depends_on": ["a"]})
    story.tell("step_started", "a").tell("step_failed", "a", error="no")
    assert [step["blocked"] for step in plan_document("p", fold(story.events))["steps"]] == [False, True]


def test_a_pause_of_any_length_is_a_time_that_can_be_told() -> None:
    story = Story().tell("plan_started", query="Why?").tell("step_started", "s1")
    story.tell("step_retrying", "s1", delay_s=1e300)
    assert plan_document("p", story.state)["steps"][0]["retry_at"]
