"""How documents are read and cut: Markdown, text, HTML and PDF, good and bad."""

from __future__ import annotations

import sys
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.pdf import pdf

from runcast.errors import InvalidInput, RuncastError, TooLarge, UnreadableDocument
from runcast.runners.knowledge import html as html_module
from runcast.runners.knowledge.chunks import CHUNK_CHARS, chunks_of, pack
from runcast.runners.knowledge.documents import SUFFIXES, parse
from runcast.runners.knowledge.values import MAX_FILE_BYTES, Chunk, Parsed, Section


def chunks(name: str, text: str | bytes, media_type: str = "") -> list[tuple[str, str]]:
    """Heading and text of each chunk."""
    data = text.encode() if isinstance(text, str) else text
    return [(chunk.heading, chunk.text) for chunk in chunks_of(parse(name, data, media_type))]


def refused(
    name: str, data: bytes, kind: type[RuncastError] = UnreadableDocument, media_type: str = ""
) -> str:
    with pytest.raises(kind) as caught:
        parse(name, data, media_type)
    assert type(caught.value) is kind
    return str(caught.value)


# --- Markdown --------------------------------------------------------------------------------------


def test_markdown_is_cut_at_its_headings() -> None:
    text = "Before.\n\n# Guide\n\nIntro *words*.\n\n## Install\n\n```sh\n# no heading\n\npip\n```\n\nSetext\n------\n- a\n- b\n"
    assert chunks("guide.md", text) == [
        ("Guide", "Before."),
        ("Guide", "Intro *words*."),
        ("Guide \u203a Install", "```sh\n# no heading\n\npip\n```"),
        ("Guide \u203a Setext", "- a\n- b"),
    ]


def test_a_heading_says_what_it_stands_under() -> None:
    text = "# A\n\n## B\n\n### C\n\nc\n\n## D `code` [link](x)\n\nd\n\n# E\n\ne"
    assert chunks("x.md", text) == [
        ("x.md \u203a A \u203a B \u203a C", "c"),
        ("x.md \u203a A \u203a D code link", "d"),
        ("x.md \u203a E", "e"),
    ]


def test_markdown_of_very_many_lines_is_read_as_text() -> None:
    parsed = parse("x.md", b"# A\n\n" + b"b\n" * 100_000)
    assert "over 100,000 lines" in parsed.note
    assert [chunk.heading for chunk in chunks_of(parsed)][:1] == ["x.md"]


def test_the_title_of_the_front_matter_counts() -> None:
    assert chunks("x.md", "---\ntitle: 'The Manual'\ndate: now\n---\nText") == [("The Manual", "Text")]
    assert chunks("x.md", "---\nno: end\n\nText")[0][0] == "x.md"


def test_a_document_of_headings_alone_is_found_by_them() -> None:
    assert chunks("x.md", "# A\n\n## B\n\n## C\n") == [("A", "A\n\nB\n\nC")]


@pytest.mark.parametrize("data", [b"", b" \n\n", b"\xef\xbb\xbf"])
def test_an_empty_document_has_no_chunks(data: bytes) -> None:
    assert chunks("x.md", data) == chunks("x.txt", data) == chunks("x.html", data) == []


# --- cutting ---------------------------------------------------------------------------------------


def test_paragraphs_stay_whole_if_they_fit() -> None:
    paragraphs = [f"{number} " + "x" * 598 for number in range(5)]
    assert list(pack(paragraphs, 1_500)) == [
        "\n\n".join(paragraphs[:2]),
        "\n\n".join(paragraphs[2:4]),
        paragraphs[4],
    ]


def test_what_is_too_long_is_cut_where_a_text_can_be() -> None:
    assert list(pack(["one two.  three four.  five"], 12)) == ["one two.", "three four.", "five"]
    assert list(pack(["row one\nrow two\nrow three"], 16)) == ["row one\nrow two", "row three"]
    assert list(pack(["a bb ccc dddd"], 5)) == ["a bb", "ccc", "dddd"]
    assert list(pack(["abcdefgh"], 3)) == ["abc", "def", "gh"]


@given(st.lists(st.text("ab .\n", max_size=80)), st.integers(1, 40))
def test_nothing_is_lost_and_nothing_comes_twice(blocks: list[str], limit: int) -> None:
    pieces = list(pack(blocks, limit))
    assert all(0 < len(piece) <= limit and piece.strip() for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join("".join(blocks).split())


def test_chunks_are_no_longer_than_they_may_be() -> None:
    parsed = Parsed(media_type="", title="t", sections=[Section(("h" * 900,), ["word " * 4_000])])
    found = chunks_of(parsed)
    assert len(found) == 14
    assert all(len(chunk.text) <= CHUNK_CHARS and len(chunk.heading) <= 300 for chunk in found)
    assert all(isinstance(chunk, Chunk) for chunk in found)


# --- text ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_in_encodings_that_say_so(encoding: str) -> None:
    assert chunks("x.txt", "Grüße\r\nund\r\rmehr".encode(encoding)) == [("x.txt", "Grüße\nund\n\nmehr")]


def test_what_is_not_utf_8_is_read_and_said() -> None:
    parsed = parse("x.md", "Viele Grüße aus Köln, wie jedes Jahr um diese Zeit".encode("latin-1"))
    assert "not valid UTF-8: 3 bytes" in parsed.note
    assert "Gr\ufffd\ufffde" in parsed.sections[0].blocks[0]
    assert not parse("x.md", b"fine").note


@pytest.mark.parametrize("data", [bytes(range(256)) * 8, b"\x7fELF" + b"\0" * 500, b"\xff\xfe\x00"])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    assert "is no text" in refused("tool.txt", data)


def test_a_type_that_is_not_known() -> None:
    assert "'image/png' is not known" in refused("x", b"png", InvalidInput, media_type="image/png")


def test_what_is_too_large_is_refused_before_it_is_read() -> None:
    assert str(MAX_FILE_BYTES) in refused("x.md", b"x" * (MAX_FILE_BYTES + 1), TooLarge)


@pytest.mark.parametrize(
    ("name", "media_type", "wanted"),
    [
        ("a.md", "", "text/markdown"),
        ("a.HTML", "", "text/html"),
        ("a", "", "text/plain"),
        ("a.unknown", "application/octet-stream", "text/plain"),
        ("a.txt", "text/html; charset=utf-8", "text/html"),
        ("a", "TEXT/X-MARKDOWN", "text/markdown"),
    ],
)
def test_what_a_document_is(name: str, media_type: str, wanted: str) -> None:
    assert parse(name, b"<p>text", media_type).media_type == wanted


# --- HTML ------------------------------------------------------------------------------------------

PAGE = """<!DOCTYPE html><html><head><title>The  Page</title><style>p {}</style></head><body>
<nav>Home | About</nav><h1>Top</h1><p>One <b>bold</b>
sentence.<br>Next line.</p><script>alert("no")</script><!-- neither -->
<h2>Sub &amp; more</h2><ul><li>first</li><li>second <p>within</p> after</li></ul>
<pre>
  keep
    this</pre><table><tr><td>a</td><td>b</td></tr></table><noscript>no</noscript></body></html>"""


def test_html_is_what_a_reader_sees() -> None:
    assert chunks("p.html", PAGE) == [
        ("The Page \u203a Top", "One bold sentence.\nNext line."),
        (
            "The Page \u203a Top \u203a Sub & more",
            "- first\n\n- second\n\nwithin\n\n- after\n\n  keep\n    this\n\na\n\nb",
        ),
    ]


def test_html_that_is_hardly_any() -> None:
    assert chunks("p.html", "just words") == [("p.html", "just words")]
    assert chunks("p.html", "/etc/passwd") == [("p.html", "/etc/passwd")]
    assert chunks("p.xhtml", '<?xml version="1.0"?><html xmlns="x"><body><p>x</p></body></html>') == [
        ("p.xhtml", "x")
    ]
    assert chunks("p.html", "<p>open <b>tags <i>everywhere") == [("p.html", "open tags everywhere")]


def test_html_says_its_encoding() -> None:
    page = '<meta charset="iso-8859-1"><p>Grüße'.encode("latin-1")
    assert chunks("p.html", page) == [("p.html", "Grüße")]
    unknown = '<meta charset="klingon"><p>Grüße</p>'.encode("latin-1")
    assert parse("p.html", unknown).note


def test_html_as_a_weapon_is_refused_soon() -> None:
    assert "elements within one another" in refused("p.html", b"<b>x" * 50_000)
    assert "tags" in refused("p.html", b"<p>" * 200_001, TooLarge)


@pytest.mark.parametrize(("module", "data"), [("bs4", b"<p>x"), ("pypdf", b"%PDF-1.4")])
def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch, module: str, data: bytes) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert "pip install 'runcast[documents]'" in refused("p.html", data)
    assert html_module.EXTRA.count("{") == 2


# --- PDF -------------------------------------------------------------------------------------------


def test_pdf_is_found_by_its_pages() -> None:
    data = pdf("First line of an exam-\nple on two lines.", "", "Third page.", title="The Handbook")
    assert chunks("h.pdf", data) == [
        ("The Handbook \u203a page 1", "First line of an example on two lines."),
        ("The Handbook \u203a page 3", "Third page."),
    ]


def test_a_pdf_is_known_by_its_content() -> None:
    assert parse("upload", pdf("Text")).media_type == "application/pdf"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pdf("Secret", password="pw"), "is encrypted"),
        (pdf("", ""), "has no text in it"),
        (pdf("Text")[:200], "is damaged"),
        (b"%PDF-1.7\n" + bytes(range(256)) * 20, "is damaged"),
        (b"no pdf at all", "is damaged"),
        (b"", "is damaged"),
    ],
    ids=["encrypted", "scanned", "cut", "garbage", "text", "empty"],
)
def test_a_pdf_that_cannot_be_read_says_why(data: bytes, words: str) -> None:
    assert words in refused("x.pdf", data)


# --- whatever comes --------------------------------------------------------------------------------

WHOLE: dict[str, bytes] = {
    ".pdf": pdf("Some text", "More text"),
    ".html": PAGE.encode(),
    ".md": b"# A\n\n| x | y |\n|--|--|\n",
}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_document_breaks_anything(data: st.DataObject) -> None:
    """Files that are cut, and changed in places, are read or refused; nothing else is ever raised."""
    suffix = data.draw(st.sampled_from(sorted(SUFFIXES)))
    content = bytearray(WHOLE.get(suffix, b"text\n\n" * 9))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    with suppress(InvalidInput):
        assert all(chunk.text.strip() for chunk in chunks_of(parse(f"x{suffix}", bytes(content[:cut]))))
