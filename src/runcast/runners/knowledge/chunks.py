"""From sections to chunks: pieces of a size that a model can read several of, cut where a text can be cut. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from runcast.runners.knowledge.values import SEPARATOR, Chunk, Parsed

CHUNK_CHARS: Final = 1_500
MAX_HEADING_CHARS: Final = 300

_CUTS: Final = (
    re.compile(r"\n+"),
    re.compile(r"(?<=[.!?…\u3002\uff01\uff1f])\s+"),
    re.compile(r"\s+"),
)
"""Where a text that is too long may be cut, the best places first."""


def chunks_of(parsed: Parsed, limit: int = CHUNK_CHARS) -> list[Chunk]:
    """The chunks of a document, in order: each of one section, of at most `limit` characters, without overlap.

    Paragraphs stay whole if they fit. A document of headings alone is one chunk, or a few, of these.
    """
    found = [
        Chunk(heading_of(parsed.title, section.path), text)
        for section in parsed.sections
        for text in pack(section.blocks, limit)
    ]
    if found:
        return found
    headings = [section.path[-1] for section in parsed.sections if section.path]
    return [Chunk(parsed.title, text) for text in pack(headings, limit)]


def heading_of(title: str, path: tuple[str, ...]) -> str:
    """The path of headings under the title, on one line."""
    whole = (title, *path) if path[:1] != (title,) else path
    shown = SEPARATOR.join(" ".join(part.split()) for part in whole if part.strip())
    return shown if len(shown) <= MAX_HEADING_CHARS else f"{shown[: MAX_HEADING_CHARS - 1]}…"


def pack(blocks: list[str], limit: int) -> Iterator[str]:
    """Paragraphs put together up to `limit` characters."""
    parts: list[str] = []
    size = 0
    for block in blocks:
        for piece in split(block.strip("\n").rstrip(), limit):
            if parts and size + 2 + len(piece) > limit:
                yield "\n\n".join(parts)
                parts, size = [], 0
            size += len(piece) + (2 if parts else 0)
            parts.append(piece)
    if parts:
        yield "\n\n".join(parts)


def split(text: str, limit: int, cuts: tuple[re.Pattern[str], ...] = _CUTS) -> Iterator[str]:
    """A paragraph in pieces of at most `limit` characters: at lines, else at sentences, else at words, else anywhere."""
    if not text.strip():
        return
    if len(text) <= limit:
        yield text
        return
    if not cuts:
        yield from (text[start : start + limit] for start in range(0, len(text), limit))
        return
    begin = end = 0
    for cut in [*(match.end() for match in cuts[0].finditer(text)), len(text)]:
        if cut - begin > limit and end > begin:
            yield from split(text[begin:end].rstrip(), limit, cuts[1:])
            begin = end
        end = cut
    yield from split(text[begin:].rstrip(), limit, cuts[1:])
