"""What a list shows of a conversation. A small fold over its stream."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from runcast.core.event import Event, format_time
from runcast.kinds.base import Fold
from runcast.kinds.chat_state import MAX_MEMBERS, MAX_TITLE_CHARS, Person, TakingPart, shown


class ChatSummary(TakingPart[str | None]):
    """Whose it is, what it is about, how much was said; of members their names. Times are in microseconds since the Unix epoch."""

    title: str = ""
    created_at: int = 0
    updated_at: int = 0
    messages: int = 0
    last: str = ""
    """How what was said last begins."""


class _Said(msgspec.Struct):
    message: str = ""
    response: str = ""


class _Created(msgspec.Struct):
    owner: Person
    title: str | None = None


class _Member(msgspec.Struct):
    user: Person


_said = msgspec.json.Decoder(_Said).decode
_created = msgspec.json.Decoder(_Created).decode
_member = msgspec.json.Decoder(_Member).decode


def step(state: ChatSummary, event: Event) -> None:
    """Take one event into `state`, in place."""
    match event.type:
        case "session_created" if state.owner is None:
            created = _created(event.data)
            state.owner, state.title = created.owner, created.title or ""
            state.created_at = state.updated_at = event.time
        case "member_added" if len(state.members) < MAX_MEMBERS:
            person = _member(event.data).user
            state.members[person.id] = person.name
        case "member_removed":
            state.members.pop(_member(event.data).user.id, None)
        case "message" | "complete" if state.owner is not None:
            said = _said(event.data)
            text = " ".join((said.message or said.response).split())[:MAX_TITLE_CHARS]
            state.messages += 1
            state.last, state.title = text, state.title or text
            state.updated_at = max(event.time, state.updated_at)
        case _:
            pass


def to_document(state: ChatSummary, session_id: str) -> dict[str, Any]:
    """One line of a list."""
    return {
        "session_id": session_id,
        "title": state.title,
        "owner": state.owner and shown(state.owner),
        "members": [{"id": one, "name": name} for one, name in state.members.items()],
        "created_at": format_time(state.created_at),
        "updated_at": format_time(state.updated_at),
        "messages": state.messages,
        "last": state.last,
    }


CHAT_SUMMARY: Final = Fold("chat_summary", 1, ChatSummary, step, keep_every=64)
"""`step` from an empty `ChatSummary` on."""
