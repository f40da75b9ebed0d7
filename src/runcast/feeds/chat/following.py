"""The conversations that one client is told of: joined when something is said there, left when told to, or put out."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from runcast.core.scope import Scope
from runcast.core.subscription import Reset
from runcast.feeds.chat.rooms import Guest, Rooms
from runcast.feeds.chat.typing_pace import TypingPace
from runcast.feeds.chat.wire import TOLD, ChatFrames, put_out_frame
from runcast.kinds.chat import chat_stream, session_id_of
from runcast.kinds.chat_state import Person
from runcast.live.cohort import Wish
from runcast.live.subscriber import Subscriber
from runcast.runners.chat.service import Chats
from runcast.transport.websocket import WebSocketPeer


class Follower(Guest, Protocol):
    """Whose conversations they are: a client of the chat."""

    person: Person
    peer: WebSocketPeer

    async def subscribe(self, scope: Scope, wish: Wish, after: str) -> Subscriber:
        """See `FeedClient`."""
        ...

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """See `FeedClient`."""
        ...


class _Followed(NamedTuple):
    reader: Subscriber
    since: int
    """It is told of what comes after this seq."""


class Following:
    """What a client follows, at most `limit` at once: another one takes the place of the first. Belongs to the event loop."""

    def __init__(self, client: Follower, chats: Chats, rooms: Rooms, limit: int, batch_size: int) -> None:
        self.last: str | None = None
        """The conversation that was meant last."""
        self.typing_pace = TypingPace()
        self._client = client
        self._chats = chats
        self._rooms = rooms
        self._limit = limit
        self._batch_size = batch_size
        self._followed: dict[str, _Followed] = {}

    def __contains__(self, stream: str) -> bool:
        return stream in self._followed

    def __len__(self) -> int:
        return len(self._followed)

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is to come in one of them."""
        return any(map(self._rooms.is_waiting, self._followed))

    def is_told(self, stream: str, seq: int) -> bool:
        """Whether the event was told on this connection, or will be."""
        followed = self._followed.get(stream)
        return followed is not None and followed.since < seq

    async def join(self, session_id: str, after: str, codec: ChatFrames) -> None:
        """Be told of a conversation, if one takes part in it; again it does nothing. Cancellation-safe.

        Raises:
            Forbidden: they do not take part.
            InvalidCursor, TooMany, LogError: as `Hub.subscribe`.
        """
        stream = chat_stream(session_id)
        self.last = session_id
        if stream in self._followed:
            return
        if len(self._followed) >= self._limit:
            self.leave(next(iter(self._followed)))
        while not await self._try_to_join(stream, after, codec):
            pass  # put out meanwhile: it is asked once more whether they take part

    def leave(self, stream: str) -> None:
        """Be told no more of it. Idempotent."""
        followed = self._followed.pop(stream, None)
        if followed is not None:
            self._client.unsubscribe(followed.reader)
        self.typing_pace.leave(stream)
        self._rooms.leave(stream, self._client)

    def put_out(self, stream: str, notice: Reset | None) -> None:
        """See `Guest`. Who is about to be told of it notices in `join`."""
        followed = self._followed.get(stream)
        if followed is not None:
            followed.reader.cohort.drain()  # what was said before is theirs
        self.leave(stream)
        if followed is not None:
            self._client.tell(put_out_frame(session_id_of(stream), notice))

    def end(self) -> None:
        """The client has gone."""
        for stream in self._followed:
            self._rooms.leave(stream, self._client)
        self._followed.clear()

    async def _try_to_join(self, stream: str, after: str, codec: ChatFrames) -> bool:
        client, rooms = self._client, self._rooms
        rooms.enter(stream, client, partial=codec.is_partial)
        try:
            state, place = await self._chats.admission(session_id_of(stream), client.person)
            if not rooms.admit(stream, client, place):
                rooms.leave(stream, client)
                return False
            rooms.know(stream, state.pending)
            wish = Wish(codec, client.peer.framing, TOLD, self._batch_size)
            reader = await client.subscribe(Scope.of_stream(stream), wish, after)
            if not rooms.has(stream, client):
                client.unsubscribe(reader)
                return False
            since = reader.machine.cursor.offset if reader.machine.cursor else 0
            self._followed[stream] = _Followed(reader, since)
        except BaseException:
            rooms.leave(stream, client)
            raise
        return True
