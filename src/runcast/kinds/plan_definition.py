"""What a plan is asked to be: its steps and their rules, read from JSON or YAML with errors that name the place."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar, cast

import msgspec
from msgspec import Meta

from runcast.errors import InvalidInput, TooLarge
from runcast.kinds.plan_graph import describe_cycle, find_cycle, unknown_dependency

MAX_STEPS: Final = 200
MAX_DEFINITION_BYTES: Final = 192 * 1024
"""The JSON of all steps together: it is one event of the plan's stream."""
MAX_STEP_ID_CHARS: Final = 100
MAX_TEXT_CHARS: Final = 10_000
MAX_NAME_CHARS: Final = 500
MAX_ATTEMPTS: Final = 10
MAX_TIME_S: Final = 7 * 86_400.0
MAX_PARALLEL: Final = 64
RESEARCH: Final = "research"
"""The action of a step that names none."""

_STEP_ID: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._~-]{{0,{MAX_STEP_ID_CHARS - 1}}}")
_PLACE: Final = re.compile(r" - at `\$\.?(.*)`$")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*?)`")
_MISSING: Final = re.compile(r"Object missing required field `(.*?)`")

T = TypeVar("T")

Name = Annotated[str, Meta(max_length=MAX_NAME_CHARS)]
Text = Annotated[str, Meta(max_length=MAX_TEXT_CHARS)]


class QualityGate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a step's result must be worth. The score is the result's own, or that of the gate function `check`."""

    min_score: Annotated[float, Meta(ge=0, le=1)] = 0.7
    on_fail: Literal["retry", "review", "fail"] = "retry"
    check: Name | None = None


class StepDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One step: what is done, after which others, how often it is tried, and when its result is good enough.

    Before the second attempt `backoff_s` are waited, before each later one twice as long. `timeout_s` is for
    one attempt.
    """

    step_id: str
    name: Name = ""
    description: Text = ""
    depends_on: tuple[str, ...] = ()
    action: Annotated[str, Meta(min_length=1, max_length=100)] = RESEARCH
    params: dict[str, Any] = {}
    max_attempts: Annotated[int, Meta(ge=1, le=MAX_ATTEMPTS)] = 3
    backoff_s: Annotated[float, Meta(ge=0, le=3_600)] = 1.0
    timeout_s: Annotated[float, Meta(gt=0, le=MAX_TIME_S)] | None = None
    quality_gate: QualityGate | None = None

    @property
    def title(self) -> str:
        """What people call it."""
        return self.name or self.step_id


class PlanDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A whole plan as it is asked for. `query` is what it is about; `metadata` is kept and shown, nothing more."""

    steps: tuple[StepDefinition, ...]
    name: Name = ""
    query: Text = ""
    plan_id: str | None = None
    parallel_steps: Annotated[int, Meta(ge=1, le=MAX_PARALLEL)] | None = None
    metadata: dict[str, Any] = {}


_EXPECTED: Final[dict[str, str]] = {
    "plan_id": "a text or null is expected",
    "name": f"a text of at most {MAX_NAME_CHARS} characters is expected",
    "query": f"a text of at most {MAX_TEXT_CHARS:,} characters is expected",
    "metadata": "an object is expected",
    "parallel_steps": f"an integer from 1 to {MAX_PARALLEL} is expected",
    "step_id": "a text is expected",
    "description": f"a text of at most {MAX_TEXT_CHARS:,} characters is expected",
    "depends_on": "a list of step ids is expected",
    "action": "the name of an action is expected, such as research",
    "params": "an object is expected",
    "max_attempts": f"an integer from 1 to {MAX_ATTEMPTS} is expected",
    "backoff_s": "a number of seconds from 0 to 3600 is expected",
    "timeout_s": f"a number of seconds above 0 and up to {MAX_TIME_S:.0f}, or null, is expected",
    "quality_gate": "an object or null is expected",
    "min_score": "a number from 0 to 1 is expected",
    "on_fail": "retry, review or fail is expected",
    "check": "the name of a gate function or null is expected",
}


def parse_plan(value: object, actions: Collection[str] | None = None) -> PlanDefinition:
    """Read a plan from decoded JSON or YAML.

    A step may say `id` for `step_id`, or neither (then it is `step_1` and so on), and `depends_on` may be one id.
    With `actions`, a step's action must be one of them.

    Raises:
        InvalidInput: something is missing, unknown or impossible; `field` and the message name the place, such as
            `steps[2].depends_on`.
        TooLarge: more than `MAX_STEPS` steps, or more than `MAX_DEFINITION_BYTES`.
    """
    fields = dict(_mapping(value, "plan"))
    given = fields.get("steps")
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Sequence) or not given:
        raise InvalidInput("steps: a list of at least one step is expected.", field="steps")
    steps = cast("Sequence[object]", given)
    if len(steps) > MAX_STEPS:
        raise TooLarge(f"steps: {len(steps)} steps; the limit is {MAX_STEPS}.", field="steps")
    fields["steps"] = [
        _settled(step, f"steps[{index}]", f"step_{index + 1}") for index, step in enumerate(steps)
    ]
    plan = _convert(fields, PlanDefinition, "")
    _check_steps(plan.steps, actions)
    _check_size(plan)
    return plan


def parse_step(value: object, place: str = "step", actions: Collection[str] | None = None) -> StepDefinition:
    """Read one step; what it depends on is not looked at.

    Raises:
        InvalidInput, TooLarge: as `parse_plan`.
    """
    step = _convert(_settled(value, place, None), StepDefinition, place)
    _check_step(step, place, actions)
    _check_size(step, place)
    return step


def dependencies_of(steps: Sequence[StepDefinition]) -> dict[str, tuple[str, ...]]:
    """The graph of these steps."""
    return {step.step_id: step.depends_on for step in steps}


def _check_steps(steps: Sequence[StepDefinition], actions: Collection[str] | None) -> None:
    first: dict[str, int] = {}
    for index, step in enumerate(steps):
        place = f"steps[{index}]"
        _check_step(step, place, actions)
        if step.step_id in first:
            raise InvalidInput(
                f'{place}.step_id: "{step.step_id}" is the id of steps[{first[step.step_id]}] already.',
                field=f"{place}.step_id",
            )
        first[step.step_id] = index
    graph = dependencies_of(steps)
    if unknown := unknown_dependency(graph):
        place = f"steps[{first[unknown[0]]}].depends_on"
        raise InvalidInput(f'{place}: there is no step "{unknown[1]}".', field=place)
    if cycle := find_cycle(graph):
        place = f"steps[{first[cycle[0]]}].depends_on"
        raise InvalidInput(
            f"{place}: these steps wait for one another: {describe_cycle(cycle)}.", field=place
        )


def _check_step(step: StepDefinition, place: str, actions: Collection[str] | None) -> None:
    if _STEP_ID.fullmatch(step.step_id) is None:
        raise InvalidInput(
            f"{place}.step_id: 1 to {MAX_STEP_ID_CHARS} of A-Z, a-z, 0-9 and . _ ~ -, "
            "beginning with a letter or a digit.",
            field=f"{place}.step_id",
        )
    if step.step_id in step.depends_on:
        raise InvalidInput(
            f'{place}.depends_on: the step "{step.step_id}" cannot wait for itself.',
            field=f"{place}.depends_on",
        )
    if actions is not None and step.action not in actions:
        known = ", ".join(sorted(actions))
        raise InvalidInput(
            f'{place}.action: there is no action "{step.action}"; there are: {known}.',
            field=f"{place}.action",
        )


def _check_size(value: PlanDefinition | StepDefinition, place: str = "steps") -> None:
    try:
        size = len(msgspec.json.encode(value))
    except (ArithmeticError, TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{place}: not representable as JSON ({type(error).__name__}).", field=place
        ) from None
    if size > MAX_DEFINITION_BYTES:
        raise TooLarge(
            f"{place}: {size} bytes of JSON; the limit is {MAX_DEFINITION_BYTES}. Let params name large inputs "
            "instead of holding them.",
            field=place,
        )


def _settled(value: object, place: str, default_id: str | None) -> dict[str, Any]:
    """A step's fields with the shorter ways of writing them written out."""
    fields = dict(_mapping(value, place))
    if "id" in fields:
        if "step_id" in fields:
            raise InvalidInput(f"{place}.id: another word for step_id, which is there.", field=f"{place}.id")
        fields["step_id"] = fields.pop("id")
    if default_id is not None:
        fields.setdefault("step_id", default_id)
    needed = fields.get("depends_on")
    if needed is None:
        fields.pop("depends_on", None)
    elif isinstance(needed, str):
        fields["depends_on"] = [needed]
    elif isinstance(needed, list):
        fields["depends_on"] = list(dict.fromkeys(_hashable(cast("list[object]", needed))))
    return fields


def _hashable(values: list[object]) -> list[object]:
    """The values, with a mark for what cannot be an id: the type check refuses it, with its place."""
    return [value if isinstance(value, str) else ... for value in values]


def _mapping(value: object, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{place}: an object is expected.", field=place)
    return cast("Mapping[str, Any]", value)


def _convert(fields: Mapping[str, Any], kind: type[T], place: str) -> T:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise _explained(str(error), place) from None


def _explained(text: str, place: str) -> InvalidInput:
    """The error with our own words and the whole place."""
    match = _PLACE.search(text)
    inner = match[1] if match else ""
    where = ".".join(part for part in (place, inner) if part)
    for pattern, says in ((_UNKNOWN, "there is no such field"), (_MISSING, "missing")):
        if found := pattern.search(text):
            name = found[1]
            where = f"{where}.{name}" if where else name
            return InvalidInput(f"{where}: {says}.", field=where)
    name = re.sub(r"\[(\d+|\.\.\.)\]$", "", where).rpartition(".")[2]
    expected = _EXPECTED.get(name)
    if expected is None:
        return InvalidInput(f"{where or 'plan'}: {text.partition(' - at')[0]}.", field=where or None)
    return InvalidInput(f"{where}: {expected}.", field=where)
