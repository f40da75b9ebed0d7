"""Which of the passages that were found are worth reading. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runcast.runners.knowledge.values import Passage
from runcast.runners.knowledge.words import words_of

LEAST_SCORE: Final = 0.2
"""A passage that has less of a short question than that does not answer it."""
LEAST_WORDS: Final = 2.0
"""Of a long one, it has to have so many words of ordinary weight."""
LEAST_SHARE: Final = 0.4
"""A passage that fits so much worse than the best one is left out."""


def fitting(question: str, passages: Sequence[Passage]) -> list[Passage]:
    """Those that have enough of the question, in their order; empty if none has."""
    best = max((passage.score for passage in passages), default=0.0)
    enough = max(min(LEAST_SCORE, LEAST_WORDS / max(len(words_of(question)), 1)), LEAST_SHARE * best)
    return [passage for passage in passages if passage.score >= enough]
