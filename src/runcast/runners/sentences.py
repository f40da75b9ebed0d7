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
MAX_MARKED_CHARS: Final = 2 * MAX_SENTENCE_CHARS
"""With its marks; what is longer is not looked at any further."""
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
ALONE: Final = 0.5
"""What code counts, and what ends in a colon: by themselves they say less than a sentence with as many words."""
HEADING: Final = 0.5
"""What a word of the question is worth that stands in the heading only."""

_FENCE: Final = re.compile(r"[ \t]*(`{3,9}|~{3,9})(?![`~])")
_ITEM: Final = re.compile(r"^[ \t]*(?:[-*+]|\d{1,3}[.)])[ \t]+", re.MULTILINE)
_LINE: Final = re.compile(r"^[ \t]*(?:[|:+-][|:+ -]*$|#{1,6}[ \t].*$|>[ \t]?)", re.MULTILINE)
_TABLE_HEAD: Final = re.compile(r"^[ \t]*\|.+\|[ \t]*\n(?=[ \t]*\|[ \t]*:?-)", re.MULTILINE)
_ROW: Final = re.compile(r"^[ \t]*\|(.+)\|[ \t]*$", re.MULTILINE)
_END: Final = re.compile(
    r"(?:(?<=[.!?…])|(?<=[.!?…][\"')\]”\u2019]))\s+(?=[\"'(\[“\u2018]*[^\Wa-zß-öø-ÿ_]|`)|(?<=[\u3002\uff01\uff1f])"
)
_WORD: Final = re.compile(r"[^\W_]+")
_ABBREVIATED: Final = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|no|fig|dr|mr|mrs|ms|prof|st|inc|ltd)|\b[A-Z])\.$", re.I
)
_OPENING_CHARS: Final = 40
_ABBREVIATION_CHARS: Final = 16
MAX_WORD_CHARS: Final = 64
"""What of a word is compared."""
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
        _Sentence(text, stems_of(text), number, place)
        for number, excerpt in enumerate(excerpts)
        for place, text in enumerate(sentences_of(excerpt.text))
    ]
    asked = frozenset(stem(word) for word in words_of(question))
    above = [asked & stems_of(excerpt.heading) for excerpt in excerpts]
    candidates = [
        _Candidate(
            one,
            here=asked & one.stems,
            above=above[one.excerpt] - one.stems,
            # what a passage begins with says what it is about
            factor=(0.5 + 0.5 * excerpts[one.excerpt].weight)
            * (LEAD if one.place == 0 else 1.0)
            * (ALONE if _is_code(one.text) or one.text.endswith(":") else 1.0),
        )
        for one in sentences
    ]
    chosen = _choose(candidates, _weights(asked, sentences), max_sentences, max_chars)
    return _grouped(chosen, excerpts)


def sentences_of(text: str) -> Iterator[str]:
    """The sentences of Markdown or plain text, without marks but those of code. A short block of code counts as one."""
    lines = text.split("\n")
    fences = [_FENCE.match(line) for line in lines]
    # what closes a block of code stands alone: known for each mark, nobody looks for the end of one that has none
    closing = [
        fence[1] if fence and not line[fence.end() :].strip() else ""
        for line, fence in zip(lines, fences, strict=True)
    ]
    last = {mark: number for number, mark in enumerate(closing) if mark}
    prose: list[str] = []
    code: list[str] = []
    within = ""
    for number, line in enumerate(lines):
        fence = fences[number]
        if within and closing[number] == within:
            yield from _of_code(code[0], code[1:], within)
            within = ""
        elif within:
            code.append(line)
        elif fence and last.get(fence[1], -1) > number:
            yield from _of_prose("\n".join(prose))
            within, prose, code = fence[1], [], [line]
        else:
            prose.append(line)
    yield from _of_prose("\n".join(prose))


def stems_of(text: str) -> frozenset[str]:
    """What the words of a text are compared by."""
    return frozenset(stem(word) for word in _WORD.findall(text))


def stem(word: str) -> str:
    """A word without case, diacritics and the commonest English endings: enough to compare two."""
    return _stem(word[:MAX_WORD_CHARS].casefold())


@lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    folded = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
    for ending, instead in _ENDINGS:
        if folded.endswith(ending) and len(folded) - len(ending) >= 3:
            return folded[: -len(ending)] + instead
    return folded


def _of_code(opening: str, lines: Iterable[str], mark: str) -> Iterator[str]:
    """A block of code in its marks, without empty lines: as one paragraph it can have a source."""
    code = "\n".join(line for line in lines if line.strip())
    if 0 < len(code) <= MAX_SENTENCE_CHARS:
        yield f"{opening.strip()[:_OPENING_CHARS]}\n{code}\n{mark}"


def _of_prose(text: str) -> Iterator[str]:
    text = _ROW.sub(
        lambda row: " – ".join(cell.strip() for cell in row[1].split("|") if cell.strip()) + "\n\n",
        _TABLE_HEAD.sub("\n", text),
    )
    text = _LINE.sub("", _ITEM.sub("\n\n", text))
    for paragraph in re.split(r"\n\s*\n", text):
        begun: list[str] = []
        for part in _END.split(" ".join(paragraph.split())):
            begun.append(part)
            if not _ABBREVIATED.search(part[-_ABBREVIATION_CHARS:]):
                yield from _checked(" ".join(begun))
                begun = []
        yield from _checked(" ".join(begun))


def _checked(sentence: str) -> Iterator[str]:
    if len(sentence) > MAX_MARKED_CHARS or sentence.count(" ") < MIN_WORDS - 1:
        return
    text = plain(sentence, mark_code=True)
    if len(text) <= MAX_SENTENCE_CHARS and len(text.split()) >= MIN_WORDS:
        yield text


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
    """Sentences one after another; one without an end, such as an item of a list, gets one. Code has lines of its own."""
    joined = ""
    for number, text in enumerate(texts):
        if joined:
            joined += "\n" if _is_code(text) or _is_code(texts[number - 1]) else " "
        is_last = number == len(texts) - 1
        joined += text if is_last or _is_code(text) or text[-1] in ".!?…:;\"')" else f"{text}."
    return joined


def _is_code(text: str) -> bool:
    return text.startswith(("```", "~~~"))
