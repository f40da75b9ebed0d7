"""Finding chunks by their words: BM25 chooses, and how much of the question they have says how well they fit."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from runcast.runners.knowledge.values import Passage
from runcast.runners.knowledge.words import quoted, words_of

HEADING_WEIGHT: Final = 4.0
"""A word in a heading counts as so many in the text."""
CANDIDATES_PER_RESULT: Final = 4
MIN_CANDIDATES: Final = 24
COMMON_SHARE: Final = 0.1
"""A word in more of the chunks than that says little; it is not looked for where rarer ones are there."""
LEAST_COMMON: Final = 500
"""In fewer chunks than that, looking for a word costs nothing."""
MOST_TERMS: Final = 16
"""So many words are looked for, the rarest; all of them count in the score."""
MIN_PREFIX_CHARS: Final = 3

_MATCH: Final = (
    "SELECT rowid, bm25(found, ?, 1.0) AS rank FROM found WHERE found MATCH ? ORDER BY rank LIMIT ?"
)
_HAS: Final = "SELECT doc FROM temp.asked_words WHERE"
_CHUNK: Final = """
SELECT documents.name, chunks.heading, chunks.number, chunks.text
FROM chunks JOIN documents ON documents.id = chunks.document WHERE chunks.id = ?
"""


class _Term(msgspec.Struct):
    """A word: what the index makes of it (a few parts, if it is none of ours), in how many chunks, and its weight."""

    word: str
    stems: list[str]
    documents: int
    is_prefix: bool = False
    weight: float = 0.0

    @property
    def expression(self) -> str:
        """The word in the index's language."""
        return quoted(self.word) + (" *" if self.is_prefix else "")


def search(connection: sqlite3.Connection, query: str, limit: int) -> list[Passage]:
    """The best passages, the best first; see `KnowledgeBase.search`."""
    total: int = connection.execute("SELECT coalesce(sum(chunks), 0) FROM documents").fetchone()[0]
    terms = _terms(connection, words_of(query), total) if total else []
    wanted = max(MIN_CANDIDATES, CANDIDATES_PER_RESULT * limit)
    ranks: dict[int, float] = {}
    for expression in _expressions(terms, total):
        ranks = dict(connection.execute(_MATCH, (HEADING_WEIGHT, expression, wanted)).fetchall())
        if ranks:
            break
    scores = _scores(connection, terms, ranks)
    found: list[Passage] = []
    texts: set[str] = set()
    for rowid in sorted(ranks, key=lambda one: (-scores[one], ranks[one], one)):
        source, heading, number, text = connection.execute(_CHUNK, (rowid,)).fetchone()
        if text not in texts:  # the same text in two documents says nothing twice
            texts.add(text)
            score = round(scores[rowid], 4)
            found.append(Passage(text=text, source=source, heading=heading, number=number, score=score))
        if len(found) == limit:
            break
    return found


def _terms(connection: sqlite3.Connection, words: list[str], total: int) -> list[_Term]:
    """The words as the index has them, each with its weight: rare ones and those that are nowhere weigh most."""
    stems = _stems(connection, words)
    terms: dict[str, _Term] = {}
    for number, word in enumerate(words):
        parts = stems.get(number, [])
        term = _Term(word, parts, min((_frequency(connection, part) for part in parts), default=0))
        if not term.documents and number == len(words) - 1 and len(word) >= MIN_PREFIX_CHARS and parts:
            term.is_prefix = True  # perhaps it is still being typed
            term.documents = _count(connection, term.expression)
        terms.setdefault(" ".join(parts) or word, term)
    for term in terms.values():
        there = max(1, min(term.documents, total))  # what is nowhere weighs as much as what is in one place
        term.weight = math.log(1 + (total - there + 0.5) / (there + 0.5))
    return list(terms.values())


def _stems(connection: sqlite3.Connection, words: list[str]) -> dict[int, list[str]]:
    """What the index makes of each word: the index itself is asked."""
    connection.executemany("INSERT INTO temp.asked (rowid, word) VALUES (?, ?)", list(enumerate(words)))
    stems: dict[int, list[str]] = {}
    for number, stem in connection.execute("SELECT doc, term FROM temp.asked_words ORDER BY doc, offset"):
        stems.setdefault(number, []).append(stem)
    connection.execute("DELETE FROM temp.asked")
    return stems


def _frequency(connection: sqlite3.Connection, stem: str) -> int:
    row = connection.execute("SELECT doc FROM words WHERE term = ?", (stem,)).fetchone()
    return row[0] if row else 0


def _count(connection: sqlite3.Connection, expression: str) -> int:
    query = "SELECT count(*) FROM (SELECT 1 FROM found WHERE found MATCH ? LIMIT 1000)"
    return connection.execute(query, (expression,)).fetchone()[0]


def _expressions(terms: Iterable[_Term], total: int) -> list[str]:
    """What to look for; a later one, if there is nothing of those before it.

    Words that are nearly everywhere are left out: ranking half of all chunks takes long and changes little. If there
    are no others, chunks are wanted that have two of them.
    """
    there = sorted((term for term in terms if term.documents), key=lambda term: term.documents)
    rare = [term for term in there if term.documents <= max(LEAST_COMMON, COMMON_SHARE * total)]
    if rare:
        return [" OR ".join(term.expression for term in rare[:MOST_TERMS])]
    return [" AND ".join(term.expression for term in there[:number]) for number in (2, 1) if there[:number]]


def _scores(connection: sqlite3.Connection, terms: list[_Term], ranks: dict[int, float]) -> dict[int, float]:
    """From 0 to 1: the share of the question's weight that a chunk has, and less if its BM25 is not the best."""
    whole = sum(term.weight for term in terms) or 1.0
    best = min(ranks.values(), default=0.0) or -1.0  # BM25 is negative here: less is better
    covered = dict.fromkeys(ranks, 0.0)
    for term, rowids in _found_in(connection, terms, ranks):
        for rowid in rowids:
            covered[rowid] += term.weight
    return {rowid: covered[rowid] / whole * (0.6 + 0.4 * rank / best) for rowid, rank in ranks.items()}


def _found_in(
    connection: sqlite3.Connection, terms: Iterable[_Term], ranks: Iterable[int]
) -> Iterator[tuple[_Term, list[int]]]:
    """Each term with those of the chunks that have it: they are indexed once more, by themselves, and looked up there.

    Asking the large index for a few rows by each term takes ten times as long.
    """
    connection.executemany(
        "INSERT INTO temp.asked (rowid, word) SELECT id, heading || ' ' || text FROM chunks WHERE id = ?",
        [(rowid,) for rowid in ranks],
    )
    for term in terms:
        if term.documents:
            yield term, sorted(_having_all(connection, term))
    connection.execute("DELETE FROM temp.asked")


def _having_all(connection: sqlite3.Connection, term: _Term) -> set[int]:
    """The chunks with all parts of a word."""
    found: list[set[int]] = [
        {row[0] for row in connection.execute(*_having(term, stem))} for stem in term.stems
    ]
    return found[0].intersection(*found[1:])


def _having(term: _Term, stem: str) -> tuple[str, tuple[str, ...]]:
    """What asks for the chunks with a stem of a word; the last one may be the beginning of a longer one."""
    if term.is_prefix and stem == term.stems[-1]:
        return f"{_HAS} term >= ? AND term < ?", (stem, stem + chr(0x10FFFF))
    return f"{_HAS} term = ?", (stem,)
