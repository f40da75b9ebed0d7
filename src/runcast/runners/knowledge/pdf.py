"""PDF as a document: the text of its pages, found under their numbers. Images are not read."""

from __future__ import annotations

import io
import re
import struct
import zlib
from typing import TYPE_CHECKING, Final

from runcast.errors import TooLarge, UnreadableDocument
from runcast.runners.knowledge.html import EXTRA
from runcast.runners.knowledge.text import PARAGRAPHS
from runcast.runners.knowledge.values import MAX_TEXT_CHARS, Parsed, Section

if TYPE_CHECKING:
    from pypdf import PdfReader

MEDIA_TYPE: Final = "application/pdf"
MAX_PAGES: Final = 5_000

_DAMAGE: Final = (
    # what pypdf may raise when a file is not as it should be, beside errors of its own
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
_HYPHEN: Final = re.compile(r"(?<=[a-zà-öø-ÿ])-\n(?=[a-zà-öø-ÿ])")


def read_pdf(name: str, data: bytes) -> Parsed:
    """The pages that have text, each a section called `page N`. The title is the document's own, or the name.

    Raises:
        UnreadableDocument: it is encrypted, damaged or without text, or the library for it is not installed.
        TooLarge: it has too many pages, or too much text.
    """
    try:
        from pypdf import PdfReader  # noqa: PLC0415 - an extra
        from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError  # noqa: PLC0415
    except ImportError:
        raise UnreadableDocument(EXTRA.format(name=name, what="PDF")) from None
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise FileNotDecryptedError
        sections = _pages(name, reader)
        title = str((reader.metadata.title if reader.metadata else "") or "").strip()
    except (DependencyError, FileNotDecryptedError):
        raise UnreadableDocument(
            f"{name}: this PDF is encrypted. Add a copy without a password.", field="content"
        ) from None
    except (PyPdfError, *_DAMAGE):
        raise UnreadableDocument(f"{name}: this PDF is damaged.", field="content") from None
    if not sections:
        raise UnreadableDocument(
            f"{name}: this PDF has no text in it, perhaps only scanned images. Add it with its text recognised (OCR).",
            field="content",
        )
    return Parsed(media_type=MEDIA_TYPE, title=title or name, sections=sections)


def _pages(name: str, reader: PdfReader) -> list[Section]:
    if len(reader.pages) > MAX_PAGES:
        raise TooLarge(f"{name}: {len(reader.pages)} pages; the limit is {MAX_PAGES}.", field="content")
    sections: list[Section] = []
    size = 0
    for number, page in enumerate(reader.pages, 1):
        text = page.extract_text()
        size += len(text)
        if size > MAX_TEXT_CHARS:
            raise TooLarge(f"{name}: over {MAX_TEXT_CHARS} characters of text.", field="content")
        if text.strip():
            sections.append(Section((f"page {number}",), [_flow(part) for part in PARAGRAPHS.split(text)]))
    return sections


def _flow(paragraph: str) -> str:
    """A paragraph as one line: where a page's lines end says nothing."""
    return " ".join(_HYPHEN.sub("", paragraph).split())
