"""The commands to a plan: reading them, whether one makes sense in a state, and the events that carry it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from runcast.errors import InvalidInput
from runcast.kinds.plan_definition import MAX_STEPS, parse_step
from runcast.kinds.plan_graph import dependents, describe_cycle, find_cycle
from runcast.kinds.plan_state import DONE, Command, PlanState, StepState

COMMAND_EVENT: Final = "plan_command"
MAX_COMMAND_ID_CHARS: Final = 100
MAX_WORDS_CHARS: Final = 2_000
"""Of a reason or a comment."""
MAX_BY_CHARS: Final = 200

STEP_COMMANDS: Final = frozenset({"retry_step", "skip_step", "remove_step", "set_depends_on"})
"""They name a step."""
COMMANDS: Final = frozenset({"pause", "resume", "cancel", "add_step", "reorder", "review", *STEP_COMMANDS})


class Answer(NamedTuple):
    """An event of a plan on its way out: its type, the step that it is about, its data."""

    type: str
    step_id: str | None
    data: dict[str, Any]


def read_command(step_id: object, data: Mapping[str, Any]) -> Command:
    """A command from the data of its event, or from what a client asked for.

    Raises:
        InvalidInput: something that this command needs is missing or cannot be; names the field.
    """
    name = _required(_text(data, "command", 100), "command")
    if name not in COMMANDS:
        known = ", ".join(sorted(COMMANDS))
        raise InvalidInput(f'command: there is no command "{name}"; there are: {known}.', field="command")
    command = Command(
        command=name,
        command_id=_required(_text(data, "command_id", MAX_COMMAND_ID_CHARS), "command_id"),
        by=_text(data, "by", MAX_BY_CHARS),
        reason=_text(data, "reason", MAX_WORDS_CHARS),
        comment=_text(data, "comment", MAX_WORDS_CHARS),
    )
    if name in STEP_COMMANDS:
        command.step_id = _required(_text({"step_id": step_id}, "step_id", 200), "step_id")
    _read_arguments(command, data)
    return command


def command_data(command: Command) -> dict[str, Any]:
    """The data of the event that gives this command; its step stands beside it."""
    fields = msgspec.to_builtins(command)
    return {name: value for name, value in fields.items() if name != "step_id" and value is not None}


def check(state: PlanState, command: Command) -> str | None:
    """Why the command makes no sense in this state, in a sentence for people; None if it does."""
    if state.status == "unknown":
        return "There is no such plan."
    if not state.managed:
        return "This plan is run by somebody else, who takes no commands."
    opens_again = state.status == "failed" and command.command in {"retry_step", "skip_step"}
    if state.is_over and not opens_again:
        return f"The plan is {state.status}; nothing can be done to it any more."
    return _CHECKS[command.command](state, command)


def carry_out(state: PlanState, command: Command) -> list[Answer]:
    """The events that answer a command: all of them carry its id, and the first says what became of it."""
    reason = check(state, command)
    if reason is not None:
        return [_answer(command, "command_refused", {"command": command.command, "reason": reason})]
    answers = _ANSWERS[command.command](state, command)
    if state.status == "failed":
        answers.insert(
            0, _answer(command, "plan_resumed", {"reason": f"{command.command} {command.step_id}"})
        )
    return answers


def _read_arguments(command: Command, data: Mapping[str, Any]) -> None:
    match command.command:
        case "add_step":
            command.step = parse_step(data.get("step"))
        case "set_depends_on":
            command.depends_on = _names(data, "depends_on")
        case "reorder":
            command.order = _names(data, "order")
        case "review":
            command.gate = _required(_text(data, "gate", 200), "gate")
            approved = data.get("approved")
            if not isinstance(approved, bool):
                raise InvalidInput("approved: true or false is expected.", field="approved")
            command.approved = approved
        case _:
            pass


def _text(data: Mapping[str, Any], name: str, limit: int) -> str | None:
    value = data.get(name)
    if value is None or (isinstance(value, str) and len(value) <= limit):
        return value
    raise InvalidInput(f"{name}: a text of at most {limit:,} characters is expected.", field=name)


def _required(value: str | None, name: str) -> str:
    if not value:
        raise InvalidInput(f"{name}: missing.", field=name)
    return value


def _names(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    try:
        names = msgspec.convert(data.get(name), list[str])
    except msgspec.ValidationError:
        raise InvalidInput(f"{name}: a list of step ids is expected.", field=name) from None
    if len(names) > MAX_STEPS:
        raise InvalidInput(f"{name}: {len(names)} step ids; the limit is {MAX_STEPS}.", field=name)
    return tuple(dict.fromkeys(names))


# --- whether it makes sense ----------------------------------------------------------------------


def _check_pause(state: PlanState, command: Command) -> str | None:
    return "The plan is paused already." if state.status == "paused" else None


def _check_resume(state: PlanState, command: Command) -> str | None:
    return None if state.status == "paused" else "The plan is not paused."


def _check_cancel(state: PlanState, command: Command) -> str | None:
    return None


def _check_retry(state: PlanState, command: Command) -> str | None:
    step = state.steps.get(command.step_id or "")
    if step is None:
        return _no_step(command.step_id)
    if step.status == "running":
        return f'The step "{command.step_id}" is running.'
    if not step.is_begun:
        return f'The step "{command.step_id}" has not run yet.'
    return None


def _check_skip(state: PlanState, command: Command) -> str | None:
    step = state.steps.get(command.step_id or "")
    if step is None:
        return _no_step(command.step_id)
    if step.status in DONE:
        return f'The step "{command.step_id}" is {step.status} already.'
    return None


def _check_add(state: PlanState, command: Command) -> str | None:
    step = command.step
    assert step is not None, "read_command sees to it"
    if step.step_id in state.steps:
        return f'There is a step "{step.step_id}" already.'
    if len(state.steps) >= MAX_STEPS:
        return f"The plan has its {MAX_STEPS} steps."
    return _unknown_among(state, step.depends_on)


def _check_remove(state: PlanState, command: Command) -> str | None:
    step = state.steps.get(command.step_id or "")
    if step is None:
        return _no_step(command.step_id)
    if step.is_begun:
        return (
            f'The step "{command.step_id}" is {step.status}: only a step that has not begun can be removed.'
        )
    if len(state.steps) == 1:
        return "A plan has at least one step."
    if others := dependents(state.graph(), step.definition.step_id):
        return f'The step "{command.step_id}" cannot be removed: {_list(others)} depends on it.'
    return None


def _check_reorder(state: PlanState, command: Command) -> str | None:
    return _unknown_among(state, command.order or ())


def _check_depends_on(state: PlanState, command: Command) -> str | None:
    step, needed = state.steps.get(command.step_id or ""), command.depends_on or ()
    if step is None:
        return _no_step(command.step_id)
    if step.is_begun:
        return f'The step "{command.step_id}" is {step.status}: it has begun.'
    if unknown := _unknown_among(state, needed):
        return unknown
    if cycle := find_cycle({**state.graph(), step.definition.step_id: needed}):
        return f"These steps would wait for one another: {describe_cycle(cycle)}."
    return None


def _check_review(state: PlanState, command: Command) -> str | None:
    step = state.steps.get(command.gate or "")
    if step is None or step.status != "review":
        waiting = state.in_status("review")
        others = f"; {_list(waiting)} does" if waiting else ""
        return f'No gate "{command.gate}" waits for a review{others}.'
    return None


def _no_step(step_id: str | None) -> str:
    return f'There is no step "{step_id}".'


def _unknown_among(state: PlanState, names: tuple[str, ...]) -> str | None:
    unknown = next((name for name in names if name not in state.steps), None)
    return None if unknown is None else _no_step(unknown)


def _list(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names[:5]) + (" and others" if len(names) > 5 else "")


_CHECKS: Final[dict[str, Callable[[PlanState, Command], str | None]]] = {
    "pause": _check_pause,
    "resume": _check_resume,
    "cancel": _check_cancel,
    "retry_step": _check_retry,
    "skip_step": _check_skip,
    "add_step": _check_add,
    "remove_step": _check_remove,
    "reorder": _check_reorder,
    "set_depends_on": _check_depends_on,
    "review": _check_review,
}


# --- what it does --------------------------------------------------------------------------------


def _pause(state: PlanState, command: Command) -> list[Answer]:
    running = state.in_status("running")
    still = f"{_list(running)} will still finish; nothing new begins." if running else "Nothing new begins."
    return [_answer(command, "plan_paused", {"running": running, "message": still})]


def _resume(state: PlanState, command: Command) -> list[Answer]:
    return [_answer(command, "plan_resumed", {})]


def _cancel(state: PlanState, command: Command) -> list[Answer]:
    running = state.in_status("running")
    return [_answer(command, "plan_cancelled", {"status": "cancelled", "running": running})]


def _retry(state: PlanState, command: Command) -> list[Answer]:
    step = state.steps[command.step_id or ""]
    return [_answer(command, "step_retrying", {"attempt": step.attempt + 1, "delay_s": 0.0})]


def _skip(state: PlanState, command: Command) -> list[Answer]:
    return [_answer(command, "step_skipped", {"was": state.steps[command.step_id or ""].status})]


def _add(state: PlanState, command: Command) -> list[Answer]:
    assert command.step is not None, "read_command sees to it"
    return [
        Answer(
            "step_added", command.step.step_id, {**_head(command), "step": msgspec.to_builtins(command.step)}
        )
    ]


def _remove(state: PlanState, command: Command) -> list[Answer]:
    return [_answer(command, "step_removed", {})]


def _reorder(state: PlanState, command: Command) -> list[Answer]:
    order = dict.fromkeys([*(command.order or ()), *state.steps])
    return [_answer(command, "steps_reordered", {"order": list(order)})]


def _depend(state: PlanState, command: Command) -> list[Answer]:
    return [_answer(command, "dependencies_changed", {"depends_on": list(command.depends_on or ())})]


def _review(state: PlanState, command: Command) -> list[Answer]:
    gate = command.gate or ""
    step = state.steps[gate]
    resolved = {"gate": gate, "approved": command.approved, "comment": command.comment}
    return [Answer("review_resolved", gate, {**_head(command), **resolved}), _after_review(step, command)]


def _after_review(step: StepState, command: Command) -> Answer:
    """What becomes of the step: its result counts after all, or it has failed."""
    told = {"attempt": step.attempt, "seconds": step.seconds, "command_id": command.command_id}
    if command.approved:
        result = {"result": step.result} if step.result_seq is None else {"result_seq": step.result_seq}
        told |= {**result, "quality_score": step.quality_score, "reviewed_by": command.by}
        return Answer("step_completed", command.gate, told)
    comment = f": {command.comment}" if command.comment else "."
    error = f"It was rejected in its review{comment}"
    return Answer("step_failed", command.gate, {**told, "error": error, "will_retry": False})


def _head(command: Command) -> dict[str, Any]:
    head: dict[str, Any] = {"command_id": command.command_id, "by": command.by}
    return head if command.reason is None else {**head, "reason": command.reason}


def _answer(command: Command, event_type: str, data: dict[str, Any]) -> Answer:
    return Answer(event_type, command.step_id, {**_head(command), **data})


_ANSWERS: Final[dict[str, Callable[[PlanState, Command], list[Answer]]]] = {
    "pause": _pause,
    "resume": _resume,
    "cancel": _cancel,
    "retry_step": _retry,
    "skip_step": _skip,
    "add_step": _add,
    "remove_step": _remove,
    "reorder": _reorder,
    "set_depends_on": _depend,
    "review": _review,
}
