"""Documents that may be hostile are read in a process of their own: it is limited, and ends."""

from __future__ import annotations

import io
import zlib

import psutil
import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.generic import NameObject, StreamObject
from tests.support.pdf import pdf

from runcast.errors import InvalidInput, TooLarge, UnreadableDocument
from runcast.runners.knowledge import KnowledgeBase
from runcast.runners.knowledge import base as base_module
from runcast.runners.knowledge.reader import DocumentReader, Limits
from runcast.runners.knowledge.values import MAX_FILE_BYTES


def bomb(pages: int = 400) -> bytes:
    """A small file whose pages all show the same long text."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(*["Text"] * pages))))
    content = StreamObject()
    lines = b"BT /F1 12 Tf 14 TL 72 720 Td " + b"(word) Tj T* " * 20_000 + b"ET"
    content.set_data(zlib.compress(lines, 9))
    content[NameObject("/Filter")] = NameObject("/FlateDecode")
    shared = writer._add_object(content)
    for page in writer.pages:
        page[NameObject("/Contents")] = shared
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def refused(reader: DocumentReader, name: str, data: bytes) -> str:
    with pytest.raises(UnreadableDocument) as caught:
        reader.read(name, data)
    assert caught.value.field == "content"
    return str(caught.value)


def test_it_reads_one_after_another() -> None:
    with DocumentReader() as reader:
        assert reader.read("a.html", b"<title>One</title><p>Text").title == "One"
        assert reader.read("b.pdf", pdf("Two")).sections[0].blocks == ["Two"]
        assert reader.read("c.md", b"# Three\n\n" + b"word " * 20_000).title == "Three"
        assert reader.read("d.txt", b"Four").sections[0].blocks == ["Four"]


def test_what_cannot_be_read_is_told_as_ever() -> None:
    with DocumentReader() as reader:
        assert "is damaged" in refused(reader, "a.pdf", b"%PDF-1.4 no")
        with pytest.raises(TooLarge, match="tags"):
            reader.read("a.html", b"<p>" * 200_001)
        with pytest.raises(TooLarge, match=str(MAX_FILE_BYTES)):
            reader.read("a.html", b"x" * (MAX_FILE_BYTES + 1))
        with pytest.raises(InvalidInput, match="media_type"):
            reader.read("a", b"x", "image/png")
        assert reader.read("a.html", b"<p>still there").title == "a.html"


def test_processor_time_is_limited_and_the_next_document_is_read() -> None:
    with DocumentReader(Limits(cpu_s=1)) as reader:
        assert refused(reader, "a.pdf", bomb()) == (
            "a.pdf: reading it takes over 1 s of processor time, which is the limit."
        )
        assert reader.read("b.html", b"<p>Text").title == "b.html"


def test_time_is_limited() -> None:
    with DocumentReader(Limits(wall_s=1)) as reader:
        assert refused(reader, "a.pdf", bomb()) == "a.pdf: reading it took over 1 s, which is the limit."
        assert reader.read("b.md", b"# Text").title == "Text"


def test_memory_is_limited() -> None:
    with DocumentReader(Limits(memory_bytes=160 * 1024**2)) as reader:
        told = refused(reader, "a.html", b"<p>a " * 190_000)
        assert told == "a.html: reading it takes over 160 MiB of memory, which is the limit."
        assert reader.read("b.html", b"<p>Text").title == "b.html"


def test_tags_without_an_end_are_refused_at_once() -> None:
    with DocumentReader(Limits(cpu_s=2)) as reader:
        assert "have no end" in refused(reader, "a.html", b"<a " * 150_000)


def test_the_knowledge_base_reads_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_module, "DocumentReader", lambda: DocumentReader(Limits(cpu_s=1)))
    with KnowledgeBase(None) as base:
        with pytest.raises(UnreadableDocument, match="processor time"):
            base.add(bomb(), "a.pdf")
        assert base.count() == 0


def test_secrets_of_the_environment_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNCAST_LLM_API_KEY", "sk-secret")
    with DocumentReader() as reader:
        reader.read("a.html", b"<p>Text")
        assert reader._process
        environ = psutil.Process(reader._process.pid).environ()
        assert "PATH" in environ
        assert "sk-secret" not in environ.values()
