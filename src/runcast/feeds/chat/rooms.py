"""Who of this process's clients is in which conversation, and what is not stored: typing, and texts so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from runcast.core.event import Event
from runcast.core.page import Control, Record
from runcast.kinds.chat import TOKEN, chat_stream
from runcast.kinds.chat_state import Asked
from runcast.live.bus import Bus
from runcast.live.codec import Message
from runcast.live.hub import Hub

MAX_AHEAD: Final = 1_000
"""Tokens of one answer that wait for what was before them."""
MAX_TEXTS: Final = 4
"""Answers of one conversation whose texts are remembered: a slow client reads an earlier one than the others."""


class Guest(Protocol):
    """A client as the rooms know it."""

    @property
    def person_id(self) -> str:
        """Who it is."""
        ...

    def tell(self, *messages: Message) -> None:
        """Write messages that are for this client alone."""
        ...

    def put_out(self, stream: str) -> None:
        """They take part in a conversation no longer."""
        ...


class _Token(msgspec.Struct):
    message_id: str
    token: str
    offset: int


class _Removed(msgspec.Struct):
    class User(msgspec.Struct):
        id: str

    user: User


_token = msgspec.json.Decoder(_Token).decode
_removed = msgspec.json.Decoder(_Removed).decode


class _Room:
    """One conversation with clients here."""

    __slots__ = ("ahead", "guests", "hub", "partial", "texts")

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.guests: set[Guest] = set()
        self.partial: set[Guest] = set()
        """Those who are told `partial_response`."""
        self.texts: dict[str, str] = {}
        self.ahead: dict[str, dict[int, str]] = {}
        """Tokens by answer and offset, before which something is not known yet."""

    def hear(self, records: list[Record]) -> None:
        """Take what was committed to the conversation: before its clients are told, as a tap of its own name is."""
        for record in records:
            if not isinstance(record, Control):
                act = _ACTS.get(record.type)
                if act is not None:
                    act(self, record)


class Rooms:
    """All conversations with clients in this process. Belongs to the event loop.

    What is committed is heard here before it is told to anybody: so the text so far is known when a token is.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._rooms: dict[str, _Room] = {}

    def enter(self, stream: str, guest: Guest, *, partial: bool) -> None:
        """A client is about to be told of a conversation: call it before its state is read."""
        room = self._rooms.get(stream)
        if (
            room is None or room.hub is not self._bus.hub
        ):  # nobody is there, or only of another loop than this
            room = self._rooms[stream] = _Room(self._bus.hub)
            room.hub.taps.setdefault(stream, set()).add(room.hear)
        room.guests.add(guest)
        if partial:
            room.partial.add(guest)

    def leave(self, stream: str, guest: Guest) -> None:
        """It is told no more. Idempotent."""
        room = self._rooms.get(stream)
        if room is not None:
            room.guests.discard(guest)
            room.partial.discard(guest)
            if not room.partial:
                room.texts.clear()
                room.ahead.clear()
            if not room.guests:
                del self._rooms[stream]
                taps = room.hub.taps[stream]
                taps.discard(room.hear)
                if not taps:
                    del room.hub.taps[stream]

    def know(self, stream: str, pending: list[Asked]) -> None:
        """What was told of the answers on their way before anybody here listened."""
        room = self._rooms.get(stream)
        if room is not None and room.partial:
            for asked in pending:
                if len(asked.text) > len(room.texts.get(asked.answer_id, "")):
                    room.texts[asked.answer_id] = asked.text
                    _catch_up(room, asked.answer_id)

    def text(self, session_id: str, message_id: str, end: int) -> str | None:
        """See `PartialTexts`."""
        room = self._rooms.get(chat_stream(session_id))
        known = room.texts.get(message_id) if room else None
        return known[:end] if known is not None and len(known) >= end else None

    def tell_others(self, stream: str, message: Message, but: str) -> None:
        """Tell all clients of a conversation here, but those of one person."""
        room = self._rooms.get(stream)
        for guest in tuple(room.guests) if room else ():
            if guest.person_id != but:
                guest.tell(message)


def _take_token(room: _Room, event: Event) -> None:
    if not room.partial:
        return
    token = _token(event.data)
    known = room.texts.get(token.message_id, "")
    if token.offset <= len(known):
        room.texts[token.message_id] = known[: token.offset] + token.token
        _catch_up(room, token.message_id)
    else:
        ahead = room.ahead.setdefault(token.message_id, {})
        if len(ahead) < MAX_AHEAD:
            ahead[token.offset] = token.token
    for kept in (room.texts, room.ahead):
        while len(kept) > MAX_TEXTS:
            del kept[next(iter(kept))]


def _catch_up(room: _Room, answer_id: str) -> None:
    """Join what came before its turn."""
    ahead = room.ahead.get(answer_id)
    while ahead and (token := ahead.pop(len(room.texts[answer_id]), None)) is not None:
        room.texts[answer_id] += token


def _put_out(room: _Room, event: Event) -> None:
    person_id = _removed(event.data).user.id
    for guest in tuple(room.guests):
        if guest.person_id == person_id:
            guest.put_out(event.stream)


_ACTS: Final[dict[str, Callable[[_Room, Event], None]]] = {TOKEN: _take_token, "member_removed": _put_out}
