"""What each event of a workflow says: the fields that its clients read, their types, and what stands for unknown."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, cast

from runcast.errors import InvalidEvent
from runcast.kinds import rules
from runcast.kinds.rules import Rule
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


def settle(event_type: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an event of a known type, settled and in their order, then whatever else was given.

    Raises:
        InvalidEvent: a field has a wrong type or value; the message names it.
    """
    return rules.settle(FIELDS.get(event_type), data)


def _object(inner: Mapping[str, Rule], from_text: str = "") -> Rule:
    """An object with these fields at least; with `from_text`, a mere text is taken as that field of it."""

    def rule(name: str, value: Any) -> dict[str, Any]:
        if from_text and isinstance(value, str):
            value = {from_text: value}
        if value is not None and not isinstance(value, dict):
            raise InvalidEvent(f"{name}: an object is expected.", field=name)
        given = cast("dict[str, Any]", value or {})
        return rules.settle({one: _within(name, rule) for one, rule in inner.items()}, given)

    return rule


def _within(place: str, rule: Rule) -> Rule:
    """The rule of a field that stands within another."""
    return lambda name, value: rule(f"{place}.{name}", value)


def _details(name: str, value: Any) -> dict[str, Any]:
    return _object({}, from_text="text")(name, value)


def _error(name: str, value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise InvalidEvent(f"{name}: a string is expected.", field=name)
    return cut_text(value or "The workflow failed.", MAX_SENTENCE_CHARS)


_name = partial(rules.name, MAX_NAME_CHARS)
_name_or_null = _name(optional=True)
_number = rules.number
_one_of = rules.one_of
_count = rules.count(0, MAX_COUNT)
_text = partial(rules.text, MAX_TEXT_CHARS)
_seconds = _number(0, sys.float_info.max, 0.0)
_sentence = rules.text(MAX_SENTENCE_CHARS)
_confidence = _number(0, 1, None)

_SYNTHESIS: Final[Mapping[str, Rule]] = {
    "content": _text(),
    "confidence": _number(0, 1, 0.0),
    "agents_synthesized": _count,
    "token_count": _count,
}
_PERFORMANCE: Final[Mapping[str, Rule]] = {
    "total_duration": _seconds,
    "llm_calls": _count,
    "total_tokens": _count,
}

FIELDS: Final[Mapping[str, Mapping[str, Rule]]] = {
    "workflow_created": {
        "task": rules.text(MAX_TASK_CHARS),
        "workflow": _name("research"),
        "max_steps": rules.count(1, MAX_COUNT, None),
        "parent_workflow_id": _name_or_null,
        "by": _name_or_null,
    },
    "workflow_status": {"status": _one_of(STATUSES), "attempt": rules.count(1, MAX_ATTEMPTS, 1)},
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
        "tokens": _count,
        "llm_calls": _count,
        "seconds": _seconds,
        "model": _name_or_null,
    },
    "agent_failed": {"agent_id": _name("unknown"), "error": _sentence},
    "synthesis_started": {"agent_count": _count},
    "workflow_progress": {
        "percent": _number(0, 100, 0.0),
        "eta_seconds": _number(0, sys.float_info.max, None),
        "message": _sentence,
    },
    "resource_metrics": {
        "tokens": _count,
        "llm_calls": _count,
        "llm_latency_ms": _seconds,
        "memory_mb": _seconds,
    },
    "approval_requested": {"approval_id": _name(), "question": _sentence, "details": _details},
    "approval_resolved": {
        "approval_id": _name(),
        "approved": rules.truth(),
        "by": _name_or_null,
        "comment": rules.text(MAX_SENTENCE_CHARS, None),
    },
    "workflow_command": {
        "command": _name(),
        "by": _name_or_null,
        "reason": rules.text(MAX_SENTENCE_CHARS, None),
    },
    "workflow_complete": {
        "status": _one_of(("completed",), "completed"),
        "synthesis": _object(_SYNTHESIS, from_text="content"),
        "performance_metrics": _object(_PERFORMANCE),
        "model": _name_or_null,
    },
    "workflow_error": {"error": _error, "status": _one_of(("failed", "cancelled"), "failed")},
}
