"""The built-in model: no language model, but the best sentences of what it is given and of the knowledge base."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from runcast.runners.knowledge import KnowledgeBase
from runcast.runners.knowledge.fit import fitting
from runcast.runners.material import Excerpt, Given, read_messages
from runcast.runners.model import CHARS_PER_TOKEN, Delta, Message, Usage, estimate_tokens
from runcast.runners.sentences import MAX_CHARS, Quote, best_sentences

NAME: Final = "extractive"
PASSAGES: Final = 6
GROUP_WORDS: Final = 4
"""Words in one delta."""
SHOWN_CHARS: Final = 200

_NOTHING: Final = (
    "Nothing in the knowledge base matches “",
    "Nothing is known about “",
    "Nothing in the given sources matches “",
)
"""What an answer without any begins with; such a one of another agent is nothing to quote."""
_WORDS: Final = re.compile(rf"(?:\S+\s*){{1,{GROUP_WORDS}}}")


class ExtractiveModel:
    """Answers with sentences as they stand in the passages that the messages bring, each with its [source].

    If they bring none, it looks into the knowledge base, unless they say that this was done. The same question has the
    same answer, as long as the documents are the same. What is not there it says.
    """

    name = NAME

    def __init__(self, knowledge: KnowledgeBase) -> None:
        self._knowledge = knowledge

    async def close(self) -> None:
        """There is nothing to let go of: the knowledge base is its owner's."""

    async def stream(
        self, messages: Sequence[Message], *, max_tokens: int | None = None
    ) -> AsyncIterator[Delta | Usage]:
        """See `LanguageModel`.

        Raises:
            KnowledgeError: the knowledge base cannot be read.
        """
        now = asyncio.get_running_loop().time
        began_s = now()
        max_chars = MAX_CHARS if max_tokens is None else min(MAX_CHARS, max_tokens * CHARS_PER_TOKEN)
        answer = await asyncio.to_thread(self._answer, messages, max_chars)
        latency_s = now() - began_s
        for group in _groups(answer):
            yield Delta(group)
            await asyncio.sleep(0)  # others, too, want the loop
        yield Usage(
            input_tokens=sum(estimate_tokens(message.content) for message in messages),
            output_tokens=estimate_tokens(answer),
            model=NAME,
            latency_s=latency_s,
            estimated=True,
        )

    def _answer(self, messages: Sequence[Message], max_chars: int) -> str:
        given = read_messages(messages)
        brought = [excerpt for excerpt in given.excerpts if not excerpt.text.startswith(_NOTHING)]
        quotes = best_sentences(given.question, brought, max_chars=max_chars)
        if not quotes and not given.is_closed:
            quotes = best_sentences(given.question, self._excerpts(given), max_chars=max_chars)
        if quotes:
            return "\n\n".join(_cited(quote) for quote in quotes)
        return self._nothing(given)

    def _excerpts(self, given: Given) -> list[Excerpt]:
        """Passages of the knowledge base that fit."""
        found = self._knowledge.search(given.question, PASSAGES) if given.question else []
        return [
            Excerpt(passage.text, passage.cited, passage.heading, passage.score)
            for passage in fitting(given.question, found)
        ]

    def _nothing(self, given: Given) -> str:
        if not given.question:
            return "No question was asked."
        shown = given.question if len(given.question) <= SHOWN_CHARS else f"{given.question[:SHOWN_CHARS]}…"
        if any(not excerpt.text.startswith(_NOTHING) for excerpt in given.excerpts):
            return f"{_NOTHING[2]}{shown}”."
        if self._knowledge.is_empty():
            return (
                f"{_NOTHING[1]}{shown}”: the knowledge base is empty. Add documents with "
                "`runcast knowledge add PATH`, or configure a language model."
            )
        return (
            f"{_NOTHING[0]}{shown}”. Add documents that do with `runcast knowledge add PATH`, "
            "or configure a language model."
        )


def _cited(quote: Quote) -> str:
    if not quote.source:
        return quote.text
    gap = "\n" if quote.text.endswith(("```", "~~~")) else " "  # code ends where a line is its mark alone
    return f"{quote.text}{gap}[{quote.source}]"


def _groups(text: str) -> Iterator[str]:
    """The text in groups of words; together they are the text."""
    for match in _WORDS.finditer(text):
        yield match[0]
