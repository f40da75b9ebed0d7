"""The order in which the wrapper does the steps of a plan that it was given."""

from __future__ import annotations

import time

from runcast.feeds.plans.given_plan import read_plan


def test_a_step_comes_after_what_it_needs_and_else_as_it_was_given() -> None:
    steps = [
        {"step_id": "report", "depends_on": ["a", "b"]},
        {"step_id": "b"},
        {"step_id": "a", "depends_on": ["c"]},
        {"step_id": "c"},
    ]
    order = [step.step_id for step in read_plan({"plan_id": "p", "steps": steps}).steps]
    assert order == ["b", "c", "a", "report"]


def test_a_long_chain_takes_no_time() -> None:
    count = 3_000
    steps = [{"step_id": f"s{n}", "depends_on": [f"s{n + 1}"] if n + 1 < count else []} for n in range(count)]
    began = time.process_time()
    order = [step.step_id for step in read_plan({"plan_id": "p", "steps": steps}).steps]
    assert time.process_time() - began < 5  # it took hours when each step looked at all others twice
    assert order == [f"s{n}" for n in reversed(range(count))]
