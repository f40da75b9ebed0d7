"""Answering one conversation in this process: each of its questions in order, from the claim until nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from runcast.client.backoff import delays
from runcast.core.event import Event
from runcast.errors import InvalidInput, LogClosed, LogError, StaleToken
from runcast.kinds.base import Publish
from runcast.kinds.chat import COMMAND, COMPLETE, ERROR, MESSAGE, RETRY, session_id_of
from runcast.kinds.chat_fields import ASSISTANT, PROCESSING_ERROR
from runcast.kinds.chat_state import Asked, ChatState
from runcast.runners.chat.draining import Draining
from runcast.runners.chat.failure import BROKEN, FORGOTTEN, TOO_SLOW, sentence_of
from runcast.runners.chat.history import history_before
from runcast.runners.chat.library import Library
from runcast.runners.chat.responder import (
    Metadata,
    Piece,
    Progress,
    Question,
    Responder,
    check_metadata,
)
from runcast.runners.chat.telling import FIRST_PAUSE_S, LONGEST_PAUSE_S, PATIENCE_S, Pace, Teller
from runcast.runners.claim import Claim
from runcast.runners.model import LanguageModel

LINGER_S = 1.0
"""After an answer, so long is waited for the next question: who talks to an agent asks again."""
CLEANUP_S = 0.1
"""So long a responder that is stopped may take for its own end; what it still does then, nobody waits for."""
TELLING = "Processing your message..."

_leaving: set[asyncio.Task[None]] = set()
"""Responders that were stopped and have not ended yet: a task that nothing refers to may vanish."""


class Tools(NamedTuple):
    """What all answers of a process share."""

    model: LanguageModel
    library: Library
    pace: Pace
    find: Callable[[], Responder]
    context_tokens: int
    timeout_s: float
    draining: Draining
    tell_here: Callable[[Publish], None]
    """Tells those who are connected to this process what cannot be stored."""


class ChatRun:
    """Answers what is asked in one conversation, under a claim.

    Args:
        read: the state of the conversation after all that is committed.
    """

    def __init__(self, claim: Claim, tools: Tools, read: Callable[[], Awaitable[ChatState]]) -> None:
        self._claim = claim
        self._tools = tools
        self._read = read
        self._news = asyncio.Event()
        self._cancels: list[str | None] = []
        self._answer: _Answer | None = None

    async def run(self) -> None:
        """Answer all that is asked, and wait a moment for more.

        Cancelled, it stops without a word, to go on elsewhere. While the process drains, no next one is begun.

        Raises:
            StaleToken: it belongs to another process now.
            LogError: what was answered cannot be told.
        """
        with self._claim.listen(self._hear):
            while await self._has_question():
                self._cancels.clear()
                state = await self._read()
                if state.pending:
                    await self._end(state, state.pending[0])

    async def _has_question(self) -> bool:
        self._news.clear()
        if self._tools.draining.is_on:
            return False
        if (await self._read()).pending:
            return True
        async with self._claim.resting():
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    await self._news.wait()
        return self._news.is_set()

    async def _end(self, state: ChatState, asked: Asked) -> None:
        """Bring one question to its end: an answer, a cancelled one, or an error."""
        # An attempt that has told something cannot be begun again: its text would be there twice.
        if asked.cancelled:
            await self._publish(_completed(asked, asked.text, _Told(), cancelled=True))
        elif asked.text:
            await self._publish(_failed(asked, BROKEN))
        elif state.turn(asked.question_id) is None:
            await self._publish(_failed(asked, FORGOTTEN))
        else:
            answer = self._answer = _Answer(self._claim, self._tools, state, asked)
            if any(_concerns(asked, message_id) for message_id in self._cancels):
                answer.cancel()
            try:
                with self._tools.draining.answering(answer.break_off):
                    await self._tell_end(asked, await answer.come_to_end())
            except StaleToken:
                raise  # another one tells
            except LogError as error:
                self._tell_here(asked, sentence_of(error))
                raise
            except asyncio.CancelledError:
                # whoever takes it over cannot go on with its text, either, and may be long in coming
                if self._claim.lost.is_set() and not self._claim.is_gone and answer.teller.text:
                    self._tell_here(asked, BROKEN)
                raise
            finally:
                self._answer = None

    async def _tell_end(self, asked: Asked, events: list[Publish]) -> None:
        """As `_publish`; what can never be stored is an answer that failed, or it would be made again and again."""
        try:
            await self._publish(*events)
        except InvalidInput as error:
            await self._publish(_failed(asked, sentence_of(error)))

    def _tell_here(self, asked: Asked, sentence: str) -> None:
        """The log is away, or full: nobody who waits shall wait for it."""
        self._tools.tell_here(_into(self._claim.stream, _failed(asked, sentence)))

    def _hear(self, event: Event) -> None:
        if self._answer is not None:
            self._answer.teller.hear(event)
        if event.type in {MESSAGE, RETRY}:
            self._news.set()
        elif event.type in {COMMAND, "delete"}:
            fields = msgspec.json.decode(event.data)
            if event.type == "delete" or fields.get("command") == "cancel":
                self._cancels.append(fields.get("message_id"))
                if self._answer is not None and _concerns(self._answer.asked, fields.get("message_id")):
                    self._answer.cancel()

    async def _publish(self, *events: Publish) -> None:
        """Returned means stored, in the claim's own stream; a full disk or a busy log is waited for."""
        if not events:
            return
        loop = asyncio.get_running_loop()
        until_s, pauses = loop.time() + PATIENCE_S, delays(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while True:
            try:
                await self._claim.publish(*(_into(self._claim.stream, event) for event in events))
                return
            except LogError as error:
                if not error.retryable or isinstance(error, LogClosed) or loop.time() > until_s:
                    raise
            await asyncio.sleep(next(pauses))


class _Told:
    """What is known of an answer beside its text."""

    def __init__(self) -> None:
        self.agent: str | None = None
        self.confidence: float | None = None
        self.sources: list[str] = []
        self.fields: dict[str, Any] = {}

    def take(self, told: Metadata) -> None:
        """Raises `InvalidInput` if together with what was told before it cannot be stored."""
        self.agent = told.agent or self.agent
        self.confidence = self.confidence if told.confidence is None else told.confidence
        self.sources = self.sources if told.sources is None else list(told.sources)
        if told.model:
            self.fields["model"] = told.model
        self.fields.update(told.more)
        check_metadata(self.metadata())

    def metadata(self) -> dict[str, Any]:
        """As clients get it."""
        return {
            **self.fields,
            "agent": self.agent or ASSISTANT,
            "confidence": self.confidence,
            "context": {"sources": self.sources},
        }


class _Answer:
    """One answer on its way."""

    def __init__(self, claim: Claim, tools: Tools, state: ChatState, asked: Asked) -> None:
        self.asked = asked
        self._claim = claim
        self._tools = tools
        self._told = _Told()
        self._is_cancelled = self._is_broken = False
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._failure: LogError | InvalidInput | None = None
        self._question = _question(claim.stream, tools, state, asked)
        self._attempt = asked.attempt + 1
        self.teller = Teller(claim.stream, asked.answer_id, self._publish_soon, tools.pace, self._give_up)

    def cancel(self) -> None:
        """Somebody wants no more of it. Idempotent."""
        self._is_cancelled = True
        self._stop()

    def break_off(self) -> None:
        """The process is about to end, and it is not there yet. Idempotent."""
        self._is_broken = True
        self._stop()

    async def come_to_end(self) -> list[Publish]:
        """Let it be generated; returns what is to be told at its end: nothing, if another process may begin it anew.

        Raises:
            LogError: it cannot be told.
        """
        self._tell(Progress("starting", TELLING), attempt=self._attempt)
        task = asyncio.ensure_future(self._generate())
        try:
            error = await self._outcome(task)
        finally:
            self._stop()
            if not task.done():
                task.cancel()
                _leaving.add(task)
                task.add_done_callback(_left)
            self.teller.close()
        return self._ending(error)

    async def _outcome(self, task: asyncio.Task[None]) -> BaseException | None:
        """Wait for its end: what it failed by. A responder that does not end when it is stopped holds up nothing."""
        wanted = [task, self._stopped]
        await asyncio.wait(wanted, timeout=self._tools.timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return asyncio.CancelledError() if task.cancelled() else task.exception()
        task.cancel()
        await asyncio.wait([task], timeout=CLEANUP_S)
        return asyncio.CancelledError() if self._stopped.done() else TimeoutError()

    def _ending(self, error: BaseException | None) -> list[Publish]:
        if isinstance(self._failure, InvalidInput):
            return [_failed(self.asked, sentence_of(self._failure))]
        if self._failure is not None:
            raise self._failure
        text, rest = self.teller.text, self.teller.rest()
        if error is None or self._is_cancelled:
            return [*rest, _completed(self.asked, text, self._told, cancelled=self._is_cancelled)]
        if self._is_broken:
            return [*rest, _failed(self.asked, BROKEN)] if text else []
        sentence = TOO_SLOW if isinstance(error, TimeoutError) else sentence_of(error)
        return [*rest, _failed(self.asked, sentence)]

    async def _generate(self) -> None:
        pieces = self._tools.find()(self._question)
        try:
            await self._take(pieces)
        finally:
            close: Any = getattr(pieces, "aclose", None)
            if close is not None:
                await close()

    async def _take(self, pieces: AsyncIterator[Piece]) -> None:
        teller = self.teller
        async for piece in pieces:
            if self._stopped.done():  # one that goes on when it is stopped is closed
                return
            if isinstance(piece, str):
                teller.feed(piece)
                if teller.is_full:
                    self._told.fields["truncated"] = True
                    return
            elif isinstance(piece, Progress):
                self._tell(piece)
            else:
                self._told.take(piece)

    def _tell(self, progress: Progress, **more: Any) -> None:
        """Without waiting: what is told of an answer keeps its order. Of one that is over, nothing more is."""
        if self._stopped.done():
            return
        fields = {
            "message_id": self.asked.answer_id,
            "step": progress.step,
            "message": progress.message,
            **more,
        }
        if progress.agent is not None:
            fields["agent"] = progress.agent
        with suppress(LogError):  # the text will tell whether the log is away
            self._publish_soon(Publish(stream=self._claim.stream, type="progress", data=fields))

    def _publish_soon(self, event: Publish) -> Future[Any]:
        return self._claim.publish_soon(event)

    def _give_up(self, error: LogError | InvalidInput) -> None:
        self._failure = error
        self._stop()

    def _stop(self) -> None:
        if not self._stopped.done():
            self._stopped.set_result(None)


def _left(task: asyncio.Task[None]) -> None:
    """A responder has ended after nobody waited for it any more; what it failed by is nobody's matter."""
    _leaving.discard(task)
    if not task.cancelled():
        task.exception()


def _question(stream: str, tools: Tools, state: ChatState, asked: Asked) -> Question:
    turn = state.turn(asked.question_id)
    assert turn is not None
    assert turn.user is not None
    return Question(
        session_id=session_id_of(stream),
        message_id=asked.question_id,
        answer_id=asked.answer_id,
        text=turn.text,
        user=turn.user,
        customer_id=turn.customer_id,
        attachments=tuple(turn.attachments),
        history=history_before(state, asked.question_id, tools.context_tokens),
        model=tools.model,
        search=tools.library.search,
    )


def _concerns(asked: Asked, message_id: str | None) -> bool:
    return message_id in {None, asked.question_id, asked.answer_id}


def _completed(asked: Asked, text: str, told: _Told, *, cancelled: bool) -> Publish:
    fields = {
        "message_id": asked.answer_id,
        "response": text,
        "metadata": told.metadata(),
        "cancelled": cancelled,
        "in_reply_to": asked.question_id,
    }
    return Publish(stream="", type=COMPLETE, data=fields, id=f"end:{asked.answer_id}")


def _failed(asked: Asked, sentence: str) -> Publish:
    fields = {
        "message_id": asked.answer_id,
        "error": sentence,
        "code": PROCESSING_ERROR,
        "in_reply_to": asked.question_id,
    }
    return Publish(stream="", type=ERROR, data=fields, id=f"end:{asked.answer_id}")


def _into(stream: str, event: Publish) -> Publish:
    return msgspec.structs.replace(event, stream=stream)
