"""Markdown as a document: sections by its headings, and blocks as markdown-it finds them, in the author's own words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from runcast.runners.knowledge.text import PARAGRAPHS, decode
from runcast.runners.knowledge.values import Parsed, Section

MEDIA_TYPE: Final = "text/markdown"
MAX_LINES: Final = 100_000
"""What has more is read as plain text: finding its headings would take a processor for a minute."""
_FRONT_MATTER: Final = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*\n", re.DOTALL)
_TITLE: Final = re.compile(r"^title:(.*)$", re.MULTILINE)
_LINK: Final = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\s]*(?:\s+\"[^\"\n]*\")?\)")
# No run within these can go past what another match could begin with, so that each takes time by the text's length only.
_MARKS: Final = (
    (_LINK, r"\1"),  # links and images
    (_LINK, r"\1"),  # images within links
    (re.compile(r"<(https?://[^<>\s]+)>"), r"\1"),
    (re.compile(r"(\*\*|(?<!\w)__)(?=\S)((?:(?!\1).)+)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+)(?<=\S)\*(?![\w*])"), r"\1"),
    (re.compile(r"</?[a-zA-Z][^<>\n]{0,200}>"), ""),
    (re.compile(r"\\([!-/:-@\[-`{-~])"), r"\1"),
)
_CODE: Final = re.compile(r"(?<!`)(`{1,9})(?!`)([^`\n]+)\1(?!`)")
_KEPT: Final = re.compile("\ue000(\\d{1,6})\ue001")
"""What stands for a piece of code while marks are taken off: two characters of private use, and a number between."""

_blocks: Final = MarkdownIt("commonmark").disable(["inline", "text_join"], ignoreInvalid=True)
"""Only blocks are asked for: what is within a line stays as it was written. A table is a block also without its rule,
which would make 65,536 cells of a few kilobytes."""


def read_markdown(name: str, data: bytes) -> Parsed:
    """Sections by headings; the title is that of the front matter, or the only heading of the first level, or the name."""
    text, note = decode(name, data)
    if text.count("\n") > MAX_LINES:
        told = f"over {MAX_LINES:,} lines: read as plain text, without its headings"
        sections = [Section((), PARAGRAPHS.split(text))]
        return Parsed(
            media_type=MEDIA_TYPE, title=name, sections=sections, note="; ".join(filter(None, (note, told)))
        )
    title = ""
    front = _FRONT_MATTER.match(text)
    if front:
        text = text[front.end() :]
        named = _TITLE.search(front[1])
        title = named[1].strip().strip("\"'") if named else ""
    sections = list(_sections(text))
    tops = {section.path[0] for section in sections if section.path and section.path[0]}
    return Parsed(
        media_type=MEDIA_TYPE,
        title=title or (tops.pop() if len(tops) == 1 else name),
        sections=sections,
        note=note,
    )


def _sections(text: str) -> Iterator[Section]:
    """One for each heading, also those without text; what stands before the first has an empty path."""
    lines = text.split("\n")
    path: list[tuple[int, str]] = []
    blocks: list[str] = []
    tokens = _blocks.parse(text)
    for index, token in enumerate(tokens):
        if token.level or token.nesting < 0 or token.map is None:
            continue
        if token.type == "heading_open":
            yield Section(tuple(heading for _, heading in path), blocks)
            level, heading = int(token.tag[1:]), plain(_content(tokens, index))
            path = [*(outer for outer in path if outer[0] < level), (level, heading)]
            blocks = []
        elif token.type != "hr":
            blocks.append("\n".join(lines[token.map[0] : token.map[1]]))
    yield Section(tuple(heading for _, heading in path), blocks)


def _content(tokens: list[Token], index: int) -> str:
    return tokens[index + 1].content if index + 1 < len(tokens) else ""


def plain(markdown: str, *, mark_code: bool = False) -> str:
    """Markdown of a line or a paragraph without its marks, for people to read as a sentence.

    Code stays as it is; with `mark_code`, it keeps its marks, so that doing this again changes nothing.
    """
    kept: list[str] = []

    def keep(code: re.Match[str]) -> str:
        kept.append(code[0] if mark_code else code[2].strip())
        return f"\ue000{len(kept) - 1}\ue001"

    text = _CODE.sub(keep, markdown.replace("\ue000", ""))
    for mark, replacement in _MARKS:
        text = mark.sub(replacement, text)
    return _KEPT.sub(lambda found: kept[int(found[1])], text).strip()
