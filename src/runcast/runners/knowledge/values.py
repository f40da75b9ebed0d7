"""What goes into the knowledge base and comes out of it."""

from __future__ import annotations

from typing import Final

import msgspec

MAX_FILE_BYTES: Final = 32 * 1024 * 1024
"""One document, as it is given."""
MAX_TEXT_CHARS: Final = 32 * 1024 * 1024
"""The text of one document, however small it was packed."""


class Section(msgspec.Struct, frozen=True):
    """Text under a heading. `path` are the headings it stands under, the outermost first; `blocks` its paragraphs."""

    path: tuple[str, ...]
    blocks: list[str]


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """A document that was read. `note` says what had to be done to read it, empty if nothing."""

    media_type: str
    title: str
    sections: list[Section]
    note: str = ""


class Chunk(msgspec.Struct, frozen=True):
    """A piece of a document that is found as one. `heading` has the whole path of headings."""

    heading: str
    text: str


class Ingested(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a document that was added. `unchanged`: it was there already, and nothing was stored."""

    document: str
    media_type: str
    chunks: int
    bytes: int
    unchanged: bool
    note: str = ""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One document in the knowledge base. `path` is None for one that was not read from a file; times are Unix seconds."""

    name: str
    title: str
    media_type: str
    chunks: int
    bytes: int
    path: str | None
    added_s: float
    note: str = ""


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that was found. `source` is its document's name, `number` its place there, from 1 on.

    `score`, from 0 to 1, says how much of what was asked for it has: what is rare weighs more than what is common.
    """

    text: str
    source: str
    heading: str
    number: int
    score: float

    @property
    def cited(self) -> str:
        """Where it is from, for people: the document and the innermost heading."""
        last = self.heading.rpartition(SEPARATOR)[2]
        return f"{self.source}, {last}" if last and last != self.source else self.source


SEPARATOR: Final = " \u203a "
"""Between the headings of a path."""
