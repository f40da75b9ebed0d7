"""Conversations for whoever takes part in them, in any process of the log; and the runner that answers them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import msgspec

from runcast.config import Settings
from runcast.core.event import Cursor, stream_name
from runcast.errors import Forbidden, InvalidInput, LogError, Restarting, StreamNotFound
from runcast.kinds.base import Publish
from runcast.kinds.chat import (
    CHAT,
    COMMAND,
    COMPLETE,
    CREATED,
    ERROR,
    MESSAGE,
    NAME,
    RETRY,
)
from runcast.kinds.chat_index import CHATTER, joined
from runcast.kinds.chat_state import MAX_MEMBERS, Attachment, ChatState, Person, Turn, shown
from runcast.live.bus import Bus
from runcast.log.base import Appended
from runcast.runners.chat.asking import Asking, Before
from runcast.runners.chat.draining import Draining
from runcast.runners.chat.library import Library
from runcast.runners.chat.limits import Limits
from runcast.runners.chat.orchestrator import orchestrate
from runcast.runners.chat.preparing import Preparation
from runcast.runners.chat.responder import Responder, registered
from runcast.runners.chat.run import ChatRun, Tools
from runcast.runners.chat.sent import sending
from runcast.runners.chat.states import States
from runcast.runners.chat.telling import Pace
from runcast.runners.claim import Claim
from runcast.runners.knowledge import KnowledgeBase
from runcast.runners.model import LanguageModel


class Receipt(msgspec.Struct, frozen=True):
    """What became of a message: its id, its answer's (None if none is wanted), and its place in the stream."""

    message_id: str
    answer_id: str | None
    appended: Appended


class Chats:
    """The conversations of a log. Everything belongs to the event loop; what returned is stored.

    Args:
        bus: gets to know the kinds, if it does not.
        model: asked by the built-in orchestrator, and given to a user's own responder.
        knowledge: the user's knowledge base; while it is empty, the shipped documentation is searched.
        responder: who answers; by default the one that is registered, or else the orchestrator.
    """

    kind = NAME
    wakes = frozenset({MESSAGE, RETRY})
    settles = frozenset({COMPLETE, ERROR})

    def __init__(
        self,
        bus: Bus,
        model: LanguageModel,
        knowledge: KnowledgeBase,
        settings: Settings | None = None,
        *,
        responder: Responder | None = None,
    ) -> None:
        self._settings = settings or bus.settings
        for kind in (CHAT, CHATTER):
            bus.kinds.setdefault(kind.name, kind)
        self._bus = bus
        self._states = States(bus)
        self._library = Library(knowledge)
        self.limits = Limits(self._settings)
        self.tell_here: Callable[[Publish], None] = lambda _: None
        """Tells those who are connected to this process of an answer that failed, and that cannot be stored."""
        self._asking = Asking(bus, self._states, self.limits, self._store)
        self.draining = Draining()
        """Begin it when the process is about to end: nothing more is answered here, or may be asked here."""
        self._responder = responder
        self.preparation = Preparation(bus, model, self._find)
        self._tools = Tools(
            model,
            self._library,
            Pace(),
            self._find,
            self._settings.chat_context_tokens,
            self._settings.chat_answer_timeout_s,
            self.draining,
            self._tell_here,
        )

    def close(self) -> None:
        """Let go of what was opened. Idempotent."""
        self._library.close()

    # For those who take part

    async def state(self, session_id: str, person: Person) -> ChatState:
        """The conversation, for somebody who takes part. Of this moment: not to be kept over an await.

        Raises:
            StreamNotFound: there is none.
            Forbidden: it is others'.
            InvalidStreamName: there can be none of this id.
            LogError: it could not be read.
        """
        state, _ = await self.admission(session_id, person)
        return state

    async def admission(self, session_id: str, person: Person) -> tuple[ChatState, Cursor]:
        """The state that admits them, as `state`, and up to where in the stream it knows that they are admitted.

        Raises as `state`.
        """
        folding = await self._states.folding(stream_name(NAME, session_id))
        if not folding.state.is_known:
            raise StreamNotFound(f"There is no conversation {session_id}.")
        _admit(folding.state, session_id, person)
        return folding.state, Cursor(folding.epoch, folding.seq)

    async def begin(self, session_id: str, person: Person) -> ChatState:
        """The conversation, which becomes theirs if nobody has begun it: the first one does, in whichever process.

        Raises:
            Forbidden: it is others'.
            InvalidStreamName, LogError: as `state`.
        """
        stream = stream_name(NAME, session_id)
        state = await self._states.read(stream)
        if not state.is_known:
            created = Publish(stream=stream, type=CREATED, data={"owner": shown(person)}, id="created")
            # If another one was first, this makes them no member: the list looks who takes part.
            await self._bus.publish_all([created, joined(person.id, session_id)])
            state = await self._states.read(stream)
        _admit(state, session_id, person)
        return state

    async def say(
        self,
        session_id: str,
        person: Person,
        text: str,
        *,
        customer_id: str | None = None,
        attachments: Sequence[Attachment] = (),
        reply: bool = True,
        client_id: str | None = None,
        before: Before | None = None,
    ) -> Receipt:
        """Say something in a conversation, which is begun if there is none; it is answered, unless `reply` is false.

        Saying it again under the same `client_id` changes nothing: what became of it the first time is returned.
        `before` is awaited when nothing is against it, right before it is stored; what it raises keeps it unsaid.

        Raises:
            EmptyMessage, InvalidInput, TooLarge: it cannot be said; names the field.
            TooMany: too much in a minute. Occupied: too much of it is not answered yet.
            Forbidden: the conversation is others'.
            Restarting: this process is about to end.
            LogError: nothing was stored.
        """
        self._check_running()
        self.limits.check(text, customer_id, attachments)
        self.limits.count(person)
        state = await self.begin(session_id, person)
        ids = sending(person.id, client_id)
        answer_id = ids.answer_id if reply else None
        is_known = state.turn(ids.message_id) is not None
        if answer_id is not None and not is_known:
            await self._asking.check(state, stream_name(NAME, session_id), person)
        fields = {
            **({} if client_id is None else {"id": client_id}),
            "message_id": ids.message_id,
            "user": shown(person),
            "message": text,
            "customer_id": customer_id,
            "attachments": [msgspec.to_builtins(one) for one in attachments],
            "answer_id": answer_id,
        }
        event = _event(session_id, MESSAGE, fields, ids.event_id)
        appended = await self._asking.store(person, None if is_known else answer_id, event, before)
        return Receipt(ids.message_id, answer_id, appended)

    async def said_before(self, session_id: str, person: Person, client_id: str) -> Appended | None:
        """Where something stands that somebody has said already under this id of theirs; None if they have not.

        Raises:
            TooMany: too much in a minute. Forbidden: the conversation is others'. LogError: it could not be found out.
        """
        state = await self._states.read(stream_name(NAME, session_id))
        ids = sending(person.id, client_id)
        turn = state.turn(ids.message_id)
        if turn is None:
            return None
        _admit(state, session_id, person)
        self.limits.count(person)
        fields = {"message_id": ids.message_id, "user": shown(person), "message": turn.text}
        return await self._store(
            _event(session_id, MESSAGE, fields, ids.event_id)
        )  # stores nothing: it is known

    async def retry(
        self, session_id: str, person: Person, message_id: str, *, client_id: str | None = None
    ) -> Receipt:
        """Let a question be answered once more; `message_id` may also be that of an answer.

        Raises:
            InvalidInput: nothing is known under this id. Others as `say`.
        """
        self._check_running()
        self.limits.count(person)
        state = await self.state(session_id, person)
        turn = _turn(state, message_id)
        question = turn if turn.user is not None else _turn(state, turn.in_reply_to or "")
        ids = sending(person.id, client_id)
        is_asked = any(asked.answer_id == ids.answer_id for asked in state.pending)
        is_known = is_asked or state.turn(ids.answer_id) is not None
        if not is_known:
            await self._asking.check(state, stream_name(NAME, session_id), person)
        fields = {
            **({} if client_id is None else {"id": client_id}),
            "message_id": question.message_id,
            "answer_id": ids.answer_id,
            "by": person.id,
        }
        event = _event(session_id, RETRY, fields, ids.event_id)
        appended = await self._asking.store(person, None if is_known else ids.answer_id, event)
        with suppress(LogError):  # it is stored
            if not is_known and not await self._asking.is_wanted(event.stream, ids.answer_id):
                _turn(await self.state(session_id, person), question.message_id)  # deleted at the same moment
        return Receipt(question.message_id, ids.answer_id, appended)

    async def cancel(self, session_id: str, person: Person, message_id: str | None = None) -> bool:
        """Stop an answer, by its id or its question's, or all that are on their way; False if there is none.

        Raises as `state`.
        """
        state = await self.state(session_id, person)
        concerned = [
            asked
            for asked in state.pending
            if not asked.cancelled and message_id in {None, asked.question_id, asked.answer_id}
        ]
        if concerned:
            fields = {"command": "cancel", "message_id": message_id, "by": person.id}
            await self._publish(session_id, COMMAND, fields)
        return bool(concerned)

    async def edit(self, session_id: str, person: Person, message_id: str, text: str) -> None:
        """Change what one has said. It is not answered again by itself.

        Raises:
            InvalidInput: nothing is known under this id. EmptyMessage, TooLarge: it cannot be said.
            Forbidden: somebody else has said it. Others as `state`.
        """
        self.limits.check(text, None, ())
        turn = _turn(await self.state(session_id, person), message_id)
        if turn.user is None or turn.user.id != person.id:
            raise Forbidden("Only who has said something can change it.")
        await self._publish(
            session_id, "edit", {"message_id": message_id, "message": text, "user": shown(person)}
        )

    async def delete(self, session_id: str, person: Person, message_id: str) -> Turn:
        """Take something back: one's own message; the owner any message and answer. Returns what it was.

        An answer to it that is on its way is cancelled.

        Raises:
            InvalidInput: nothing is known under this id.
            Forbidden: it is not theirs to delete. Others as `state`.
        """
        state = await self.state(session_id, person)
        turn = _turn(state, message_id)
        if not state.owns(person.id) and (turn.user is None or turn.user.id != person.id):
            raise Forbidden("Only who has said something, or the owner of the conversation, can delete it.")
        await self._publish(session_id, "delete", {"message_id": message_id, "user": shown(person)})
        return turn

    async def read(self, session_id: str, person: Person, message_id: str) -> None:
        """Say that one has read everything up to a message. Repeating it changes nothing.

        Raises:
            InvalidInput: nothing is known under this id. Others as `state`.
        """
        state = await self.state(session_id, person)
        _turn(state, message_id)
        if state.reads.get(person.id) != message_id:
            await self._publish(session_id, "read", {"message_id": message_id, "user": shown(person)})

    async def add_member(self, session_id: str, person: Person, member: Person) -> None:
        """Invite somebody: only the owner can. Repeating it changes nothing.

        Raises:
            Forbidden: somebody else owns it.
            InvalidInput: there are too many already. Others as `state`.
        """
        state = await self.state(session_id, person)
        if not state.owns(person.id):
            raise Forbidden("Only the owner of a conversation can invite people to it.")
        if state.admits(member.id):
            return
        if len(state.members) >= MAX_MEMBERS:
            raise InvalidInput(
                f"user_id: {MAX_MEMBERS} people take part already, the limit.", field="user_id"
            )
        stream = stream_name(NAME, session_id)
        added = {"user": shown(member), "by": person.id}
        await self._bus.publish_all(
            [Publish(stream=stream, type="member_added", data=added), joined(member.id, session_id)]
        )

    async def remove_member(self, session_id: str, person: Person, member_id: str) -> None:
        """Let somebody take part no longer: the owner can, and everybody can leave. Repeating it changes nothing.

        Raises:
            Forbidden: it is not theirs to do. Others as `state`.
        """
        state = await self.state(session_id, person)
        if member_id != person.id and not state.owns(person.id):
            raise Forbidden("Only the owner of a conversation can remove others from it.")
        if state.owns(member_id):
            raise InvalidInput("user_id: the owner of a conversation cannot leave it.", field="user_id")
        if member_id in state.members:
            user = shown(state.members[member_id])
            await self._publish(session_id, "member_removed", {"user": user, "by": person.id})

    # The runner

    async def is_open(self, stream: str) -> bool:
        """See `Runner`."""
        return not self.draining.is_on and bool((await self._states.read(stream)).pending)

    async def is_ending(self, stream: str) -> bool:
        """See `Ending`."""
        return (await self._states.read(stream)).is_ending

    async def run(self, claim: Claim) -> None:
        """See `Runner`."""
        await ChatRun(claim, self._tools, lambda: self._states.read(claim.stream)).run()

    # In common

    def _find(self) -> Responder:
        return self._responder or registered() or orchestrate

    def _tell_here(self, event: Publish) -> None:
        self.tell_here(event)

    def _check_running(self) -> None:
        if self.draining.is_on:
            raise Restarting

    async def _publish(self, session_id: str, event_type: str, fields: Mapping[str, object]) -> Appended:
        return await self._store(_event(session_id, event_type, fields))

    async def _store(self, event: Publish) -> Appended:
        appended = await self._bus.publish_all([event])
        if not appended:
            raise Forbidden("A processor of this server does not let this be said.")
        return appended[0]


def _event(
    session_id: str, event_type: str, fields: Mapping[str, object], event_id: str | None = None
) -> Publish:
    return Publish(stream=stream_name(NAME, session_id), type=event_type, data=dict(fields), id=event_id)


def _admit(state: ChatState, session_id: str, person: Person) -> None:
    if not state.admits(person.id):
        raise Forbidden(f"The conversation {session_id} is somebody else's; its owner can invite you.")


def _turn(state: ChatState, message_id: str) -> Turn:
    turn = state.turn(message_id)
    if turn is None:
        raise InvalidInput("message_id: nothing of this id is known here.", field="message_id")
    return turn
