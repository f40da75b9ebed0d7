"""What a model is given to answer from: how passages are written into a message, and found in one again. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from runcast.runners.knowledge.values import Passage
from runcast.runners.model import Message

MAX_QUESTION_CHARS: Final = 1_000
MAX_HEADER_CHARS: Final = 300
MAX_SOURCE_CHARS: Final = 300
"""Of a mark [source] at the end of a paragraph."""
NO_SOURCES: Final = "No sources were found."
"""What a message says in place of passages, if they were looked for and there are none."""

_OPENING: Final = re.compile(r"<passage(?:\s+source=\"([^\"\n]*)\")?\s*>\n?")
_CLOSING: Final = "</passage>"
# for one line without spaces around it: what is longer than a header can be is not looked at
_HEADER: Final = re.compile(r"#{1,6}[ \t]+(\S.{0,199})|\[([^\]]{1,200})\]:?|([\w .-]{1,60}):")
_LABELLED: Final = re.compile(
    r"^(?:the )?(?:task|question|query|topic|follow-up)[ \t]*:[ \t]*(\S.*(?:\n(?!\n|<passage).+)*)",
    re.MULTILINE | re.IGNORECASE,
)
_ASKING: Final = re.compile(r"(?:the )?(?:task|question|query|topic)", re.IGNORECASE)
_TELLING: Final = re.compile(r"instructions?|rules|format|output|your (?:task|role|job)", re.IGNORECASE)
_PARAGRAPHS: Final = re.compile(r"\n\s*\n")


class Excerpt(msgspec.Struct, frozen=True):
    """Text to answer from, and where it is from. `weight`, from 0 to 1: how well it fits the question, if that is known."""

    text: str
    source: str
    heading: str = ""
    weight: float = 1.0


class Given(msgspec.Struct, frozen=True):
    """What a conversation asks, and what it brings to answer from.

    `is_closed`: somebody has looked for sources already; the answer is in these or nowhere.
    """

    question: str
    excerpts: list[Excerpt]
    is_closed: bool = False


def write_passage(source: str, text: str) -> str:
    """A passage as part of a message: any model understands it, and `read_messages` finds it again."""
    return f'<passage source="{_attribute(source)}">\n{text.replace("</passage", "< /passage").strip()}\n</passage>'


def write_passages(passages: Iterable[Passage]) -> str:
    """Passages of the knowledge base as part of a message."""
    return "\n\n".join(write_passage(passage.cited, passage.text) for passage in passages)


def write_sources(*written: str) -> str:
    """Passages that were written, or that there are none: then nobody is to look for others."""
    return "\n\n".join(filter(None, written)) or NO_SOURCES


def read_messages(messages: Sequence[Message]) -> Given:
    """The question of the last user's message, and the passages of all of them.

    A passage is what `write_passage` makes; in a message without any, text under a line that is a header (`## name`,
    `[name]` or `name:`). The question is what is called so (`Task: …`, `## Question`), else the first paragraph that is
    no passage. Takes time by the length of the messages only, whatever is in them.
    """
    texts = [message.content for message in messages if message.role == "user"]
    excerpts: list[Excerpt] = []
    question, is_closed = "", False
    for text in texts:
        passages, rest = _passages(text)
        for source, body in passages:
            excerpts.extend(_by_marks(body, source))
        is_closed = is_closed or bool(passages) or NO_SOURCES in rest
        labelled = _LABELLED.search(rest)
        preamble, parts = _under_headers(rest)
        asked = (
            labelled[1] if labelled else next((body for name, body in parts if _ASKING.fullmatch(name)), "")
        )
        question = asked or preamble or question
        if not passages:  # where they are marked as such, the rest tells what to do with them
            excerpts.extend(_of_parts(parts))
    return Given(" ".join(question.split())[:MAX_QUESTION_CHARS], excerpts, is_closed)


def _passages(text: str) -> tuple[list[tuple[str, str]], str]:
    """The source and the text of each passage, and what is left without them."""
    passages: list[tuple[str, str]] = []
    rest: list[str] = []
    done = position = 0
    while (start := text.find("<passage", position)) >= 0:
        opening = _OPENING.match(text, start)
        if opening is None:
            position = start + 1
            continue
        end = text.find(_CLOSING, opening.end())
        if end < 0:
            break
        body = text[opening.end() : end].removesuffix("\n")
        passages.append(((opening[1] or "").replace("&quot;", '"'), body))
        rest.append(text[done:start])
        done = position = end + len(_CLOSING)
    return passages, "\n\n".join([*rest, text[done:]])


def _of_parts(parts: Iterable[tuple[str, str]]) -> Iterator[Excerpt]:
    for name, body in parts:
        if not (_ASKING.fullmatch(name) or _TELLING.fullmatch(name)):
            yield from _by_marks(body, name)


def _headers(text: str) -> Iterator[tuple[int, int, str]]:
    """Where each header begins and ends, and what it says."""
    start = 0
    for line in text.split("\n"):
        if line and len(line) <= MAX_HEADER_CHARS:
            header = _HEADER.fullmatch(line.rstrip(" \t"))
            if header:
                yield start, start + len(line), next(group for group in header.groups() if group)
        start += len(line) + 1


def _under_headers(text: str) -> tuple[str, list[tuple[str, str]]]:
    """The first paragraph before any header, and the text under each header."""
    headers = list(_headers(text))
    before = text[: headers[0][0]] if headers else text
    paragraphs = [paragraph for paragraph in _PARAGRAPHS.split(before) if paragraph.strip()]
    parts: list[tuple[str, str]] = []
    ends = [*(start for start, _, _ in headers[1:]), len(text)]
    for (_, header_end, name), end in zip(headers, ends if headers else [], strict=True):
        body = text[header_end:end].strip()
        if body:
            parts.append((name.strip(), body))
    return (paragraphs[0] if paragraphs else ""), parts


def _by_marks(text: str, source: str) -> list[Excerpt]:
    """A text as excerpts: paragraphs that end with a mark [source] are from there, whoever quotes them.

    Where some are marked, the others are left out.
    """
    excerpts: list[Excerpt] = []
    own: list[str] = []
    for paragraph in _PARAGRAPHS.split(text):
        said, mark = _marked(paragraph.strip())
        if said and mark:
            excerpts.append(Excerpt(said, mark))
        elif paragraph.strip():
            own.append(paragraph)
    if own and not excerpts:  # beside marked ones, they are instructions rather than findings
        excerpts.append(Excerpt("\n\n".join(own), source))
    return excerpts


def _marked(paragraph: str) -> tuple[str, str]:
    """A paragraph without the mark [source] at its end, and what that says; empty if there is none."""
    if not paragraph.endswith("]"):
        return paragraph, ""
    start = paragraph.rfind("[", -MAX_SOURCE_CHARS - 2)
    mark = paragraph[start + 1 : -1]
    if start < 0 or not mark or "]" in mark or "\n" in mark:
        return paragraph, ""
    return paragraph[:start].rstrip(), mark


def _attribute(text: str) -> str:
    return " ".join(text.replace('"', "&quot;").split())
