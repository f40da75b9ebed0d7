"""The built-in action "research": look a step's question up, and let the model answer from that and from what came before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from runcast.errors import InvalidInput
from runcast.runners.knowledge.fit import fitting
from runcast.runners.knowledge.words import STOP_WORDS
from runcast.runners.material import write_passage, write_passages, write_sources
from runcast.runners.model import Message

if TYPE_CHECKING:
    from runcast.runners.knowledge import Passage
    from runcast.runners.plans.context import Dependency, StepContext

PASSAGES: Final = 6
MAX_PASSAGES: Final = 20
MAX_BEFORE_CHARS: Final = 8_000
"""Of what one earlier step has found."""
MAX_CONTENT_CHARS: Final = 60_000

_SYSTEM: Final = (
    "You do one step of a research plan. Answer the question from the passages alone, which come from documents and "
    "from earlier steps; name the source of each statement in square brackets. Say plainly what they do not tell."
)
_WORD: Final = re.compile(r"[^\W_]{3,}")
_MARK: Final = re.compile(r"\[[^\[\]\n]{1,300}\]")


def research(ctx: StepContext) -> dict[str, Any]:
    """Retrieval, then the model. Params: `query` (by default the step's description), `passages`, `max_tokens`.

    The result: `content`, `sources`, `model`, `tokens`, and `quality_score`: how much of what the answer says stands in
    the passages it was given, from 0 to 1; null if there were none to compare it with.
    """
    question = _text(ctx.params.get("query"), "query") or ctx.description or ctx.name
    limit = _count(ctx.params.get("passages"), "passages", PASSAGES, MAX_PASSAGES)
    max_tokens = _count(ctx.params.get("max_tokens"), "max_tokens", 0, 1_000_000) or None
    ctx.progress(0.1, "Looking in the knowledge base")
    passages = fitting(question, ctx.search(question, limit)) if limit else []
    before = [_written(each) for each in ctx.dependencies.values()]
    ctx.progress(0.3, f"{len(passages)} passage{'' if len(passages) == 1 else 's'} found; asking the model")
    answer = ctx.ask(_messages(ctx, question, passages, before), max_tokens=max_tokens)
    ctx.progress(0.9, f"Answered by {answer.usage.model}")
    return {
        "content": answer.text[:MAX_CONTENT_CHARS],
        "sources": _sources(passages),
        "quality_score": grounding(answer.text, [*(passage.text for passage in passages), *before]),
        "model": answer.usage.model,
        "tokens": answer.usage.input_tokens + answer.usage.output_tokens,
        "truncated": answer.usage.truncated or len(answer.text) > MAX_CONTENT_CHARS,
    }


def grounding(answer: str, material: Sequence[str]) -> float | None:
    """How many of the words in `answer` stand in `material`, from 0 to 1; None if either says nothing."""
    known = {word for text in material for word in _words(text)}
    said = _words(_MARK.sub(" ", answer))
    if not known or not said:
        return None
    return round(len(said & known) / len(said), 4)


def _messages(
    ctx: StepContext, question: str, passages: Sequence[Passage], before: Sequence[str]
) -> list[Message]:
    parts = [f"Question: {' '.join(question.split())}"]
    if ctx.query and ctx.query != question:
        parts.append(f"This is part of: {' '.join(ctx.query.split())}")
    written = [
        write_passage(each.name, text)
        for each, text in zip(ctx.dependencies.values(), before, strict=True)
        if text
    ]
    return [
        Message("system", _SYSTEM),
        Message("user", "\n\n".join([*parts, write_sources(*written, write_passages(passages))])),
    ]


def _written(dependency: Dependency) -> str:
    """What an earlier step has found, as text; empty if it was skipped."""
    result = dependency.result
    if isinstance(result, dict):
        result = result.get("content", result)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    text = result if isinstance(result, str) else msgspec.json.encode(result).decode()
    return "" if dependency.is_skipped or result is None else text[:MAX_BEFORE_CHARS]


def _sources(passages: Sequence[Passage]) -> list[dict[str, Any]]:
    return [
        {"source": passage.source, "heading": passage.heading, "score": round(passage.score, 4)}
        for passage in passages
    ]


def _words(text: str) -> set[str]:
    return {word for word in _WORD.findall(text.casefold()) if word not in STOP_WORDS}


def _text(value: object, name: str) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    raise InvalidInput(f"params.{name}: a text is expected.", field=f"params.{name}")


def _count(value: object, name: str, default: int, most: int) -> int:
    if value is None:
        return default
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
        return value
    raise InvalidInput(f"params.{name}: an integer from 0 to {most} is expected.", field=f"params.{name}")
