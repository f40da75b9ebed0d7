"""What a model is given to answer from: how passages are written into a message, and found in one again. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from runcast.runners.knowledge.values import Passage
from runcast.runners.model import Message

MAX_QUESTION_CHARS: Final = 1_000

_PASSAGE: Final = re.compile(r"<passage(?:\s+source=\"([^\"\n]*)\")?\s*>\n?(.*?)\n?</passage>", re.DOTALL)
_HEADER: Final = re.compile(
    r"^(?:#{1,6}[ \t]+(.{1,200})|\[([^\]\n]{1,200})\]:?|([\w .-]{1,60}):)[ \t]*$", re.MULTILINE
)
_LABELLED: Final = re.compile(
    r"^(?:the )?(?:task|question|query|topic|follow-up)\s*:[ \t]*(\S.*(?:\n(?!\n|<passage).+)*)",
    re.MULTILINE | re.IGNORECASE,
)
_ASKING: Final = re.compile(r"(?:the )?(?:task|question|query|topic)", re.IGNORECASE)
_TELLING: Final = re.compile(r"instructions?|rules|format|output|your (?:task|role|job)", re.IGNORECASE)
_MARK: Final = re.compile(r"\s*\[([^\[\]\n]{1,300})\]\s*\Z")


class Excerpt(msgspec.Struct, frozen=True):
    """Text to answer from, and where it is from. `weight`, from 0 to 1: how well it fits the question, if that is known."""

    text: str
    source: str
    heading: str = ""
    weight: float = 1.0


class Given(msgspec.Struct, frozen=True):
    """What a conversation asks, and what it brings to answer from."""

    question: str
    excerpts: list[Excerpt]


def write_passage(source: str, text: str) -> str:
    """A passage as part of a message: any model understands it, and `read_messages` finds it again."""
    return f'<passage source="{_attribute(source)}">\n{text.replace("</passage", "< /passage").strip()}\n</passage>'


def write_passages(passages: Iterable[Passage]) -> str:
    """Passages of the knowledge base as part of a message."""
    return "\n\n".join(write_passage(passage.cited, passage.text) for passage in passages)


def read_messages(messages: Sequence[Message]) -> Given:
    """The question of the last user's message, and the passages of all of them.

    A passage is what `write_passage` makes, or text under a line that is a header (`## name`, `[name]` or `name:`). The
    question is what is called so (`Task: …`, `## Question`), else the first paragraph that is no passage.
    """
    texts = [message.content for message in messages if message.role == "user"]
    excerpts: list[Excerpt] = []
    question = ""
    for text in texts:
        for found in _PASSAGE.finditer(text):
            excerpts.extend(_by_marks(found[2], (found[1] or "").replace("&quot;", '"')))
        rest = _PASSAGE.sub("\n\n", text)
        labelled = _LABELLED.search(rest)
        preamble, parts = _under_headers(rest)
        asked = (
            labelled[1] if labelled else next((body for name, body in parts if _ASKING.fullmatch(name)), "")
        )
        question = asked or preamble or question
        excerpts.extend(
            excerpt
            for name, body in parts
            if not (_ASKING.fullmatch(name) or _TELLING.fullmatch(name))
            for excerpt in _by_marks(body, name)
        )
    return Given(" ".join(question.split())[:MAX_QUESTION_CHARS], excerpts)


def _under_headers(text: str) -> tuple[str, list[tuple[str, str]]]:
    """The first paragraph before any header, and the text under each header."""
    headers = list(_HEADER.finditer(text))
    before = text[: headers[0].start()] if headers else text
    paragraphs = [paragraph for paragraph in re.split(r"\n\s*\n", before) if paragraph.strip()]
    parts: list[tuple[str, str]] = []
    ends = [*(header.start() for header in headers[1:]), len(text)]
    for header, end in zip(headers, ends if headers else [], strict=True):
        name = next(group for group in header.groups() if group)
        body = text[header.end() : end].strip()
        if body:
            parts.append((name.strip(), body))
    return (paragraphs[0] if paragraphs else ""), parts


def _by_marks(text: str, source: str) -> list[Excerpt]:
    """A text as excerpts: paragraphs that end with a mark [source] are from there, whoever quotes them.

    Where some are marked, the others are left out.
    """
    excerpts: list[Excerpt] = []
    own: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        mark = _MARK.search(paragraph)
        if mark and mark.start():
            excerpts.append(Excerpt(paragraph[: mark.start()], mark[1]))
        elif paragraph.strip():
            own.append(paragraph)
    if own and not excerpts:  # beside marked ones, they are instructions rather than findings
        excerpts.append(Excerpt("\n\n".join(own), source))
    return excerpts


def _attribute(text: str) -> str:
    return " ".join(text.replace('"', "&quot;").split())
