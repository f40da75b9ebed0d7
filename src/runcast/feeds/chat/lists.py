"""Who is told, as it happens, that one of their conversations has changed: for lists of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

import msgspec

from runcast.core.event import Event
from runcast.core.page import Control, Record
from runcast.core.scope import Scope
from runcast.feeds.chat.listing import LOOKED_AT, sessions_of
from runcast.feeds.chat.wire import frame
from runcast.kinds.chat import COMPLETE, CREATED, ERROR, MESSAGE, NAME, chat_stream, session_id_of
from runcast.kinds.chat_state import Person
from runcast.live.bus import Bus
from runcast.live.codec import Message
from runcast.live.hub import Hub

_ALL: Final = str(Scope.firehose(NAME))
_ADDED: Final = "member_added"
_REMOVED: Final = "member_removed"
_CHANGES: Final = frozenset({CREATED, MESSAGE, COMPLETE, ERROR, _ADDED, _REMOVED})


class _Who(msgspec.Struct):
    id: str


class _Concerned(msgspec.Struct):
    owner: _Who | None = None
    user: _Who | None = None


_concerned = msgspec.json.Decoder(_Concerned).decode


class Lists:
    """All lists of conversations that this process keeps up to date. Belongs to the event loop."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._hub: Hub | None = None
        self._by_person: defaultdict[str, set[ListWatch]] = defaultdict(set)
        self._by_stream: defaultdict[str, set[ListWatch]] = defaultdict(set)

    async def enter(self, watch: ListWatch, person: Person) -> None:
        """Tell it from now on of what that person takes part in. Cancellation-safe.

        Raises:
            LogError: it could not be read what that is.
        """
        if self._hub is not self._bus.hub:  # the first one, or in another loop than before
            self._by_person.clear()
            self._by_stream.clear()
            self._hub = self._bus.hub
            self._hub.taps.setdefault(_ALL, set()).add(self._hear)
        self._by_person[person.id].add(watch)
        try:
            for told in await sessions_of(self._bus, person, LOOKED_AT):
                self._by_stream[chat_stream(told["session_id"])].add(watch)
        except BaseException:
            self.leave(watch)
            raise

    def leave(self, watch: ListWatch) -> None:
        """It is told no more. Idempotent."""
        for index in (self._by_person, self._by_stream):
            for name in [name for name, watches in index.items() if watch in watches]:
                index[name].discard(watch)
                if not index[name]:
                    del index[name]
        if not self._by_person and self._hub is not None:
            self._hub.taps[_ALL].discard(self._hear)
            self._hub = None

    def _hear(self, records: list[Record]) -> None:
        for record in records:
            if not isinstance(record, Control) and record.type in _CHANGES:
                self._changed(record)

    def _changed(self, event: Event) -> None:
        if event.type in {CREATED, _ADDED}:
            self._by_stream[event.stream] |= self._by_person.get(_whose(event), set())
        watches = self._by_stream.get(event.stream, set())
        for watch in tuple(watches):
            watch.changed(event)
        if event.type == _REMOVED:
            watches -= self._by_person.get(_whose(event), set())
        if not watches:
            self._by_stream.pop(event.stream, None)


class ListWatch:
    """The list of one client, whose person may change until they have said something."""

    def __init__(self, lists: Lists, tell: Callable[[Message], None]) -> None:
        self._lists = lists
        self._tell = tell
        self.is_wanted = False
        self.is_open = False
        """Whether the client was told who it is: nothing comes before that."""

    async def follow(self, person: Person) -> None:
        """Be told of this person's conversations, and of nobody else's; raises as `Lists.enter`."""
        if self.is_wanted:
            self._lists.leave(self)
            await self._lists.enter(self, person)

    def leave(self) -> None:
        """Be told no more. Idempotent."""
        if self.is_wanted:
            self._lists.leave(self)

    def changed(self, event: Event) -> None:
        """Tell it."""
        if self.is_open:
            session_id = session_id_of(event.stream)
            self._tell(frame("session_changed", session_id=session_id, change=event.type))


def _whose(event: Event) -> str:
    """Who takes part from now on, or no longer."""
    told = _concerned(event.data)
    who = told.owner or told.user
    return who.id if who is not None else ""
