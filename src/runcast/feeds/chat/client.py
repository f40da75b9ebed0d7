"""One client of the chat's WebSocket that is known: what it says, and the conversations that it is told of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple

from starlette.types import Scope as ASGIScope

from runcast.auth.secrets import new_id
from runcast.core.scope import Scope
from runcast.core.subscription import End
from runcast.errors import Forbidden, InvalidInput, RuncastError, TooLarge, TooMany, Unauthenticated
from runcast.feeds.chat.attachments import Attachments
from runcast.feeds.chat.identity import person_of
from runcast.feeds.chat.rooms import Rooms
from runcast.feeds.chat.said import Said, read_binary, read_text
from runcast.feeds.chat.wire import TOLD, ChatFrames, auth_error, auth_success, error_frame, frame
from runcast.kinds.chat import chat_stream, session_id_of
from runcast.kinds.chat_state import Attachment, Person
from runcast.live.bus import Bus
from runcast.live.codec import Message
from runcast.live.cohort import Wish
from runcast.live.hub import NOW, START, read_cursor
from runcast.live.subscriber import Subscriber
from runcast.runners.chat.service import Chats
from runcast.transport.feed_socket import FeedClient
from runcast.transport.params import choice_param, text_param
from runcast.transport.websocket import WebSocketPeer, close_code

logger = logging.getLogger("runcast.chat")

HEAD_BYTES: Final = 8_192
"""What a binary frame may have before its content."""
TYPING_S: Final = 1.0
"""Between two times that others are told that somebody is typing."""
MAX_UPLOADS: Final = 10
"""Attachments that were sent and not named by a message yet."""
AUTH_TRIES: Final = 5
MAX_AFTER_CHARS: Final = 200


class TooFast(TooMany):
    """A client says more in a second than anybody could."""


class ChatTools(NamedTuple):
    """What all clients share."""

    chats: Chats
    rooms: Rooms
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
        self._last_session: str | None = None
        self._readers: dict[str, Subscriber] = {}
        self._uploads: dict[str, Attachment] = {}
        self._typed_s: dict[str, float] = {}
        self._failed_tries = 0
        self._is_partial = True
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
        self._is_partial = choice_param(self.query, "partial", ("1", "0")) == "1"
        session_id = text_param(self.query, "session_id", "")
        if session_id:
            await self._join(session_id, text_param(self.query, "after", NOW))

    def greeting(self) -> Sequence[Message]:
        """`auth_success`."""
        settings = self.bus.settings
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
                return self._answered(self._attach(head.id, head.name, head.mime, content))
            said = read_text(self._check_size(message))
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
        """Somebody has sealed the conversation; the client may go on with others."""
        stream = subscriber.topic.tail.scope.stream
        place = subscriber.machine.cursor
        if place is not None:
            self.tell(*self.tools.plain.notice(End(place), self.bus.now_us()))
        self._leave(stream)

    def left(self) -> None:
        """The client has gone; what it has asked is answered all the same."""
        for stream in list(self._readers):
            self.tools.rooms.leave(stream, self)
        self._readers.clear()
        uploads, self._uploads = list(self._uploads.values()), {}
        if uploads:
            asyncio.get_running_loop().run_in_executor(None, self.tools.attachments.remove, "", uploads)

    def put_out(self, stream: str) -> None:
        """They take part in a conversation no longer. What is being told at this moment is told to its end."""
        asyncio.get_running_loop().call_soon(self._put_out, stream)

    def _put_out(self, stream: str) -> None:
        if stream in self._readers:
            self._leave(stream)
            gone = Forbidden("You take part in this conversation no longer.")
            self.tell(error_frame(gone, session_id_of(stream)))

    # what a client says

    async def _message(self, said: Said) -> None:
        text = said.message if said.message is not None else ""
        if not isinstance(text, str):
            raise InvalidInput("message: a text is expected.", field="message")
        attached = [self._upload(one) for one in said.attached()]
        session_id = said.text("session_id") or self._own()
        customer_id = said.text("customer_id") or None
        chats = self.tools.chats
        chats.check(text, customer_id, attached)
        if chat_stream(session_id) not in self._readers:
            await chats.begin(session_id, self.person)
            await self._join(session_id, NOW)
        self._last_session = session_id
        if attached:
            await asyncio.to_thread(self.tools.attachments.bind, session_id, attached)
            for one in attached:
                self._uploads.pop(one.id, None)
        await chats.say(
            session_id,
            self.person,
            text,
            customer_id=customer_id,
            attachments=attached,
            reply=said.truth("reply", default=True),
        )

    async def _retry(self, said: Said) -> None:
        session_id = self._named(said)
        message_id = said.needed("message_id")
        await self._join(session_id, NOW)
        await self.tools.chats.retry(session_id, self.person, message_id)

    async def _cancel(self, said: Said) -> None:
        message_id = said.text("message_id")
        session_id = said.text("session_id") or self._last_session
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
        self._leave(stream)
        self.tell(frame("resumed", session_id=session_id, after=after))
        await self._join(session_id, after)

    async def _typing(self, said: Said) -> None:
        """Told to the others who are here, and not stored; more often than once a second, nobody is told."""
        session_id = self._named(said)
        is_typing = said.truth("typing", default=True)
        stream = chat_stream(session_id)
        if stream not in self._readers:
            await self._join(session_id, NOW)
        now_s = self._now_s()
        if is_typing and now_s - self._typed_s.get(stream, -TYPING_S) < TYPING_S:
            return
        self._typed_s[stream] = now_s if is_typing else -TYPING_S
        user = {"id": self.person.id, "name": self.person.name}
        told = frame("typing", session_id=session_id, user=user, typing=is_typing)
        self.tools.rooms.tell_others(stream, told, but=self.person.id)

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
            await asyncio.to_thread(self.tools.attachments.remove, session_id, turn.attachments)

    async def _ping(self, said: Said) -> None:
        del said
        self.tell(frame("pong"))

    async def _attach(self, client_id: str, name: str, mime: str, content: memoryview) -> None:
        """Keep it until a message names it; say so."""
        if len(self._uploads) >= MAX_UPLOADS and client_id not in self._uploads:
            raise InvalidInput(
                f"attachments: {MAX_UPLOADS} were sent and not named by a message yet.", field="attachments"
            )
        self.tools.chats.count(self.person)
        try:
            kept = await asyncio.to_thread(self.tools.attachments.receive, client_id, name, mime, content)
        except OSError:
            logger.exception("an attachment cannot be stored")
            raise RuncastError("The attachment could not be stored; try again later.") from None
        before = self._uploads.get(client_id)
        self._uploads[client_id] = kept
        if before is not None:
            await asyncio.to_thread(self.tools.attachments.remove, "", [before])
        self.tell(
            frame(
                "attachment",
                id=kept.id,
                attachment_id=kept.attachment_id,
                name=kept.name,
                mime=kept.mime,
                size=kept.size,
            )
        )

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
        if renewed.id != self.person.id and (self._readers or self._uploads):
            self.refused(Unauthenticated("This token is another person's; connect anew to chat as them."))
            return
        self.person = renewed
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
        """Be told of a conversation, if one takes part in it; again it does nothing."""
        stream = chat_stream(session_id)
        self._last_session = session_id
        if stream in self._readers:
            return
        if len(self._readers) >= self.bus.settings.max_subscriptions:
            self._leave(next(iter(self._readers)))
        rooms = self.tools.rooms
        rooms.enter(stream, self, partial=self._is_partial)
        try:
            state = await self.tools.chats.state(session_id, self.person)
            rooms.know(stream, state.pending)
            codec = self.tools.partial if self._is_partial else self.tools.plain
            wish = Wish(codec, self.peer.framing, TOLD, self.bus.settings.batch_size)
            self._readers[stream] = await self.subscribe(Scope.of_stream(stream), wish, after)
        except BaseException:
            rooms.leave(stream, self)
            raise

    def _leave(self, stream: str) -> None:
        reader = self._readers.pop(stream, None)
        if reader is not None:
            self.unsubscribe(reader)
        self._typed_s.pop(stream, None)
        self.tools.rooms.leave(stream, self)

    def _own(self) -> str:
        """The conversation of those messages that name none."""
        if self._own_session is None:
            self._own_session = f"s_{new_id()}{new_id()}"
        return self._own_session

    def _named(self, said: Said) -> str:
        """The conversation that a frame names, or the last one."""
        session_id = said.text("session_id") or self._last_session
        if session_id is None:
            raise InvalidInput("session_id: say which conversation is meant.", field="session_id")
        return session_id

    def _upload(self, client_id: str) -> Attachment:
        found = self._uploads.get(client_id)
        if found is None:
            raise InvalidInput(
                f"attachments: nothing called {client_id[:60]!r} was sent on this connection, in a binary message.",
                field="attachments",
            )
        return found

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

    def _check_size(self, text: str) -> str:
        size, limit = len(text.encode()), self.bus.settings.inbound_max_bytes
        if size > limit:
            raise TooLarge(f"message: {size} bytes; the limit is {limit}.", field="message")
        return text
