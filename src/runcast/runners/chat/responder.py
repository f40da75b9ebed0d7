"""What answers: one async generator, the built-in orchestrator or a user's own."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from runcast.errors import InvalidInput
from runcast.kinds.base import encode_data
from runcast.kinds.chat import COMPLETE
from runcast.kinds.chat_fields import ASSISTANT, settle
from runcast.kinds.chat_state import Attachment, Person
from runcast.runners.knowledge.values import Passage
from runcast.runners.model import LanguageModel, Message

MAX_METADATA_BYTES: Final = 32_768
"""As JSON; the text of the longest answer has room beside it in one event."""


class Progress(msgspec.Struct, frozen=True):
    """What the work on an answer has come to; yield it when that work begins. `agent` says whose work it is."""

    step: str
    message: str
    agent: str | None = None


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of an answer at its end; of several that are yielded, later fields count.

    `confidence` is from 0 to 1; `sources` are names of documents; `more` are further fields, as JSON has them, all in
    all at most `MAX_METADATA_BYTES`. Raises `InvalidInput`, naming the field, where the responder makes one that cannot be.
    """

    agent: str | None = None
    confidence: float | None = None
    sources: Sequence[str] | None = None
    model: str | None = None
    more: dict[str, object] = {}

    def __post_init__(self) -> None:
        if isinstance(self.sources, str):
            raise InvalidInput("metadata.context.sources: a list of texts is expected.", field="sources")
        check_metadata(metadata_of(self))


def metadata_of(told: Metadata) -> dict[str, Any]:
    """As clients get it."""
    model = {"model": told.model} if told.model else {}
    sources = [] if told.sources is None else list(told.sources)
    return {
        **model,
        **told.more,
        "agent": told.agent or ASSISTANT,
        "confidence": told.confidence,
        "context": {"sources": sources},
    }


def check_metadata(metadata: dict[str, Any]) -> None:
    """Look whether an answer can be stored with this; raises `InvalidInput`, naming the field and its limit."""
    try:
        encode_data(settle(COMPLETE, {"metadata": metadata})["metadata"], MAX_METADATA_BYTES)
    except InvalidInput as error:
        raise InvalidInput(
            f"metadata: of an answer, it cannot be stored: {error}", field="metadata"
        ) from None


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
