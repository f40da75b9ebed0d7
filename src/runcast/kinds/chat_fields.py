"""What each event of a conversation says: the fields that its clients read, their types, and what stands for unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

from runcast.errors import InvalidEvent
from runcast.kinds import rules
from runcast.kinds.rules import Rule

STEPS: Final = ("starting", "agent_routing", "rag_retrieval", "generating")
"""The documented steps of an answer, in their order; a responder may tell of others."""
MAX_MESSAGE_CHARS: Final = 40_960
MAX_ANSWER_CHARS: Final = 32_768
"""Longer answers are cut, with a mark: as JSON they would not fit into an event for sure."""
MAX_NAME_CHARS: Final = 256
MAX_SENTENCE_CHARS: Final = 2_000
MAX_ATTACHMENTS: Final = 10
"""Of one message."""
MAX_OFFSET: Final = 2**53 - 1

PROCESSING_ERROR: Final = "PROCESSING_ERROR"
ASSISTANT: Final = "assistant"
"""What answers without naming itself."""


def settle(event_type: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an event of a known type, settled and in their order, then whatever else was given.

    Raises:
        InvalidEvent: a field has a wrong type or value; the message names it.
    """
    return rules.settle(FIELDS.get(event_type), data)


# --- rules --------------------------------------------------------------------------------------

_name = partial(rules.name, MAX_NAME_CHARS)
_text = rules.text
_count = rules.count(0, MAX_OFFSET)
_share = rules.number(0, 1, None)


def _person(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidEvent(f"{name}: an object with an id is expected.", field=name)
    given = cast("dict[str, Any]", value)
    optional = _name(optional=True)
    return {
        "id": _name()(f"{name}.id", given.get("id")),
        "name": optional(f"{name}.name", given.get("name")),
        "email": optional(f"{name}.email", given.get("email")),
    }


def _attachments(name: str, value: Any) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or len(cast("Sequence[object]", value)) > MAX_ATTACHMENTS:
        raise InvalidEvent(f"{name}: a list of at most {MAX_ATTACHMENTS} is expected.", field=name)
    return [_attachment(name, one) for one in cast("Sequence[object]", value)]


def _attachment(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidEvent(f"{name}: each is an object.", field=name)
    given = cast("dict[str, Any]", value)
    return {
        "attachment_id": _name()(f"{name}.attachment_id", given.get("attachment_id")),
        "id": _name("")(f"{name}.id", given.get("id") or given.get("attachment_id")),
        "name": _name("attachment")(f"{name}.name", given.get("name")),
        "mime": _name("application/octet-stream")(f"{name}.mime", given.get("mime")),
        "size": _count(f"{name}.size", given.get("size")),
    }


def _metadata(name: str, value: Any) -> dict[str, Any]:
    """What documented clients read of it is there: `agent`, `confidence`, `context.sources`."""
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise InvalidEvent(f"{name}: an object is expected.", field=name)
    given = cast("dict[str, Any]", value)
    context = given.get("context")
    if context is not None and not isinstance(context, dict):
        raise InvalidEvent(f"{name}.context: an object is expected.", field=f"{name}.context")
    kept = cast("dict[str, Any]", context or {})
    return {
        **given,
        "agent": _name(ASSISTANT)(f"{name}.agent", given.get("agent")),
        "confidence": _share(f"{name}.confidence", given.get("confidence")),
        "context": {**kept, "sources": _sources(f"{name}.context.sources", kept.get("sources"))},
    }


def _sources(name: str, value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidEvent(f"{name}: a list is expected.", field=name)
    return cast("list[Any]", value)


_ID: Final = _name()
_SENTENCE: Final = _text(MAX_SENTENCE_CHARS)

FIELDS: Final[Mapping[str, Mapping[str, Rule]]] = {
    "session_created": {"owner": _person, "title": _name(optional=True)},
    "member_added": {"user": _person, "by": _name(optional=True)},
    "member_removed": {"user": _person, "by": _name(optional=True)},
    "message": {
        "message_id": _ID,
        "user": _person,
        "message": _text(MAX_MESSAGE_CHARS),
        "customer_id": _name(optional=True),
        "attachments": _attachments,
        "answer_id": _name(optional=True),
    },
    "retry": {"message_id": _ID, "answer_id": _ID, "by": _name(optional=True)},
    "progress": {"message_id": _name(optional=True), "step": _name("starting"), "message": _SENTENCE},
    "token": {"message_id": _name("answer"), "token": _text(MAX_ANSWER_CHARS), "offset": _count},
    "complete": {
        "message_id": _name("answer"),
        "response": _text(MAX_ANSWER_CHARS),
        "metadata": _metadata,
        "cancelled": rules.truth(False),
        "in_reply_to": _name(optional=True),
    },
    "error": {
        "message_id": _name(optional=True),
        "error": _text(MAX_SENTENCE_CHARS, "Something went wrong."),
        "code": _name(PROCESSING_ERROR),
        "in_reply_to": _name(optional=True),
    },
    "edit": {"message_id": _ID, "message": _text(MAX_MESSAGE_CHARS), "user": _person},
    "delete": {"message_id": _ID, "user": _person},
    "read": {"message_id": _ID, "user": _person},
    "chat_command": {"command": _ID, "message_id": _name(optional=True), "by": _name(optional=True)},
}
"""By event type: its fields with their rules, in the order in which they are stored."""
