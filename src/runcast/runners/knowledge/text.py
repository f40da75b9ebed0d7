"""From bytes to text, whatever wrote them; and plain text as a document."""

from __future__ import annotations

import codecs
import re
from typing import Final

from runcast.errors import UnreadableDocument
from runcast.runners.knowledge.values import Parsed, Section

MEDIA_TYPE: Final = "text/plain"
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before the one of UTF-16, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LOOKED_AT: Final = 65_536
_CONTROLS: Final = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")
MOST_CONTROLS: Final = 0.02
MOST_REPLACED: Final = 0.3
"""A text has hardly any control characters, and not so many bytes that cannot be decoded; what has more is none."""
REPLACEMENT: Final = "\ufffd"
PARAGRAPHS: Final = re.compile(r"\n[ \t]*\n+")


def decode(name: str, data: bytes, declared: str = "") -> tuple[str, str]:
    """The text, with line feeds between lines, and a note: empty, or what had to be done.

    UTF-8, or what a byte order mark says, or `declared`. What is none of that is taken as UTF-8 with replacements.

    Raises:
        UnreadableDocument: it is no text.
    """
    encoding, data = next(
        ((encoding, data[len(bom) :]) for bom, encoding in _BOMS if data.startswith(bom)), ("utf-8", data)
    )
    note = ""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text, note = _decode_otherwise(data, declared)
    head = text[:_LOOKED_AT]
    controls, replaced = len(_CONTROLS.findall(head)), head.count(REPLACEMENT)
    if controls > MOST_CONTROLS * len(head) or replaced > MOST_REPLACED * len(head):
        raise UnreadableDocument(
            f"{name}: this is no text. Markdown, text, HTML and PDF can be added.", field="content"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", ""), note


def _decode_otherwise(data: bytes, declared: str) -> tuple[str, str]:
    if declared:
        try:
            return data.decode(declared), ""
        except (LookupError, UnicodeDecodeError, ValueError):
            pass
    text = data.decode("utf-8", "replace")
    return text, f"not valid UTF-8: {text.count(REPLACEMENT):,} bytes or more were replaced"


def read_text(name: str, data: bytes) -> Parsed:
    """A plain text; its paragraphs are divided by empty lines."""
    text, note = decode(name, data)
    return Parsed(
        media_type=MEDIA_TYPE, title=name, sections=[Section((), PARAGRAPHS.split(text))], note=note
    )
