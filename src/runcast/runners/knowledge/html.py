"""HTML as a document: what a reader sees, by its headings. Scripts and styles are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from runcast.errors import TooLarge, UnreadableDocument
from runcast.runners.knowledge.text import decode
from runcast.runners.knowledge.values import Parsed, Section

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

MEDIA_TYPE: Final = "text/html"
MAX_TAGS: Final = 200_000
MAX_OPEN: Final = 200
"""So many `<` without a `>` among them: the parser would look for the end of each of these tags, up to the end of all."""
MAX_DEPTH: Final = 1_000
"""Elements within one another; a page has some thirty."""
EXTRA: Final = "{name}: reading {what} needs an extra: pip install 'runcast[documents]'."

_DECLARED: Final = re.compile(rb"<meta[^>]{0,500}?charset=[\"']?\s*([\w-]{1,40})", re.IGNORECASE)
_PROLOG: Final = re.compile(r"\A\s*<\?xml[^>]*\?>")
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_LEFT_OUT: Final = ["script", "style", "noscript", "template", "svg", "head", "nav", "iframe", "object"]
_BLOCKS: Final = frozenset(
    {
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "caption",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
    }
    | {
        "figcaption",
        "figure",
        "footer",
        "form",
        "header",
        "html",
        "legend",
        "li",
        "main",
        "ol",
        "p",
        "pre",
        "section",
    }
    | {"summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"}
    | set(_HEADINGS)
)
_SPACE: Final = re.compile(r"[ \t\r\n\f]+")


def read_html(name: str, data: bytes) -> Parsed:
    """The visible text. The title is the page's, or its first heading, or the name.

    Raises:
        UnreadableDocument: the library for it is not installed, or it is no text.
        TooLarge: it is so finely divided that reading it would take minutes.
    """
    try:
        from bs4 import BeautifulSoup  # noqa: PLC0415 - an extra
    except ImportError:
        raise UnreadableDocument(EXTRA.format(name=name, what="HTML")) from None
    declared = _DECLARED.search(data[:4096])
    text, note = decode(name, data, declared[1].decode("ascii") if declared else "")
    if text.count("<") > MAX_TAGS:
        raise TooLarge(f"{name}: over {MAX_TAGS} tags.", field="content")
    if any(stretch.count("<") > MAX_OPEN for stretch in text.split(">")):
        raise UnreadableDocument(f"{name}: over {MAX_OPEN} tags in a row have no end.", field="content")
    text = _PROLOG.sub("", text)
    if "<" not in text:
        return Parsed(media_type=MEDIA_TYPE, title=name, sections=[Section((), [text])], note=note)
    soup = BeautifulSoup(text, "html.parser")
    title = _title(soup)
    for element in soup.find_all(_LEFT_OUT):
        element.extract()
    sections = list(_sections(name, soup))
    first = next((section.path[0] for section in sections if section.path), "")
    return Parsed(media_type=MEDIA_TYPE, title=title or first or name, sections=sections, note=note)


def _title(soup: BeautifulSoup) -> str:
    return " ".join(soup.title.get_text().split()) if soup.title else ""


def _sections(name: str, soup: BeautifulSoup) -> Iterator[Section]:
    path: list[tuple[int, str]] = []
    blocks: list[str] = []
    for tag, text in _texts(name, soup):
        level = _HEADINGS.get(tag, 0)
        if not level:
            blocks.append(text)
            continue
        yield Section(tuple(heading for _, heading in path), blocks)
        path = [*(outer for outer in path if outer[0] < level), (level, " ".join(text.split()))]
        blocks = []
    yield Section(tuple(heading for _, heading in path), blocks)


def _texts(name: str, soup: BeautifulSoup) -> Iterator[tuple[str, str]]:
    """Each block's name and text, in order. A block goes on after the blocks within it as another one."""
    from bs4 import Tag  # noqa: PLC0415 - an extra
    from bs4.element import CData, NavigableString  # noqa: PLC0415

    owners: dict[int, tuple[Any, int]] = {id(soup): (soup, 0)}
    current: Any = soup
    parts: list[str] = []
    for node in soup.descendants:
        owner, depth = owners[id(node.parent)]
        if isinstance(node, Tag):
            if depth >= MAX_DEPTH:
                raise UnreadableDocument(
                    f"{name}: over {MAX_DEPTH} elements within one another.", field="content"
                )
            owners[id(node)] = (node if node.name in _BLOCKS else owner, depth + 1)
            if node.name == "br":
                parts.append("\n")
        elif type(node) in {NavigableString, CData}:  # and no comment or doctype
            if owner is not current:
                yield from _block(current, parts)
                current, parts = owner, []
            parts.append(str(node) if owner.name == "pre" else _SPACE.sub(" ", str(node)))
    yield from _block(current, parts)


def _block(owner: Tag, parts: list[str]) -> Iterator[tuple[str, str]]:
    text = "".join(parts)
    if text.strip():
        prefix = "- " if owner.name == "li" else ""
        yield owner.name, prefix + (text.strip("\n") if owner.name == "pre" else text.strip())
