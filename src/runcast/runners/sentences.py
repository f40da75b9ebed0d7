"""The sentences of passages that answer a question best, chosen by the words they share with it. Pure."""

from __future__ import annotations

import heapq
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from runcast.runners.knowledge.markdown import plain
from runcast.runners.knowledge.words import words_of
from runcast.runners.material import Excerpt

MAX_SENTENCES: Final = 8
MAX_CHARS: Final = 1_600
MAX_SENTENCE_CHARS: Final = 600
MIN_WORDS: Final = 4
"""What has fewer is a heading or a crumb rather than a sentence."""
SAME: Final = 0.6
"""A sentence that shares more of its words with one that was chosen says the same."""
WORSE: Final = 0.2
"""A sentence that is so much worse than the best is left out."""
ANSWERED: Final = 0.7
"""What is left of a word's weight each time that a chosen sentence has it: the rest of the question wants answers, too."""
CANDIDATES: Final = 200
"""Sentences that are compared with one another, the best of all."""
LEAD: Final = 1.1
"""What the first sentence of a passage counts more."""
HEADING: Final = 0.5
"""What a word of the question is worth that stands in the heading only."""

_FENCE: Final = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n]*\n(.*?)^[ \t]*\1[ \t]*$", re.MULTILINE | re.DOTALL)
_ITEM: Final = re.compile(r"^[ \t]*(?:[-*+]|\d{1,3}[.)])[ \t]+", re.MULTILINE)
_LINE: Final = re.compile(r"^[ \t]*(?:[|:+ -]+$|#{1,6}[ \t].*$|>[ \t]?)", re.MULTILINE)
_ROW: Final = re.compile(r"^[ \t]*\|(.+)\|[ \t]*$", re.MULTILINE)
_END: Final = re.compile(
    r"(?:(?<=[.!?…])|(?<=[.!?…][\"')\]”\u2019]))\s+(?=[\"'(\[“\u2018]*[^\Wa-zß-öø-ÿ_]|`)|(?<=[\u3002\uff01\uff1f])"
)
_ABBREVIATED: Final = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|no|fig|dr|mr|mrs|ms|prof|st|inc|ltd)|\b[A-Z])\.$", re.I
)
_ENDINGS: Final = (
    # an ending, and what takes its place; the first that fits counts
    *((ending, "") for ending in ("ements", "ement", "ments", "ment", "ations", "ation")),
    *(
        ("ies", "y"),
        ("sses", "ss"),
        ("ings", ""),
        ("ing", ""),
        ("ed", ""),
        ("es", ""),
        ("s", ""),
        ("ly", ""),
        ("e", ""),
    ),
)


class Quote(msgspec.Struct, frozen=True):
    """Sentences of one source, in its order."""

    text: str
    source: str


class _Sentence(msgspec.Struct, frozen=True):
    text: str
    stems: frozenset[str]
    excerpt: int
    place: int


class _Candidate(msgspec.Struct, frozen=True):
    """A sentence with the words of the question that it has, and those that only its heading has."""

    sentence: _Sentence
    here: frozenset[str]
    above: frozenset[str]
    factor: float

    def gain(self, weights: dict[str, float]) -> float:
        """What it adds to the answer."""
        here = math.fsum(weights[word] for word in self.here)  # fsum: the same in whatever order
        return self.factor * (here + HEADING * math.fsum(weights[word] for word in self.above))


def best_sentences(
    question: str,
    excerpts: Sequence[Excerpt],
    *,
    max_sentences: int = MAX_SENTENCES,
    max_chars: int = MAX_CHARS,
) -> list[Quote]:
    """What answers the question best, the best source first; the same for the same input.

    A sentence counts by the words of the question in it (rare ones more), those in its heading, and the weight of its
    passage. What says the same as a better one is left out. Empty if nothing shares a word with the question.
    """
    sentences = [
        _Sentence(text, _stems(text), number, place)
        for number, excerpt in enumerate(excerpts)
        for place, text in enumerate(sentences_of(excerpt.text))
    ]
    asked = frozenset(stem(word) for word in words_of(question))
    candidates = [
        _Candidate(
            one,
            here=asked & one.stems,
            above=(asked & _stems(excerpts[one.excerpt].heading)) - one.stems,
            # what a passage begins with says what it is about
            factor=(0.5 + 0.5 * excerpts[one.excerpt].weight) * (LEAD if one.place == 0 else 1.0),
        )
        for one in sentences
    ]
    chosen = _choose(candidates, _weights(asked, sentences), max_sentences, max_chars)
    return _grouped(chosen, excerpts)


def sentences_of(text: str) -> Iterator[str]:
    """The sentences of Markdown or plain text without their marks. A short block of code counts as one."""
    position = 0
    for fence in _FENCE.finditer(text):
        yield from _of_prose(text[position : fence.start()])
        code = fence[2].strip()
        if 0 < len(code) <= MAX_SENTENCE_CHARS:
            yield code
        position = fence.end()
    yield from _of_prose(text[position:])


def stem(word: str) -> str:
    """A word without case, diacritics and the commonest English endings: enough to compare two."""
    return _stem(word.casefold())


@lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    folded = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
    for ending, instead in _ENDINGS:
        if folded.endswith(ending) and len(folded) - len(ending) >= 3:
            return folded[: -len(ending)] + instead
    return folded


def _of_prose(text: str) -> Iterator[str]:
    text = _ROW.sub(
        lambda row: " – ".join(cell.strip() for cell in row[1].split("|") if cell.strip()) + "\n\n", text
    )
    text = _LINE.sub("", _ITEM.sub("\n\n", text))
    for paragraph in re.split(r"\n\s*\n", text):
        begun = ""
        for part in _END.split(" ".join(paragraph.split())):
            begun = f"{begun} {part}" if begun else part
            if _ABBREVIATED.search(begun):
                continue
            yield from _checked(begun)
            begun = ""
        yield from _checked(begun)


def _checked(sentence: str) -> Iterator[str]:
    text = plain(sentence)
    if len(text) <= MAX_SENTENCE_CHARS and len(text.split()) >= MIN_WORDS:
        yield text


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in re.findall(r"[^\W_]+", text))


def _weights(asked: frozenset[str], sentences: Sequence[_Sentence]) -> dict[str, float]:
    """What each word of the question weighs: the fewer sentences have it, the more."""
    counts = Counter(word for one in sentences for word in one.stems & asked)
    return {word: math.log(1 + len(sentences) / (1 + counts[word])) for word in asked}


def _choose(
    candidates: Iterable[_Candidate], weights: dict[str, float], max_sentences: int, max_chars: int
) -> list[_Sentence]:
    """One after another the best, while words that were answered weigh less and less."""
    gains = ((one.gain(weights), one) for one in candidates)
    left = [one for gain, one in heapq.nlargest(CANDIDATES, gains, key=lambda pair: pair[0]) if gain > 0]
    chosen: list[_Sentence] = []
    size = 0
    enough = WORSE * max((one.gain(weights) for one in left), default=0.0)
    while left and len(chosen) < max_sentences:
        best = max(left, key=lambda one: (one.gain(weights), -one.sentence.excerpt, -one.sentence.place))
        if best.gain(weights) < enough:
            break
        left.remove(best)
        one = best.sentence
        if (size + len(one.text) > max_chars and chosen) or any(
            _adds_nothing(one, other) for other in chosen
        ):
            continue
        chosen.append(one)
        size += len(one.text)
        for word in best.here:
            weights[word] *= ANSWERED
    return chosen


def _adds_nothing(one: _Sentence, other: _Sentence) -> bool:
    """Whether `other` has said most of `one` already."""
    return len(one.stems & other.stems) > SAME * len(one.stems)


def _grouped(chosen: Iterable[_Sentence], excerpts: Sequence[Excerpt]) -> list[Quote]:
    by_excerpt: dict[int, list[_Sentence]] = {}
    for one in chosen:
        by_excerpt.setdefault(one.excerpt, []).append(one)
    by_source: dict[str, list[str]] = {}
    for number, sentences in by_excerpt.items():
        texts = by_source.setdefault(excerpts[number].source, [])
        texts.extend(one.text for one in sorted(sentences, key=lambda one: one.place))
    return [Quote(_joined(texts), source) for source, texts in by_source.items()]


def _joined(texts: Sequence[str]) -> str:
    """Sentences one after another; one without an end, such as an item of a list, gets one."""
    ended = [text if text[-1] in ".!?…:;\"')" else f"{text}." for text in texts[:-1]]
    return " ".join([*ended, texts[-1]])
