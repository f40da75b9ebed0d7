"""A plan as somebody's own code has it, a mapping or an object, read as far as its events need it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush
from typing import Any, Final, NamedTuple, cast

import msgspec
import uuid_utils

from runcast.errors import InvalidInput
from runcast.feeds.plans.events import MAX_TEXT_CHARS, jsonable
from runcast.kinds.plan_graph import describe_cycle, find_cycle, unknown_dependency

MAX_RESULT_BYTES: Final = 200 * 1024
_OF_PLAN: Final = ("query", "name", "research_type", "description")
_OF_STEP: Final = ("name", "description", "action")
_ABOUT_STEP: Final = (*_OF_STEP, "agent_type", "title")


class GivenStep(NamedTuple):
    """One step: `given` is what the agent gets, `told` what its event says, `min_score` what its result must reach."""

    step_id: str
    given: object
    told: dict[str, Any]
    depends_on: tuple[str, ...] = ()
    min_score: float | None = None

    def definition(self) -> dict[str, Any]:
        """The step as `plan_started` lists it."""
        fields = {name: self.told[name] for name in _OF_STEP if name in self.told}
        return {"step_id": self.step_id, "depends_on": list(self.depends_on), **fields}


class GivenPlan(NamedTuple):
    """A plan with its steps in an order in which they can be done."""

    plan_id: str
    told: dict[str, Any]
    steps: list[GivenStep]


def read_plan(plan: object) -> GivenPlan:
    """Read a plan: `plan_id` (or `id`; a new one without), `query` and `steps`, each with `step_id` (or `id`).

    Steps may be mappings, objects or plain values, in a list or as the values of a mapping. They keep their order, but
    for those that come before one of their `depends_on`.

    Raises:
        InvalidInput: the steps are none, two have one id, or they wait for one another; names the field.
    """
    steps = [_read_step(given, number) for number, given in enumerate(_steps_of(plan), 1)]
    graph: dict[str, tuple[str, ...]] = {}
    for step in steps:
        if step.step_id in graph:
            raise InvalidInput(f'steps: two have the id "{step.step_id}".', field="steps")
        graph[step.step_id] = step.depends_on
    if unknown := unknown_dependency(graph):
        raise InvalidInput(
            f'steps: "{unknown[0]}" depends on "{unknown[1]}", which is no step.', field="steps"
        )
    if cycle := find_cycle(graph):
        raise InvalidInput(f"steps: these wait for one another: {describe_cycle(cycle)}.", field="steps")
    told = {**_texts(plan, _OF_PLAN), "total_steps": len(steps)}
    told["steps"] = [step.definition() for step in steps]
    plan_id = _field(plan, "plan_id") or _field(plan, "id") or f"plan_{uuid_utils.uuid4().hex}"
    return GivenPlan(str(plan_id), told, _in_order(steps, graph))


def to_json_mapping(value: object) -> dict[str, Any]:
    """What an agent has returned as an event can hold it: as it is, or `{"result": …}` if it is no mapping.

    Objects of classes that have no form in JSON become their text. More than 200 KiB is cut, and says so.
    """
    whole: object = value
    fields = cast("Mapping[Any, Any]", value) if isinstance(value, Mapping) else {"result": value}
    try:
        told = jsonable(fields)
        size = len(msgspec.json.encode(told))
    except (ArithmeticError, TypeError, ValueError, RecursionError):
        return {"result": _cut(whole), "truncated": True}
    if size > MAX_RESULT_BYTES:
        return {"result": _cut(whole), "truncated": True, "size_bytes": size}
    return told


def score_of(result: object) -> float | None:
    """The quality score that a result brings, if it does."""
    score = _field(result, "quality_score")
    return float(score) if isinstance(score, int | float) and not isinstance(score, bool) else None


def failure_of(result: object) -> str | None:
    """Why, if the agent itself says that it has failed: a `status` of failed or error."""
    if str(_field(result, "status")).lower() not in {"failed", "error"}:
        return None
    return str(_field(result, "error") or "The agent says that it has failed.")


def _steps_of(plan: object) -> Iterable[object]:
    steps: Any = _field(plan, "steps")
    if isinstance(steps, Mapping):
        named = cast("Mapping[str, Any]", steps)
        return [_named(name, step) for name, step in named.items()]
    if steps is None or isinstance(steps, str | bytes) or not isinstance(steps, Iterable):
        raise InvalidInput("steps: the plan needs a list of steps.", field="steps")
    return cast("Iterable[object]", steps)


def _named(step_id: str, step: object) -> object:
    return {"step_id": step_id, **cast("Mapping[str, Any]", step)} if isinstance(step, Mapping) else step


def _read_step(given: object, number: int) -> GivenStep:
    step_id = str(_field(given, "step_id") or _field(given, "id") or f"step_{number}")
    told = {"step_number": number, **_texts(given, _ABOUT_STEP)}
    if isinstance(given, str):
        told["name"] = given[:MAX_TEXT_CHARS]
    needed: Any = _field(given, "depends_on") or ()
    names = (needed,) if isinstance(needed, str) else tuple(str(name) for name in needed)
    gate: Any = _field(given, "quality_gate")
    least = gate if isinstance(gate, int | float) else _field(gate, "min_score")
    is_score = isinstance(least, int | float) and not isinstance(least, bool)
    return GivenStep(step_id, given, told, names, float(least) if is_score else None)


def _in_order(steps: list[GivenStep], graph: Mapping[str, tuple[str, ...]]) -> list[GivenStep]:
    """Each after those that it depends on; else as they were given (Kahn's algorithm over their places)."""
    places = {step.step_id: place for place, step in enumerate(steps)}
    missing = {step_id: len(set(needed)) for step_id, needed in graph.items()}
    dependents: dict[str, list[str]] = {step_id: [] for step_id in graph}
    for step_id, needed in graph.items():
        for name in set(needed):
            dependents[name].append(step_id)
    free = [places[step_id] for step_id, count in missing.items() if not count]
    heapify(free)
    order: list[GivenStep] = []
    while free:
        step = steps[heappop(free)]
        order.append(step)
        for name in dependents[step.step_id]:
            missing[name] -= 1
            if not missing[name]:
                heappush(free, places[name])
    return order


def _texts(source: object, names: Iterable[str]) -> dict[str, Any]:
    values = {name: _field(source, name) for name in names}
    return {name: str(value)[:MAX_TEXT_CHARS] for name, value in values.items() if value is not None}


def _field(source: object, name: str) -> Any:
    if isinstance(source, Mapping):
        return cast("Mapping[str, Any]", source).get(name)
    return None if isinstance(source, str) else getattr(source, name, None)


def _cut(value: object) -> str:
    return str(value)[:MAX_TEXT_CHARS]
