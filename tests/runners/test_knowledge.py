"""The knowledge base: what is added is found, once, until it is changed or removed."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runcast.config import Settings
from runcast.errors import DocumentNotFound, InvalidInput, KnowledgeError, TooLarge, UnreadableDocument
from runcast.runners.knowledge import KnowledgeBase, Progress, add_paths, knowledge_file
from runcast.runners.knowledge import ingest as ingest_module
from runcast.runners.knowledge.values import MAX_FILE_BYTES
from runcast.runners.knowledge.words import MAX_WORDS, words_of

CAR = """# The Aurora

## Battery

The battery holds 82 kWh. It charges from 10 to 80 percent in 24 minutes.

## Tyres

Inflate the tyres to 2.6 bar. Check their pressure every month.

## Café mode

Naïve résumé of the crème brûlée.
"""


@pytest.fixture(params=["file", "memory"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KnowledgeBase]:
    with KnowledgeBase(tmp_path / "k.knowledge" if request.param == "file" else None) as base:
        yield base


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "car.md").write_text(CAR)
    (folder / "deep" / "er" / "notes.txt").write_text("Notes about the radio.")
    (folder / "page.html").write_text("<title>Page</title><p>About the roof box.")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / ".hidden.md").write_text("hidden")
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "README.md").write_text("somebody else's")
    return folder


def sources(base: KnowledgeBase, query: str, limit: int = 5) -> list[str]:
    return [f"{found.source}|{found.heading}" for found in base.search(query, limit)]


def names(base: KnowledgeBase) -> list[str]:
    return [document.name for document in base.documents()]


# --- finding -----------------------------------------------------------------------------------------


def test_the_best_passage_comes_first_with_where_it_is_from(base: KnowledgeBase) -> None:
    ingested = base.add(CAR.encode(), "car.md")
    assert (ingested.document, ingested.chunks, ingested.unchanged) == ("car.md", 3, False)
    best, *_ = base.search("How long does the battery take to charge?")
    assert (best.source, best.heading, best.number) == ("car.md", "The Aurora \u203a Battery", 1)
    assert best.cited == "car.md, Battery"
    assert "24 minutes" in best.text
    assert 0.5 < best.score <= 1


@pytest.mark.parametrize(
    "query", ["BATTERIES", "charged", "charging battery", "cafe", "CRÈME", "creme brulee", "tyr"]
)
def test_case_accents_endings_and_beginnings_do_not_matter(base: KnowledgeBase, query: str) -> None:
    base.add(CAR.encode(), "car.md")
    assert base.search(query)[0].score == 1.0


def test_a_heading_weighs_more_than_the_text(base: KnowledgeBase) -> None:
    base.add(b"# One\n\nA radio is there, too.\n\n# Radio\n\nTurn it on.\n\n# Two\n\nNothing.", "x.md")
    assert base.search("radio")[0].heading.endswith("Radio")


def test_common_words_drown_nothing(base: KnowledgeBase) -> None:
    for number in range(60):
        base.add(b"The car and the road and what it is to be.", f"{number}.txt")
        base.add(f"Different text {number} of the car.".encode(), f"d{number}.txt")
    base.add(b"Zirconium seals.", "rare.txt")
    assert sources(base, "what is the zirconium of the car", 1) == ["rare.txt|rare.txt"]


def test_only_common_words_still_find_something(base: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runcast.runners.knowledge.search.LEAST_COMMON", 3)
    for number in range(20):
        base.add(f"car road {number}".encode(), f"{number}.txt")
        base.add(f"car tree {number}".encode(), f"t{number}.txt")
        base.add(f"road bush {number}".encode(), f"r{number}.txt")
    assert {found.source[0] for found in base.search("road car", 20)} <= set("0123456789")
    assert base.search("the of and") == []


def test_the_score_says_how_much_of_the_question_is_there(base: KnowledgeBase) -> None:
    base.add(CAR.encode(), "car.md")
    whole, part = (
        base.search("tyres pressure")[0].score,
        base.search("tyres pressure of the submarine")[0].score,
    )
    assert 0 < part < 0.7 < whole <= 1
    assert base.search("submarine periscope") == []


def test_the_same_text_is_found_once(base: KnowledgeBase) -> None:
    base.add(b"The same words.", "a.txt")
    base.add(b"The same words.", "b.txt")
    assert len(base.search("same words")) == 1


HOSTILE = [
    '"',
    "'",
    "*",
    "a*",
    "^car",
    "NEAR(a b)",
    "car AND",
    "NOT",
    "heading:car",
    "{a b}: c",
    "a\x00b",
    "(((",
    "-",
    "",
    " ",
]


@pytest.mark.parametrize("query", HOSTILE)
def test_no_sign_in_a_question_means_anything(base: KnowledgeBase, query: str) -> None:
    base.add(CAR.encode(), "car.md")
    base.search(query)
    assert sources(base, f"{query} battery", 1) == ["car.md|The Aurora \u203a Battery"]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.integers(-5, 100))
def test_any_question_may_be_asked(query: str, limit: int) -> None:
    found = _hypothesis_base.search(query, limit)
    assert all(0 < one.score <= 1 for one in found)
    assert sorted((one.score for one in found), reverse=True) == [one.score for one in found]


_hypothesis_base = KnowledgeBase(None)
_hypothesis_base.add(CAR.encode(), "car.md")


def test_a_page_as_a_question_is_bounded(base: KnowledgeBase) -> None:
    assert len(words_of(" ".join(f"word{number}" for number in range(10_000)))) == MAX_WORDS
    base.add(CAR.encode(), "car.md")
    assert base.search("battery " + "word " * 100_000)


# --- adding ------------------------------------------------------------------------------------------


def test_the_same_content_is_not_stored_again(base: KnowledgeBase) -> None:
    base.add(b"one", "x.md")
    again = base.add(b"one", "x.md")
    assert again.unchanged
    assert again.chunks == 1
    changed = base.add(b"two", "x.md")
    assert not changed.unchanged
    assert base.search("one") == []
    assert names(base) == ["x.md"]


def test_a_file_that_has_not_changed_is_not_even_opened(base: KnowledgeBase, tmp_path: Path) -> None:
    file = tmp_path / "x.md"
    file.write_text("first")
    base.add(file)
    was = file.stat()
    file.write_text("other")
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))  # by time and size the same
    assert base.add(file).unchanged
    assert base.search("first")
    os.utime(file, ns=(1, 1))
    assert not base.add(file).unchanged
    assert base.search("other")


def test_a_file_that_was_only_touched_is_read_once(base: KnowledgeBase, tmp_path: Path) -> None:
    file = tmp_path / "x.md"
    file.write_text("text")
    before = base.add(file)
    os.utime(file, ns=(1, 1))
    touched = base.add(file)
    assert (touched.unchanged, touched.chunks) == (True, before.chunks)
    file.chmod(0)
    assert base.add(file).unchanged


def test_files_of_the_same_name_are_told_apart(base: KnowledgeBase, tmp_path: Path) -> None:
    for name in ("a", "b", "a/a"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "x.md").write_text(f"about {name}")
        base.add(tmp_path / name / "x.md")
    assert names(base) == ["a/x.md", "b/x.md", "x.md"]
    assert base.add(tmp_path / "b" / "x.md").unchanged


def test_what_cannot_be_added(base: KnowledgeBase, tmp_path: Path) -> None:
    for name in ("", " x", "x\n", "x" * 301):
        with pytest.raises(InvalidInput, match="name: 1 to 300"):
            base.add(b"text", name)
    with pytest.raises(InvalidInput, match="needs a name"):
        base.add(b"text")
    with pytest.raises(UnreadableDocument, match="No such file"):
        base.add(tmp_path / "nothing.md")
    os.mkfifo(tmp_path / "pipe.md")
    for place in (tmp_path / "pipe.md", tmp_path):
        with pytest.raises(UnreadableDocument, match="is no file"):
            base.add(place)
    with (tmp_path / "large.md").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(TooLarge, match="33554433 bytes; the limit is 33554432"):
        base.add(tmp_path / "large.md")
    assert names(base) == []


def test_removing(base: KnowledgeBase) -> None:
    with pytest.raises(DocumentNotFound, match=r"'x\.md'"):
        base.remove("x.md")
    base.add(b"one", "x.md")
    base.remove("x.md")
    assert (names(base), base.search("one"), base.is_empty()) == ([], [], True)


# --- folders -----------------------------------------------------------------------------------------


def test_a_folder_with_all_in_it(base: KnowledgeBase, folder: Path) -> None:
    told: list[tuple[int, int, str]] = []

    def on_progress(progress: Progress) -> None:
        told.append((progress.done, progress.total, progress.name))

    report = add_paths(base, [folder], on_progress)
    assert [one.document for one in report.added] == [
        "docs/car.md",
        "docs/page.html",
        "docs/deep/er/notes.txt",
    ]
    assert told == [
        (0, 3, "docs/car.md"),
        (1, 3, "docs/page.html"),
        (2, 3, "docs/deep/er/notes.txt"),
        (3, 3, "docs/deep/er/notes.txt"),
    ]
    assert sources(base, "roof box") == ["docs/page.html|Page"]


def test_a_folder_added_again_follows_what_has_changed(base: KnowledgeBase, folder: Path) -> None:
    base.add(b"kept", "docs/uploaded.md")
    add_paths(base, [folder])
    (folder / "page.html").unlink()
    (folder / "car.md").write_text("# Another car")
    (folder / "new.md").write_text("New.")
    report = add_paths(base, [folder])
    assert [one.document for one in report.added] == ["docs/car.md", "docs/new.md"]
    assert [one.document for one in report.unchanged] == ["docs/deep/er/notes.txt"]
    assert report.removed == ["docs/page.html"]
    assert names(base) == ["docs/car.md", "docs/deep/er/notes.txt", "docs/new.md", "docs/uploaded.md"]


def test_a_sibling_with_the_same_beginning_is_not_touched(base: KnowledgeBase, folder: Path) -> None:
    other = folder.with_name("docs-old")
    other.mkdir()
    (other / "a.md").write_text("a")
    add_paths(base, [other])
    (other / "a.md").unlink()
    assert add_paths(base, [folder]).removed == []


def test_a_file_that_cannot_be_read_stops_nothing(base: KnowledgeBase, folder: Path) -> None:
    (folder / "bad.pdf").write_bytes(b"%PDF-nonsense")
    (folder / "gone.md").symlink_to(folder / "nowhere")
    report = add_paths(base, [folder, folder / "car.md"])
    assert len(report.added) == 3
    assert sorted(one.reason.partition(": ")[2] for one in report.failed) == [
        "cannot be read (No such file or directory).",
        "this PDF is damaged.",
    ]


def test_a_path_that_is_none_adds_nothing(base: KnowledgeBase, folder: Path) -> None:
    with pytest.raises(UnreadableDocument, match="no such file or folder"):
        add_paths(base, [folder, folder / "nothing"])
    assert base.is_empty()


def test_what_was_stored_before_an_interruption_is_stored(
    base: KnowledgeBase, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_module, "BATCH_DOCUMENTS", 1)

    def interrupt(progress: Progress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_paths(base, [folder], interrupt)
    assert names(base) == ["docs/car.md", "docs/page.html"]
    report = add_paths(base, [folder])
    assert (len(report.unchanged), len(report.added)) == (2, 1)


# --- the file ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings_", "wanted"),
    [
        ({"log": "/a/log.db"}, Path("/a/log.db.knowledge")),
        ({"log": "sqlite:////a/log.db"}, Path("/a/log.db.knowledge")),
        ({"log": "memory:"}, None),
        ({"log": "/a/log.db", "knowledge": "memory:"}, None),
        ({"log": "memory:", "knowledge": "/b/k"}, Path("/b/k")),
    ],
)
def test_where_it_is(settings_: dict[str, Any], wanted: Path | None) -> None:
    assert knowledge_file(Settings(**settings_)) == wanted


def test_looking_makes_no_file(tmp_path: Path) -> None:
    with KnowledgeBase(tmp_path / "k") as base:
        assert (base.search("x"), base.documents(), base.is_empty(), base.remove_all(["x"])) == (
            [],
            [],
            True,
            0,
        )
    assert not list(tmp_path.iterdir())


def test_it_is_there_after_a_restart_and_for_another_process(tmp_path: Path) -> None:
    with KnowledgeBase(tmp_path / "k", now_s=lambda: 1.5) as one, KnowledgeBase(tmp_path / "k") as other:
        one.add(CAR.encode(), "car.md")
        assert other.search("battery")
        other.remove("car.md")
        assert one.search("battery") == []
        one.add(CAR.encode(), "car.md")
    with KnowledgeBase(tmp_path / "k") as again:
        (document,) = again.documents()
        assert (document.title, document.chunks, document.added_s) == ("The Aurora", 3, 1.5)


def test_many_threads_at_once(base: KnowledgeBase) -> None:
    def work(number: int) -> int:
        base.add(f"# Number {number}\n\nCommon words and word{number}.".encode(), f"{number % 10}.md")
        base.search(f"word{number}")
        return len(base.documents())

    with ThreadPoolExecutor(16) as pool:
        assert max(pool.map(work, range(60))) == 10
    assert len(names(base)) == 10
    assert len(base.search("common", 50)) == 10


def test_who_reads_does_not_wait_for_who_writes(tmp_path: Path) -> None:
    with KnowledgeBase(tmp_path / "k") as base:
        base.add(CAR.encode(), "car.md")
        with base._file.writing() as connection:
            connection.execute("DELETE FROM chunks")
            found: list[int] = []
            reader = threading.Thread(target=lambda: found.append(len(base.search("battery"))))
            reader.start()
            reader.join(10)
            assert found == [1]


def test_a_failed_document_leaves_what_was_there(base: KnowledgeBase) -> None:
    base.add(b"first words", "x.md")
    with pytest.raises(UnreadableDocument):
        base.add(b"%PDF-nonsense", "x.md")
    assert base.search("first")


def test_a_newer_format_is_not_touched(tmp_path: Path) -> None:
    with KnowledgeBase(tmp_path / "k") as base:
        base.add(b"x", "x.md")
    connection = sqlite3.connect(tmp_path / "k")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with KnowledgeBase(tmp_path / "k") as base, pytest.raises(KnowledgeError, match="newer version"):
        base.search("x")


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to be looked at" * 40, b"SQLite format 3\0" * 99]
)
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "k").write_bytes(content)
    with KnowledgeBase(tmp_path / "k") as base, pytest.raises(KnowledgeError, match="is no knowledge base"):
        base.add(b"x", "x.md")
    assert (tmp_path / "k").read_bytes() == content


def test_another_database_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "k")
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    with KnowledgeBase(tmp_path / "k") as base, pytest.raises(KnowledgeError, match="another database"):
        base.documents()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with KnowledgeBase(tmp_path / "no" / "k") as base, pytest.raises(KnowledgeError, match="cannot be used"):
        base.add(b"x", "x.md")


def test_closed_is_closed(base: KnowledgeBase) -> None:
    base.add(b"x", "x.md")
    base.close()
    base.close()
    with pytest.raises(KnowledgeError, match="closed"):
        base.search("x")


def test_they_are_counted(base: KnowledgeBase) -> None:
    assert base.count() == 0
    base.add(b"one", "a.md")
    base.add(b"two", "b.md")
    assert base.count() == 2 == len(base.documents())


@pytest.mark.parametrize(
    "name", ["..", ".", "../../etc/passwd", "/abs", "a/../b", "a/./b", "a/..", "..\\x", "/"]
)
def test_a_path_is_no_name(base: KnowledgeBase, name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        base.add(b"text", name)
    assert caught.value.field == "name"
    assert base.add(b"text", "guide/v1..2/...md").document == "guide/v1..2/...md"
