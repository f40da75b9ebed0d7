"""Who of this process's clients is in which conversation, and what is not stored: typing, and texts so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from runcast.core.event import Cursor, Event
from runcast.core.page import Change, Control, Record
from runcast.core.subscription import Reset
from runcast.feeds.chat.elsewhere import Elsewhere
from runcast.feeds.chat.wire import frame
from runcast.kinds.base import Publish
from runcast.kinds.chat import COMPLETE, ERROR, MESSAGE, RETRY, TOKEN, chat_stream, session_id_of
from runcast.kinds.chat_state import Asked
from runcast.live.bus import Bus
from runcast.live.codec import Message
from runcast.live.hub import Hub

MAX_AHEAD: Final = 1_000
"""Tokens of one answer that wait for what was before them."""
MAX_TEXTS: Final = 4
"""Answers of one conversation whose texts are remembered: a slow client reads an earlier one than the others."""
REMOVED: Final = "member_removed"
BEGUN_ANEW: Final = "The conversation was begun anew: it is not the one that you took part in."
CLEARED: Final = "The conversation was cleared."


class Guest(Protocol):
    """A client as the rooms know it."""

    @property
    def person_id(self) -> str:
        """Who it is."""
        ...

    def tell(self, *messages: Message) -> None:
        """Write messages that are for this client alone."""
        ...

    def put_out(self, stream: str, notice: Reset | None) -> None:
        """They take part in a conversation no longer; `notice` if nobody does, as it is another one from now on.

        Called before what ends it, and what comes after that, is told to anybody: return only when they have left.
        """
        ...


class _Token(msgspec.Struct):
    message_id: str
    token: str
    offset: int


class _Removed(msgspec.Struct):
    class User(msgspec.Struct):
        id: str

    user: User


class _Asked(msgspec.Struct):
    answer_id: str | None = None


class _Settled(msgspec.Struct):
    message_id: str | None = None


_asked = msgspec.json.Decoder(_Asked).decode
_settled = msgspec.json.Decoder(_Settled).decode
_token = msgspec.json.Decoder(_Token).decode
_removed = msgspec.json.Decoder(_Removed).decode


class _Stay:
    """A guest's right to be in a room: `place` is that of the state of the conversation which admits them.

    Until it is known, what may end it is `heard`.
    """

    __slots__ = ("heard", "place")

    def __init__(self) -> None:
        self.place: Cursor | None = None
        self.heard: list[Record] = []


class _Room:
    """One conversation with clients here."""

    __slots__ = ("ahead", "guests", "hub", "partial", "pending", "texts")

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.guests: dict[Guest, _Stay] = {}
        self.partial: set[Guest] = set()
        """Those who are told `partial_response`."""
        self.texts: dict[str, str] = {}
        self.ahead: dict[str, dict[int, str]] = {}
        """Tokens by answer and offset, before which something is not known yet."""
        self.pending: set[str] = set()
        """Answers that are to come, by their ids."""

    def hear(self, records: list[Record]) -> None:
        """Take what was committed to the conversation: before its clients are told, as a tap of its own name is."""
        for record in records:
            if isinstance(record, Control):
                if record.change is Change.CLEAR:
                    self.pending.clear()
                    self._put_out(record)
                continue
            if record.type == REMOVED or record.seq == 1:
                self._put_out(record)
            act = _ACTS.get(record.type)
            if act is not None:
                act(self, record)

    def _put_out(self, record: Record) -> None:
        """Those whose right to be here ends with this, before it is told to them."""
        for guest, stay in tuple(self.guests.items()):
            if stay.place is None:
                stay.heard.append(record)
            elif _ends(record, stay.place, guest.person_id):
                guest.put_out(record.stream, _notice(record))


class Rooms:
    """All conversations with clients in this process. Belongs to the event loop.

    What is committed is heard here before it is told to anybody: so the text so far is known when a token is.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._rooms: dict[str, _Room] = {}
        self._elsewhere = Elsewhere(bus, self._tell_others_here)

    def enter(self, stream: str, guest: Guest, *, partial: bool) -> None:
        """A client is about to be told of a conversation: call it before its state is read."""
        self._elsewhere.listen()
        room = self._rooms.get(stream)
        if (
            room is None or room.hub is not self._bus.hub
        ):  # nobody is there, or only of another loop than this
            room = self._rooms[stream] = _Room(self._bus.hub)
            room.hub.taps.setdefault(stream, set()).add(room.hear)
        room.guests[guest] = _Stay()
        if partial:
            room.partial.add(guest)

    def leave(self, stream: str, guest: Guest) -> None:
        """It is told no more. Idempotent."""
        room = self._rooms.get(stream)
        if room is not None:
            room.guests.pop(guest, None)
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

    def admit(self, stream: str, guest: Guest, place: Cursor) -> bool:
        """The state at `place` admits them; False if what was committed since has ended that already."""
        room = self._rooms.get(stream)
        stay = room.guests.get(guest) if room else None
        if stay is None or any(_ends(record, place, guest.person_id) for record in stay.heard):
            return False
        stay.place = place
        stay.heard.clear()
        return True

    def has(self, stream: str, guest: Guest) -> bool:
        """Whether they have not left, and were not put out."""
        room = self._rooms.get(stream)
        return room is not None and guest in room.guests

    def know(self, stream: str, pending: list[Asked]) -> None:
        """The answers on their way, with what was told of them before anybody here listened."""
        room = self._rooms.get(stream)
        if room is not None:
            room.pending.update(asked.answer_id for asked in pending)
        if room is not None and room.partial:
            for asked in pending:
                if len(asked.text) > len(room.texts.get(asked.answer_id, "")):
                    room.texts[asked.answer_id] = asked.text
                    _catch_up(room, asked.answer_id)

    def is_waiting(self, stream: str) -> bool:
        """Whether an answer is to come in a conversation with clients here."""
        room = self._rooms.get(stream)
        return room is not None and bool(room.pending)

    def text(self, session_id: str, message_id: str, end: int) -> str | None:
        """See `PartialTexts`."""
        room = self._rooms.get(chat_stream(session_id))
        known = room.texts.get(message_id) if room else None
        return known[:end] if known is not None and len(known) >= end else None

    def tell_failure(self, failed: Publish) -> None:
        """Tell all clients of a conversation here of an answer that they wait for, and that the log cannot take."""
        room = self._rooms.get(failed.stream)
        answer_id = failed.data["message_id"]
        if room is not None and answer_id in room.pending:
            room.pending.discard(answer_id)
            told = frame(failed.type, session_id=session_id_of(failed.stream), **failed.data, retryable=True)
            for guest, stay in tuple(room.guests.items()):
                if stay.place is not None:
                    guest.tell(told)

    async def tell_others(self, stream: str, message: Message, but: str) -> None:
        """Tell all clients of a conversation but those of one person: those who are here, and others as far as can be."""
        self._tell_others_here(stream, message, but)
        await self._elsewhere.say(stream, message, but)

    def _tell_others_here(self, stream: str, message: Message, but: str) -> None:
        room = self._rooms.get(stream)
        for guest, stay in tuple(room.guests.items()) if room else ():
            if guest.person_id != but and stay.place is not None:
                guest.tell(message)


def _ends(record: Record, place: Cursor, person_id: str) -> bool:
    """Whether somebody whom the state at `place` admits is admitted no longer after `record`.

    A conversation that is cleared, or sealed or removed and then begun anew, belongs to whoever begins it.
    """
    if isinstance(record, Control):
        return record.change is Change.CLEAR and record.epoch != place.epoch
    if record.epoch != place.epoch:
        return record.seq == 1  # others are from before: they were committed earlier than `place`
    is_removal = record.type == REMOVED and record.seq > place.offset
    return is_removal and _removed(record.data).user.id == person_id


def _notice(record: Record) -> Reset | None:
    if isinstance(record, Control):
        return Reset(CLEARED, Cursor(record.epoch, 0))
    return None if record.type == REMOVED else Reset(BEGUN_ANEW, Cursor(record.epoch, 0))


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


def _ask(room: _Room, event: Event) -> None:
    answer_id = _asked(event.data).answer_id
    if answer_id is not None:
        room.pending.add(answer_id)


def _settle(room: _Room, event: Event) -> None:
    room.pending.discard(_settled(event.data).message_id or "")


_ACTS: Final[dict[str, Callable[[_Room, Event], None]]] = {
    TOKEN: _take_token,
    MESSAGE: _ask,
    RETRY: _ask,
    COMPLETE: _settle,
    ERROR: _settle,
}
