"""Plans as they are asked for: what can be read, and errors that name the step and the field."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from tests.support.strategies import PURE, json_values

from runcast.errors import InvalidInput, TooLarge
from runcast.kinds.plan_definition import MAX_STEPS, parse_plan, parse_step

PLAN_FILE = """
name: Penguins
query: What do penguins do?
parallel_steps: 2
steps:
  - id: find
    description: Find penguins.
  - id: count
    action: count
    depends_on: find
    params: {limit: 3}
    max_attempts: 5
    backoff_s: 0.5
    timeout_s: 60
    quality_gate: {min_score: 0.8, on_fail: review}
  - depends_on: [find, count, find]
"""


def test_a_plan_file_is_read() -> None:
    plan = parse_plan(yaml.safe_load(PLAN_FILE), ["research", "count"])
    assert (plan.name, plan.query, plan.parallel_steps) == ("Penguins", "What do penguins do?", 2)
    find, count, third = plan.steps
    assert (find.step_id, find.action, find.max_attempts, find.title) == ("find", "research", 3, "find")
    assert (count.depends_on, count.params, count.max_attempts) == (("find",), {"limit": 3}, 5)
    assert count.quality_gate is not None
    assert (count.quality_gate.min_score, count.quality_gate.on_fail) == (0.8, "review")
    assert (third.step_id, third.depends_on) == ("step_3", ("find", "count"))
    assert parse_plan(msgspec.to_builtins(plan)) == plan


@pytest.mark.parametrize(
    ("plan", "error"),
    [
        ([], "plan: an object is expected."),
        ({}, "steps: a list of at least one step is expected."),
        ({"steps": []}, "steps: a list of at least one step is expected."),
        ({"steps": {"a": {}}}, "steps: a list of at least one step is expected."),
        ({"steps": [{}], "nam": "x"}, "nam: there is no such field."),
        ({"steps": [{}], "parallel_steps": 0}, "parallel_steps: an integer from 1 to 64 is expected."),
        ({"steps": [{}, "b"]}, "steps[1]: an object is expected."),
        ({"steps": [{}, {"timout_s": 3}]}, "steps[1].timout_s: there is no such field."),
        ({"steps": [{"max_attempts": 11}]}, "steps[0].max_attempts: an integer from 1 to 10 is expected."),
        ({"steps": [{"max_attempts": True}]}, "steps[0].max_attempts: an integer from 1 to 10 is expected."),
        (
            {"steps": [{"timeout_s": 0}]},
            "steps[0].timeout_s: a number of seconds above 0 and up to 604800, or null, is expected.",
        ),
        (
            {"steps": [{"quality_gate": {"min_score": 2}}]},
            "steps[0].quality_gate.min_score: a number from 0 to 1 is expected.",
        ),
        (
            {"steps": [{"quality_gate": {"on_fail": "x"}}]},
            "steps[0].quality_gate.on_fail: retry, review or fail is expected.",
        ),
        ({"steps": [{"depends_on": [1]}]}, "steps[0].depends_on[0]: a list of step ids is expected."),
        ({"steps": [{}, {}, {"depends_on": ["x"]}]}, 'steps[2].depends_on: there is no step "x".'),
        (
            {"steps": [{"id": "a", "depends_on": "a"}]},
            'steps[0].depends_on: the step "a" cannot wait for itself.',
        ),
        (
            {"steps": [{"id": "a", "depends_on": "b"}, {"id": "b", "depends_on": "a"}]},
            "steps[0].depends_on: these steps wait for one another: a → b → a.",
        ),
        ({"steps": [{"id": "a"}, {"id": "a"}]}, 'steps[1].step_id: "a" is the id of steps[0] already.'),
        (
            {"steps": [{"id": "a b"}]},
            "steps[0].step_id: 1 to 100 of A-Z, a-z, 0-9 and . _ ~ -, beginning with a letter or a digit.",
        ),
        ({"steps": [{"id": "a", "step_id": "a"}]}, "steps[0].id: another word for step_id, which is there."),
        ({"steps": [{"action": "x"}]}, 'steps[0].action: there is no action "x"; there are: research.'),
    ],
)
def test_errors_name_the_step_and_the_field(plan: Any, error: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_plan(plan, ["research"])
    assert str(caught.value) == error
    assert caught.value.field == error.partition(": ")[0]


def test_there_are_limits() -> None:
    parse_plan({"steps": [{}] * MAX_STEPS})
    with pytest.raises(TooLarge, match=r"^steps: 201 steps; the limit is 200"):
        parse_plan({"steps": [{}] * (MAX_STEPS + 1)})
    with pytest.raises(TooLarge, match=r"bytes of JSON; the limit is 196608"):
        parse_plan({"steps": [{"params": {"x": "y" * 200_000}}]})
    with pytest.raises(InvalidInput, match=r"^step.step_id: missing"):
        parse_step({})


@PURE
@given(json_values)
def test_whatever_is_given_is_read_or_refused(value: Any) -> None:
    for plan in (
        value,
        {"steps": value},
        {"steps": [value]},
        {"steps": [{"params": value, "depends_on": value}]},
    ):
        with suppress(InvalidInput):
            assert parse_plan(plan).steps
