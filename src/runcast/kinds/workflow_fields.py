"""What each event of a workflow says: the fields that its clients read, their types, and what stands for unknown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from runcast.errors import InvalidEvent
from runcast.kinds.session import cut_text
from runcast.kinds.stored import MAX_COUNT

STATUSES: Final = ("pending", "running", "completed", "failed", "cancelled")
MAX_TEXT_CHARS: Final = 32_768
"""Longer contents are cut, with a mark: as JSON they would not fit into an event for sure."""
MAX_NAME_CHARS: Final = 200
MAX_SENTENCE_CHARS: Final = 2_000
MAX_TASK_CHARS: Final = 10_000
MAX_STEPS: Final = 50
MAX_ATTEMPTS: Final = 1_000_000

Rule = Callable[[str, Any], Any]
"""Settles a field by its name and value (None if absent); raises `InvalidEvent` naming it."""


def settle(event_type: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an event of a known type, settled and in their order, then whatever else was given.

    Raises:
        InvalidEvent: a field has a wrong type or value; the message names it.
    """
    rules = FIELDS.get(event_type)
    if rules is None:
        return dict(data)
    settled = {name: rule(name, data.get(name)) for name, rule in rules.items()}
    return {**settled, **{name: value for name, value in data.items() if name not in rules}}


# --- rules --------------------------------------------------------------------------------------


def _text(limit: int = MAX_TEXT_CHARS, default: str | None = "") -> Rule:
    def rule(name: str, value: Any) -> str | None:
        if value is None:
            return default
        if isinstance(value, str):
            return cut_text(value, limit)
        raise InvalidEvent(f"{name}: a string is expected.", field=name)

    return rule


def _name(default: str | None = None) -> Rule:
    def rule(name: str, value: Any) -> str:
        given = default if value is None else value
        if isinstance(given, str) and 1 <= len(given) <= MAX_NAME_CHARS:
            return given
        raise InvalidEvent(f"{name}: a string of 1 to {MAX_NAME_CHARS} characters.", field=name)

    return rule


def _name_or_null(name: str, value: Any) -> str | None:
    return None if value is None else _name()(name, value)


def _number(least: float, most: float, default: float | None) -> Rule:
    def rule(name: str, value: Any) -> float | None:
        if value is None:
            return default
        if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
            return value
        upper = "" if most == sys.float_info.max else f" to {most:g}"
        raise InvalidEvent(f"{name}: a number from {least:g}{upper or ' up'}.", field=name)

    return rule


def _count(default: int | None = 0, least: int = 0, most: int = MAX_COUNT) -> Rule:
    def rule(name: str, value: Any) -> int | None:
        if value is None:
            return default
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        if isinstance(whole, int) and not isinstance(whole, bool) and least <= whole <= most:
            return whole
        raise InvalidEvent(f"{name}: an integer from {least} to {most}.", field=name)

    return rule


def _one_of(values: tuple[str, ...], default: str | None = None) -> Rule:
    def rule(name: str, value: Any) -> str:
        given = default if value is None else value
        if given in values:
            return given
        raise InvalidEvent(f"{name}: {', '.join(values[:-1])} or {values[-1]}.", field=name)

    return rule


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise InvalidEvent(f"{name}: true or false is expected.", field=name)


def _object(rules: Mapping[str, Rule], from_text: str = "") -> Rule:
    """An object with these fields at least; with `from_text`, a mere text is taken as that field of it."""

    def rule(name: str, value: Any) -> dict[str, Any]:
        if from_text and isinstance(value, str):
            value = {from_text: value}
        if value is not None and not isinstance(value, dict):
            raise InvalidEvent(f"{name}: an object is expected.", field=name)
        given = cast("dict[str, Any]", value or {})
        settled = {inner: check(f"{name}.{inner}", given.get(inner)) for inner, check in rules.items()}
        return {**settled, **{inner: value for inner, value in given.items() if inner not in rules}}

    return rule


def _details(name: str, value: Any) -> dict[str, Any]:
    return _object({}, from_text="text")(name, value)


def _error(name: str, value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise InvalidEvent(f"{name}: a string is expected.", field=name)
    return cut_text(value or "The workflow failed.", MAX_SENTENCE_CHARS)


_seconds = _number(0, sys.float_info.max, 0.0)
_sentence = _text(MAX_SENTENCE_CHARS)
_confidence = _number(0, 1, None)

_SYNTHESIS: Final[Mapping[str, Rule]] = {
    "content": _text(),
    "confidence": _number(0, 1, 0.0),
    "agents_synthesized": _count(),
    "token_count": _count(),
}
_PERFORMANCE: Final[Mapping[str, Rule]] = {
    "total_duration": _seconds,
    "llm_calls": _count(),
    "total_tokens": _count(),
}

FIELDS: Final[Mapping[str, Mapping[str, Rule]]] = {
    "workflow_created": {
        "task": _text(MAX_TASK_CHARS),
        "workflow": _name("research"),
        "max_steps": _count(None, 1),
        "parent_workflow_id": _name_or_null,
        "by": _name_or_null,
    },
    "workflow_status": {"status": _one_of(STATUSES), "attempt": _count(1, 1, MAX_ATTEMPTS)},
    "agent_spawned": {
        "agent_id": _name("unknown"),
        "agent_type": _name("unknown"),
        "spawn_time": _seconds,
        "confidence": _confidence,
    },
    "agent_output": {"agent_id": _name("unknown"), "content": _text(), "confidence": _confidence},
    "agent_completed": {
        "agent_id": _name("unknown"),
        "content": _text(),
        "confidence": _confidence,
        "tokens": _count(),
        "llm_calls": _count(),
        "seconds": _seconds,
        "model": _name_or_null,
    },
    "agent_failed": {"agent_id": _name("unknown"), "error": _sentence},
    "synthesis_started": {"agent_count": _count()},
    "workflow_progress": {
        "percent": _number(0, 100, 0.0),
        "eta_seconds": _number(0, sys.float_info.max, None),
        "message": _sentence,
    },
    "resource_metrics": {
        "tokens": _count(),
        "llm_calls": _count(),
        "llm_latency_ms": _seconds,
        "memory_mb": _seconds,
    },
    "approval_requested": {"approval_id": _name(), "question": _sentence, "details": _details},
    "approval_resolved": {
        "approval_id": _name(),
        "approved": _flag,
        "by": _name_or_null,
        "comment": _text(MAX_SENTENCE_CHARS, None),
    },
    "workflow_command": {
        "command": _name(),
        "by": _name_or_null,
        "reason": _text(MAX_SENTENCE_CHARS, None),
    },
    "workflow_complete": {
        "status": _one_of(("completed",), "completed"),
        "synthesis": _object(_SYNTHESIS, from_text="content"),
        "performance_metrics": _object(_PERFORMANCE),
        "model": _name_or_null,
    },
    "workflow_error": {"error": _error, "status": _one_of(("failed", "cancelled"), "failed")},
}
