"""How sure an agent of the built-in workflow can be: by what it had to answer from, or by what a model says. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from runcast.runners.knowledge.words import words_of
from runcast.runners.sentences import stem, stems_of

_STATED: Final = re.compile(
    r"\W{0,9}(?:my |the )?(?:overall )?confidence(?: level| score)?\W{0,9}(?:is )?\W{0,9}"
    r"(\d{1,3}(?:\.\d{1,9})?)[ \t]{0,9}(%|/[ \t]{0,9}100\b)?\W{0,9}",
    re.IGNORECASE,
)


def coverage(task: str, texts: Iterable[str]) -> float | None:
    """How many of the task's words the texts have, from 0 to 1; None if there is no text, or no word to look for.

    Words are compared by their stems; those that say nothing, such as “what” and “the”, do not count.
    """
    wanted = {stem(word) for word in words_of(task)}
    there = [stems_of(text) for text in texts]
    if not wanted or not there:
        return None
    found = {stem for stems in there for stem in stems & wanted}
    return round(len(found) / len(wanted), 2)


def stated_confidence(text: str) -> float | None:
    """What a model's last line says, such as `Confidence: 80 %`, from 0 to 1; None if it says nothing of the kind.

    Only a line of its own counts: a number in the middle of a text may be a quotation.
    """
    last = text.rstrip().rpartition("\n")[2]
    said = _STATED.fullmatch(last.strip())
    if not said:
        return None
    number = float(said[1])
    value = number / 100 if said[2] or number > 1 else number
    return round(value, 2) if value <= 1 else None


def mean(values: Iterable[float | None]) -> float | None:
    """Of those that are known; None if none is."""
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 2) if known else None
