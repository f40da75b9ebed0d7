"""What answers: one async generator, the built-in orchestrator or a user's own."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from runcast.errors import InvalidInput
from runcast.kinds.chat_state import Attachment, Person
from runcast.runners.knowledge.values import Passage
from runcast.runners.model import LanguageModel, Message


class Progress(msgspec.Struct, frozen=True):
    """What the work on an answer has come to; yield it when that work begins. `agent` says whose work it is."""

    step: str
    message: str
    agent: str | None = None


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of an answer at its end; of several that are yielded, later fields count.

    `confidence` is from 0 to 1; `sources` are names of documents; `more` are further fields.
    """

    agent: str | None = None
    confidence: float | None = None
    sources: Sequence[str] | None = None
    model: str | None = None
    more: dict[str, object] = {}


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be answered, and what helps with it.

    `history` is what was said before, as much as `chat_context_tokens` allows; `messages` puts it before the question.
    `model` is the configured language model, and `search` looks into the knowledge base.
    """

    session_id: str
    message_id: str
    answer_id: str
    text: str
    user: Person
    customer_id: str | None
    attachments: Sequence[Attachment]
    history: Sequence[Message]
    model: LanguageModel
    search: Callable[[str, int], Awaitable[Sequence[Passage]]]

    def messages(self, system: str = "", question: str | None = None) -> list[Message]:
        """What a model is given: a system message, what was said before, and the question (or `question` for it)."""
        first = [Message("system", system)] if system else []
        return [*first, *self.history, Message("user", self.text if question is None else question)]


Piece = str | Progress | Metadata
Responder = Callable[[Question], AsyncIterator[Piece]]
R = TypeVar("R", bound=Callable[..., AsyncIterator[Piece]])

_registered: list[Responder] = []


def responder(function: R) -> R:
    """Let an async generator answer all conversations of this process, in the place of the built-in orchestrator.

    It is given a `Question` and yields pieces of the answer as texts, and `Progress` and `Metadata` if it likes. It is
    closed when the answer is cancelled. Of several, the one registered last counts.

    Raises:
        InvalidInput: it is no async generator function.
    """
    if not inspect.isasyncgenfunction(function):
        raise InvalidInput(
            "responder: an async generator is expected (async def, with yield).", field="responder"
        )
    _registered.append(function)
    return function


def registered() -> Responder | None:
    """The responder that counts, if there is one of a user's own."""
    return _registered[-1] if _registered else None


def forget(function: Responder) -> None:
    """Let a responder answer no longer. Idempotent."""
    if function in _registered:
        _registered.remove(function)
