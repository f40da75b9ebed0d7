"""Decisions about a plan, one by one; the machine beside this has them all together."""

from __future__ import annotations

import pytest
from tests.kinds.plans import begun
from tests.support.strategies import NOW_US

from runcast.kinds.plan_definition import StepDefinition
from runcast.runners.plans.schedule import NOTHING, Attempt, Failed, Returned, backoff_s, decide, ended


def test_what_came_of_an_attempt_that_does_not_count_is_not_told() -> None:
    story = begun("a").tell("step_started", "a", attempt=2)
    assert ended(story.state, "a", 2, Returned("x", None), 1.0) != []
    assert ended(story.state, "a", 1, Returned("x", None), 1.0) == []
    assert ended(story.state, "b", 1, Failed("no"), 1.0) == []
    assert ended(story.tell("plan_cancelled").state, "a", 2, Returned("x", None), 1.0) == []


def test_a_step_that_went_down_with_its_process_is_tried_again_while_attempts_are_left() -> None:
    once = {"step_id": "a", "max_attempts": 1}
    for step, answer in (("a", "step_retrying"), (once, "step_failed")):
        state = begun(step).tell("step_started", "a", attempt=1).state
        assert [tell.type for tell in decide(state, NOW_US, {}, 4).tell] == [answer]
        assert decide(state, NOW_US, {"a": Attempt(1)}, 4).tell == []
        assert [tell.type for tell in decide(state, NOW_US, {"a": Attempt(1, NOW_US)}, 4).tell] == [answer]


def test_a_paused_plan_is_parked_once_nothing_runs() -> None:
    story = begun("a", "b").tell("step_started", "a", attempt=1).tell("plan_paused")
    assert not decide(story.state, NOW_US, {"a": Attempt(1)}, 4).parked
    assert decide(story.tell("step_completed", "a").state, NOW_US, {}, 4).parked


def test_nothing_is_decided_about_what_is_over_or_somebody_elses() -> None:
    assert decide(begun("a").tell("plan_cancelled").state, NOW_US, {}, 4) == NOTHING
    foreign = begun("a").state
    foreign.managed = False
    assert decide(foreign, NOW_US, {}, 4) == NOTHING


def test_a_step_that_waits_for_its_time_is_looked_at_then() -> None:
    story = begun("a").tell("step_started", "a", attempt=1)
    story.tell("step_failed", "a", error="no", will_retry=True).tell("step_retrying", "a", delay_s=7.5)
    retry_at = story.events[-1].time + 7_500_000
    assert decide(story.state, retry_at - 1, {}, 4).wake_at == retry_at
    assert decide(story.state, retry_at, {}, 4).start == ["a"]


@pytest.mark.parametrize(
    ("own", "waits"), [(1.0, [1, 2, 4, 8]), (0, [0, 0, 0, 0]), (100, [100, 200, 300, 300]), (900, [900] * 4)]
)
def test_how_long_is_waited_between_attempts(own: float, waits: list[float]) -> None:
    step = StepDefinition(step_id="a", backoff_s=own)
    assert [backoff_s(step, tries) for tries in (1, 2, 3, 4)] == waits
