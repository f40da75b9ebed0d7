"""The index of conversations: for each person a stream that names those they take part in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from runcast.core.event import Event
from runcast.errors import InvalidEvent
from runcast.kinds.base import Fold, Kind, Publish, move_reserved

NAME: Final = "chatter"
JOINED: Final = "session_joined"
MAX_SESSIONS: Final = 1_000
"""The ones joined longest ago are forgotten."""
DIGEST_CHARS: Final = 40


def index_stream(person_id: str) -> str:
    """The stream of a person's conversations. What a token calls people may be anything, so it is hashed."""
    return f"{NAME}:{hashlib.sha256(person_id.encode()).hexdigest()[:DIGEST_CHARS]}"


def joined(person_id: str, session_id: str) -> Publish:
    """They take part in a conversation from now on. Publishing it again changes nothing."""
    return Publish(
        stream=index_stream(person_id),
        type=JOINED,
        data={"session_id": session_id},
        id=f"joined:{session_id}",
    )


class ChatIndex(msgspec.Struct):
    """The conversations by their ids, with the time when they were joined, in order."""

    sessions: dict[str, int] = {}


class _Joined(msgspec.Struct):
    session_id: str


_decode = msgspec.json.Decoder(_Joined).decode


def step(state: ChatIndex, event: Event) -> None:
    """Take one event into `state`, in place."""
    if event.type != JOINED:
        return
    state.sessions[_decode(event.data).session_id] = event.time
    while len(state.sessions) > MAX_SESSIONS:
        del state.sessions[next(iter(state.sessions))]


def normalise(publish: Publish) -> dict[str, Any]:
    """See `Kind`."""
    fields: Mapping[str, Any] = move_reserved(publish.data)
    if publish.type == JOINED and not isinstance(fields.get("session_id"), str):
        raise InvalidEvent("session_id: a string is expected.", field="session_id")
    return dict(fields)


CHAT_INDEX: Final = Fold("chat_index", 1, ChatIndex, step)
"""`step` from an empty `ChatIndex` on."""

CHATTER: Final = Kind(name=NAME, normalise=normalise, folds={CHAT_INDEX.name: CHAT_INDEX})
