"""What a document is, and how it is read: Markdown, text, HTML or PDF."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Final

from runcast.errors import InvalidInput, TooLarge
from runcast.runners.knowledge.html import MEDIA_TYPE as HTML
from runcast.runners.knowledge.html import read_html
from runcast.runners.knowledge.markdown import MEDIA_TYPE as MARKDOWN
from runcast.runners.knowledge.markdown import read_markdown
from runcast.runners.knowledge.pdf import MEDIA_TYPE as PDF
from runcast.runners.knowledge.pdf import read_pdf
from runcast.runners.knowledge.text import MEDIA_TYPE as TEXT
from runcast.runners.knowledge.text import read_text
from runcast.runners.knowledge.values import MAX_FILE_BYTES, Parsed

MAX_NAME_CHARS: Final = 300

SUFFIXES: Final = {
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".mdx": MARKDOWN,
    ".txt": TEXT,
    ".text": TEXT,
    ".rst": TEXT,
    ".adoc": TEXT,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".pdf": PDF,
}
"""What a file of a folder must be called to be added with it."""

_READERS: Final[dict[str, Callable[[str, bytes], Parsed]]] = {
    MARKDOWN: read_markdown,
    TEXT: read_text,
    HTML: read_html,
    PDF: read_pdf,
}
_OTHER_NAMES: Final = {"text/x-markdown": MARKDOWN, "application/xhtml+xml": HTML}


def check_name(name: str) -> str:
    """`name`, if a document can be called so: it stands in citations, on one line.

    Raises:
        InvalidInput: it cannot.
    """
    if not (0 < len(name) <= MAX_NAME_CHARS and name.isprintable() and name == name.strip()):
        raise InvalidInput(
            f"name: 1 to {MAX_NAME_CHARS} printable characters, without spaces around them.", field="name"
        )
    parts = name.replace("\\", "/").split("/")
    if not parts[0] or {".", ".."} & set(parts):
        raise InvalidInput(
            "name: no “/” at its beginning, and no “.” or “..” between the “/”: it is a name, such as guide/notes.md, "
            "and no path.",
            field="name",
        )
    return name


def parse(name: str, data: bytes, media_type: str = "") -> Parsed:
    """Read a document, here and now, for as long as it takes; see `DocumentReader` for one that may be hostile.

    Args:
        name: of the document; its suffix says what it is, if nothing else does.
        data: as it is in the file.
        media_type: what it is, if that is known: text/markdown, text/plain, text/html or application/pdf.

    Raises:
        TooLarge: it is over 32 MiB.
        UnreadableDocument: it is damaged, encrypted, or no text.
        InvalidInput: its type is none of these.
    """
    if len(data) > MAX_FILE_BYTES:
        raise TooLarge(f"{name}: {len(data)} bytes; the limit is {MAX_FILE_BYTES}.", field="content")
    return _READERS[kind_of(name, data, media_type)](name, data)


def kind_of(name: str, data: bytes, media_type: str = "") -> str:
    """What a document is: its media type, of those that can be read.

    Raises:
        InvalidInput: it is none of these.
    """
    kind = media_type.partition(";")[0].strip().lower()
    if kind in {"", "application/octet-stream"}:
        kind = SUFFIXES.get(PurePath(name).suffix.lower(), TEXT)
    if data.startswith(b"%PDF-"):
        kind = PDF
    kind = _OTHER_NAMES.get(kind, kind)
    if kind not in _READERS:
        known = ", ".join(sorted(_READERS))
        raise InvalidInput(f"media_type: {kind[:60]!r} is not known; one of {known}.", field="media_type")
    return kind
