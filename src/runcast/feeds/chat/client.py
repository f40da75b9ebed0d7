"""One client of the chat's WebSocket that is known: what it says, and the conversations that it is told of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from starlette.types import Scope as ASGIScope

from runcast.auth.secrets import new_id
from runcast.core.scope import Scope
from runcast.core.subscription import Reset
from runcast.errors import InvalidInput, RuncastError, TooMany, Unauthenticated
from runcast.feeds.chat.attachments import Attachments
from runcast.feeds.chat.following import Following
from runcast.feeds.chat.identity import person_of
from runcast.feeds.chat.lists import Lists, ListWatch
from runcast.feeds.chat.parting import PatientSink
from runcast.feeds.chat.places import place_before
from runcast.feeds.chat.rooms import Rooms
from runcast.feeds.chat.said import Head, Said, read_binary, read_text
from runcast.feeds.chat.uploads import Uploads
from runcast.feeds.chat.wire import (
    ChatFrames,
    auth_error,
    auth_success,
    error_frame,
    frame,
)
from runcast.kinds.chat import chat_stream
from runcast.kinds.chat_state import Person
from runcast.live.bus import Bus
from runcast.live.codec import Message
from runcast.live.hub import NOW, START, read_cursor
from runcast.live.subscriber import Subscriber
from runcast.log.base import Appended
from runcast.runners.chat.service import Chats
from runcast.transport.feed_socket import FeedClient
from runcast.transport.params import choice_param, text_param
from runcast.transport.websocket import WebSocketPeer, close_code

logger = logging.getLogger("runcast.chat")

HEAD_BYTES: Final = 8_192
"""What a binary frame may have before its content."""
AUTH_TRIES: Final = 5
MAX_AFTER_CHARS: Final = 200


class TooFast(TooMany):
    """A client says more in a second than anybody could."""


class ChatTools(NamedTuple):
    """What all clients share."""

    chats: Chats
    rooms: Rooms
    lists: Lists
    attachments: Attachments
    plain: ChatFrames
    partial: ChatFrames


class ChatClient(FeedClient):
    """Somebody who chats. Conversations are told to them from the first thing on that they say there, or by `resume`.

    Raises `InvalidInput` in `admit` for parameters that cannot be.
    """

    person: Person

    def __init__(self, bus: Bus, peer: WebSocketPeer, scope: ASGIScope, tools: ChatTools) -> None:
        super().__init__(bus, peer, scope)
        self.tools = tools
        self._own_session: str | None = None
        settings = bus.settings
        self._following = Following(
            self, tools.chats, tools.rooms, settings.max_subscriptions, settings.batch_size
        )
        self._uploads = Uploads(tools.attachments)
        self._list = ListWatch(tools.lists, self.tell)
        self._failed_tries = 0
        self._codec = tools.partial
        self._acts: dict[str, Callable[[Said], Coroutine[Any, Any, None]]] = {
            "auth": self._renew_by,
            "message": self._message,
            "cancel": self._cancel,
            "resume": self._resume,
            "typing": self._typing,
            "read": self._read,
            "edit": self._edit,
            "delete": self._delete,
            "retry": self._retry,
            "ping": self._ping,
        }

    # what `FeedClient` asks

    @property
    def person_id(self) -> str:
        """Who it is, for `Rooms`."""
        return self.person.id

    async def admit(self) -> None:
        """Take the parameters; with `session_id` it is told of that conversation from `after` on."""
        self.person = person_of(self.access.known())
        self.tools.chats.preparation.want()
        self.connection.sink = PatientSink(
            self.peer.sink, lambda: self._following.is_waiting, self.bus.settings.drain_s
        )
        if choice_param(self.query, "partial", ("1", "0")) == "0":
            self._codec = self.tools.plain
        self._list.is_wanted = choice_param(self.query, "sessions", ("0", "1")) == "1"
        await self._list.follow(self.person)
        session_id = text_param(self.query, "session_id", "")
        if session_id:
            await self._join(session_id, text_param(self.query, "after", NOW))

    def greeting(self) -> Sequence[Message]:
        """`auth_success`."""
        settings = self.bus.settings
        self._list.is_open = True
        self.peer.allow_messages(
            max(settings.attachment_max_bytes + HEAD_BYTES, 2 * settings.inbound_max_bytes)
        )
        return [auth_success(self.access.known(), self.person)]

    def receive(self, message: str | bytes | RuncastError) -> Awaitable[None] | None:
        """Answer one message of the client; what is returned is to be awaited before the next one."""
        if isinstance(message, RuncastError):
            self.refused(message)
            return None
        try:
            self._take_one()
            if isinstance(message, bytes):
                head, content = read_binary(message, self.bus.settings.attachment_max_bytes)
                return self._answered(self._attach(head, content))
            said = read_text(message, self.bus.settings.inbound_max_bytes)
        except RuncastError as error:
            self.answer(error)
            return None
        return self._answered(self._acts[str(said.type)](said), said)

    def answer(self, error: RuncastError) -> None:
        """Tell the client what was wrong with what it said; it goes on, unless it says far too much."""
        self.bus.refused[error.code] += 1
        self.tell(self.word(error))
        if isinstance(error, TooFast):
            self.peer.sink.close(close_code(error), error.code)

    def word(self, error: RuncastError) -> Message:
        """An `error` frame; `auth_error` if it is about who they are."""
        return auth_error(error) if isinstance(error, Unauthenticated) else error_frame(error)

    def ended(self, subscriber: Subscriber) -> None:
        """Somebody has sealed the conversation, as was told; the client may go on with others."""
        self._following.leave(subscriber.topic.tail.scope.stream)

    def left(self) -> None:
        """The client has gone; what it has asked is answered all the same."""
        self._following.end()
        self._uploads.forget()
        self._list.leave()

    def put_out(self, stream: str, notice: Reset | None) -> None:
        """See `Guest`."""
        self._following.put_out(stream, notice)

    # what a client says

    async def _message(self, said: Said) -> None:
        """Say something. Said before under the same id of the client's own, it is told what became of that."""
        text = said.message if said.message is not None else ""
        if not isinstance(text, str):
            raise InvalidInput("message: a text is expected.", field="message")
        client_id = said.text("id") or None
        session_id = said.text("session_id") or self._own()
        chats = self.tools.chats
        if client_id is not None:
            before = await chats.said_before(session_id, self.person, client_id)
            if before is not None:
                await self._tell_from(session_id, before)
                return
        attached = self._uploads.named(said.attached())
        customer_id = said.text("customer_id") or None
        chats.limits.check(text, customer_id, attached)

        async def join_and_bind() -> None:
            await self._join(session_id, NOW)
            await self._uploads.bind(session_id, attached)

        try:
            told = await chats.say(
                session_id,
                self.person,
                text,
                customer_id=customer_id,
                attachments=attached,
                reply=said.truth("reply", default=True),
                client_id=client_id,
                before=join_and_bind,
            )
        except RuncastError:
            await self._uploads.unbind(session_id, attached)
            raise
        if told.appended.duplicate:
            await self._uploads.unbind(session_id, attached)
            await self._tell_from(session_id, told.appended)
        else:
            await self._uploads.settle(session_id, attached)

    async def _tell_from(self, session_id: str, place: Appended) -> None:
        """Tell of a conversation from an event on, unless that was or will be told on this connection anyway."""
        stream = chat_stream(session_id)
        self._following.last = session_id
        if self._following.is_told(stream, place.seq):
            return
        after = await place_before(self.bus, place)
        self._following.leave(stream)
        self.tell(frame("resumed", session_id=session_id, after=after))
        await self._join(session_id, after)

    async def _retry(self, said: Said) -> None:
        session_id = self._named(said)
        message_id = said.needed("message_id")
        await self._join(session_id, NOW)
        client_id = said.text("id") or None
        told = await self.tools.chats.retry(session_id, self.person, message_id, client_id=client_id)
        if told.appended.duplicate:
            await self._tell_from(session_id, told.appended)

    async def _cancel(self, said: Said) -> None:
        message_id = said.text("message_id")
        session_id = said.text("session_id") or self._following.last
        if session_id is not None:
            await self.tools.chats.cancel(session_id, self.person, message_id)

    async def _resume(self, said: Said) -> None:
        """From `after` on: a cursor, `start` or `now`; what comes together is joined."""
        session_id = said.needed("session_id")
        after = said.text("after", MAX_AFTER_CHARS) or NOW
        stream = chat_stream(session_id)
        await self.tools.chats.state(session_id, self.person)
        if after not in {START, NOW}:
            read_cursor(Scope.of_stream(stream), after)
        self._following.leave(stream)
        self.tell(frame("resumed", session_id=session_id, after=after))
        await self._join(session_id, after)

    async def _typing(self, said: Said) -> None:
        """Told to the others who are here, and not stored; at the pace of `TypingPace`."""
        session_id = self._named(said)
        is_typing = said.truth("typing", default=True)
        stream = chat_stream(session_id)
        await self._join(session_id, NOW)
        if not self._following.typing_pace.take(stream, is_typing, self._now_s()):
            return
        user = {"id": self.person.id, "name": self.person.name}
        told = frame("typing", session_id=session_id, user=user, typing=is_typing)
        await self.tools.rooms.tell_others(stream, told, but=self.person.id)

    async def _read(self, said: Said) -> None:
        await self.tools.chats.read(self._named(said), self.person, said.needed("message_id"))

    async def _edit(self, said: Said) -> None:
        text = said.message
        if not isinstance(text, str):
            raise InvalidInput("message: a text is expected.", field="message")
        await self.tools.chats.edit(self._named(said), self.person, said.needed("message_id"), text)

    async def _delete(self, said: Said) -> None:
        session_id = self._named(said)
        turn = await self.tools.chats.delete(session_id, self.person, said.needed("message_id"))
        if turn.attachments:
            ids = [one.attachment_id for one in turn.attachments]
            await asyncio.to_thread(self.tools.attachments.remove, session_id, ids)

    async def _ping(self, said: Said) -> None:
        del said
        self.tell(frame("pong"))

    async def _attach(self, head: Head, content: memoryview) -> None:
        """Keep it until a message names it; say so."""
        self._uploads.check(head.id)
        self.tools.chats.limits.count(self.person)
        kept = await self._uploads.receive(self.person.id, head, content)
        self.tell(frame("attachment", **msgspec.structs.asdict(kept)))

    async def _renew_by(self, said: Said) -> None:
        """Go on under a fresh token; as long as nothing was said, it may be another person's.

        A browser's cookie may have come first. One that does not count changes nothing, up to some tries.
        """
        try:
            release = await self._hold_by(said.token)
        except RuncastError as error:
            self._failed_tries += 1
            self.tell(auth_error(error))
            if self._failed_tries >= AUTH_TRIES:
                self.peer.sink.close(close_code(error), error.code)
            return
        self._release()
        self._release = release
        renewed = person_of(self.access.known())
        if renewed.id != self.person.id and (self._following or self._uploads):
            self.refused(Unauthenticated("This token is another person's; connect anew to chat as them."))
            return
        self.person = renewed
        await self._list.follow(renewed)
        self.tell(auth_success(self.access.known(), self.person))

    async def _hold_by(self, token: object) -> Callable[[], None]:
        """Take another token. What it grants is no matter here: conversations have members of their own."""
        if not isinstance(token, str):
            raise InvalidInput("token: a string is expected in an auth message.", field="token")
        before = self.access.principal
        await self.access.identify(token)
        try:
            return await self.access.hold(self.holds, self.refused)
        except BaseException:
            self.access.principal = before
            raise

    # conversations

    async def _join(self, session_id: str, after: str) -> None:
        await self._following.join(session_id, after, self._codec)

    def _own(self) -> str:
        """The conversation of those messages that name none."""
        if self._own_session is None:
            self._own_session = f"s_{new_id()}{new_id()}"
        return self._own_session

    def _named(self, said: Said) -> str:
        """The conversation that a frame names, or the last one."""
        session_id = said.text("session_id") or self._following.last
        if session_id is None:
            raise InvalidInput("session_id: say which conversation is meant.", field="session_id")
        return session_id

    # in common

    async def _answered(self, act: Coroutine[Any, Any, None], said: Said | None = None) -> None:
        try:
            await act
        except RuncastError as error:
            self.bus.refused[error.code] += 1
            session_id = said.session_id if said and isinstance(said.session_id, str) else None
            if isinstance(error, Unauthenticated):
                self.tell(auth_error(error))
            else:
                self.tell(error_frame(error, session_id))
        except Exception:  # a root: a flaw of ours costs this message, and is not shown
            logger.exception("a message could not be taken")
            self.tell(error_frame(RuncastError("Something went wrong here; try again.")))

    def _take_one(self) -> None:
        if not self._bucket.take(self._now_s()):
            rate = self.bus.settings.inbound_rate
            raise TooFast(f"More than {rate} messages per second; reconnect more calmly.")
