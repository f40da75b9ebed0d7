"""What a step's action works with, in its thread: what it is about, what came before, a model, knowledge, progress."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import msgspec

from runcast.errors import InvalidInput, ModelUnavailable
from runcast.kinds.plan import TYPES
from runcast.kinds.plan_definition import StepDefinition
from runcast.runners.model import Message, Usage
from runcast.runners.plans.attempt import StepAttempt

if TYPE_CHECKING:
    from runcast.runners.knowledge import KnowledgeBase, Passage
    from runcast.runners.model import LanguageModel

PROGRESS_EVERY_S: Final = 0.05
"""Progress told more often is not all published: the last of it is, when the next is due or the step ends."""
DELTAS_EVERY_S: Final = 0.2
MAX_MESSAGE_CHARS: Final = 500
_OPEN_TYPES: Final = frozenset({"metrics_update", "error"})

Messages = str | Sequence[Message]


class Dependency(msgspec.Struct, frozen=True):
    """A step that this one comes after. `status` is `completed`, or `skipped` by somebody: then there is no result."""

    step_id: str
    name: str
    status: str
    result: Any = None
    quality_score: float | None = None

    @property
    def is_skipped(self) -> bool:
        """Whether somebody had it left out."""
        return self.status == "skipped"


class Reply(msgspec.Struct, frozen=True):
    """What a model has answered, and what it has cost."""

    text: str
    usage: Usage


class Resources(msgspec.Struct, frozen=True):
    """What all steps of a process share; None where there is none."""

    model: LanguageModel | None = None
    knowledge: KnowledgeBase | None = None


class StepContext:
    """What an action gets. For the thread of its attempt; every call raises `Cancelled` once that does not count any more.

    `dependencies` are the steps that it depends on, by their ids and in order; `results` those of them that have a
    result. `attempt` counts from 1, over restarts, too.
    """

    def __init__(
        self,
        attempt: StepAttempt,
        definition: StepDefinition,
        *,
        plan: Mapping[str, Any],
        dependencies: Sequence[Dependency] = (),
        resources: Resources,
    ) -> None:
        self.plan_id: str = plan["plan_id"]
        self.query: str = plan["query"]
        self.step_id = definition.step_id
        self.name = definition.title
        self.description = definition.description
        self.params: dict[str, Any] = dict(definition.params)
        self.attempt = attempt.number
        self.dependencies = {each.step_id: each for each in dependencies}
        self._attempt = attempt
        self._resources = resources
        self._told_at = float("-inf")
        self._fraction = 0.0
        self._untold: dict[str, Any] | None = None

    @property
    def results(self) -> dict[str, Any]:
        """The results of the steps that this one depends on, by their ids."""
        return {name: each.result for name, each in self.dependencies.items() if not each.is_skipped}

    def check(self) -> None:
        """Go on only if the attempt still counts; call it in long loops.

        Raises:
            Cancelled: it does not.
        """
        self._attempt.check()

    def sleep(self, seconds: float) -> None:
        """Wait, for as long as the attempt counts.

        Raises:
            Cancelled: it does not.
        """
        self._attempt.wait(seconds)

    def progress(self, fraction: float, message: str = "") -> None:
        """Tell how far the step is, from 0 to 1. Cheap: at most one in 50 ms is published.

        Raises:
            InvalidInput: `fraction` is no such number.
            Cancelled: the attempt does not count any more.
        """
        if not 0 <= fraction <= 1:
            raise InvalidInput("progress: a number from 0 to 1 is expected.", field="progress")
        self.check()
        self._fraction = fraction
        self._untold = {"progress": fraction, "message": clean(message, MAX_MESSAGE_CHARS)}
        if time.monotonic() - self._told_at >= PROGRESS_EVERY_S:
            self.flush()

    def publish(self, event_type: str, **data: Any) -> None:
        """Publish an event of your own about this step; watchers get it live.

        Raises:
            InvalidInput: the type is one that the runner tells itself, or the data cannot be stored.
            Cancelled: the attempt does not count any more.
        """
        if event_type.lower() in TYPES and event_type not in _OPEN_TYPES:
            raise InvalidInput(f"type: {event_type} is for the runner to tell.", field="type")
        self.flush()
        self._attempt.publish(event_type, data)

    def search(self, query: str, limit: int = 5) -> list[Passage]:
        """Passages of the knowledge base, the best first; none if there is no knowledge base.

        Raises:
            KnowledgeError: it cannot be read.
            Cancelled: the attempt does not count any more.
        """
        self.check()
        knowledge = self._resources.knowledge
        return [] if knowledge is None else knowledge.search(query, limit)

    def llm(self, messages: Messages, *, max_tokens: int | None = None) -> str:
        """Ask the language model, and wait for the whole answer. Its text is told as it comes, as progress.

        Args:
            messages: a question, or a conversation.
            max_tokens: the longest answer.

        Raises:
            ModelError: it has not answered.
            Cancelled: the attempt does not count any more; the request is ended.
        """
        return self.ask(messages, max_tokens=max_tokens).text

    def ask(self, messages: Messages, *, max_tokens: int | None = None) -> Reply:
        """As `llm`, with what the answer has cost."""
        if self._resources.model is None:
            raise ModelUnavailable("This process has no language model for steps of plans.")
        conversation = [Message("user", messages)] if isinstance(messages, str) else list(messages)
        self.flush()
        return self._attempt.call(_ask(self._resources.model, conversation, max_tokens, self))

    def flush(self) -> None:
        """Publish the progress that was held back."""
        if self._untold is not None:
            untold, self._untold = self._untold, None
            self._told_at = time.monotonic()
            self._attempt.publish("step_progress", untold)

    def tell_text(self, text: str, words: int) -> None:
        """Tell the next piece of a model's answer; also from the loop."""
        message = f"{words} {'word' if words == 1 else 'words'} written"
        self._attempt.publish(
            "step_progress", {"progress": self._fraction, "message": message, "delta": clean(text)}
        )

    def spend(self, usage: Usage) -> None:
        """Count what an answer has cost; from the loop."""
        self._attempt.spent.add(usage.input_tokens + usage.output_tokens)


async def _ask(
    model: LanguageModel, messages: Sequence[Message], max_tokens: int | None, ctx: StepContext
) -> Reply:
    """The whole answer; its pieces are told in groups, the first at once."""
    parts: list[str] = []
    told, told_at = 0, float("-inf")
    usage: Usage | None = None
    async with aclosing(_stream(model, messages, max_tokens)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Usage):
                usage = piece
                continue
            parts.append(piece.text)
            if piece.text and time.monotonic() - told_at >= DELTAS_EVERY_S:
                ctx.tell_text("".join(parts[told:]), _words(parts))
                told, told_at = len(parts), time.monotonic()
    text = "".join(parts)
    if rest := "".join(parts[told:]):
        ctx.tell_text(rest, len(text.split()))
    usage = usage or Usage(input_tokens=0, output_tokens=0, model=model.name, latency_s=0.0, estimated=True)
    ctx.spend(usage)
    return Reply(text, usage)


def _stream(model: LanguageModel, messages: Sequence[Message], max_tokens: int | None) -> Any:
    return model.stream(messages, max_tokens=max_tokens)


def _words(parts: Sequence[str]) -> int:
    return len("".join(parts).split())


def clean(text: str, limit: int | None = None) -> str:
    """`text` as it can be stored: without lone surrogates, at most `limit` characters, cut with a mark."""
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + "…"
    return text.encode("utf-8", "replace").decode()
