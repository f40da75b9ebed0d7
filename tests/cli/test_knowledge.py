"""`runcast knowledge`: on the file beside the log, and through a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.feeds.test_knowledge_rest import KnowledgeServer
from tests.support.commands import Run

from runcast.runners.knowledge import KnowledgeBase


@pytest.fixture
def server() -> Iterator[KnowledgeServer]:
    with KnowledgeBase(None) as knowledge, KnowledgeServer(knowledge) as server:
        yield server


@pytest.fixture(params=["server", "log"])
def place(request: pytest.FixtureRequest, server: KnowledgeServer, log: Path) -> list[str]:
    """The options for a server, and for a log without one."""
    return ["--url", server.url()] if request.param == "server" else ["--log", str(log)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "car.md").write_text("# Car\n\nThe battery holds 82 kWh.\n\n## Tyres\n\nInflate \x1b[31mthem.")
    (folder / "notes.txt").write_text("Notes about the radio.")
    return folder


def test_documents_are_added_listed_found_and_removed(run: Run, place: list[str], folder: Path) -> None:
    added = run("knowledge", "add", str(folder), *place)
    assert (added.code, added.out, added.err) == (0, "2 documents added in 3 chunks\n", "")
    again = run("knowledge", "add", str(folder), *place)
    assert again.out == "0 documents added, 2 unchanged\n"
    listed = run("knowledge", "list", *place).out
    assert [line.split()[0] for line in listed.splitlines()] == ["document", "docs/car.md", "docs/notes.txt"]
    found = run("knowledge", "search", "how", "large", "is", "the", "battery", "--limit", "1", *place)
    assert "docs/car.md  Car\n      The battery holds 82 kWh.\n" in found.out
    assert run("knowledge", "search", *place, "--limit", "1", "how", "large", "battery").out.endswith(
        " 82 kWh.\n"
    )
    gone = run("knowledge", "remove", "docs/car.md", *place)
    assert (gone.code, gone.out, gone.err) == (0, "", "docs/car.md is removed.\n")
    nothing = run("knowledge", "search", "battery", *place)
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "Nothing in the knowledge base matches.\n")
    assert "There is no document 'docs/car.md'" in run(
        "knowledge", "remove", "docs/car.md", *place
    ).complaint(code=1)


def test_as_json(run: Run, place: list[str], folder: Path) -> None:
    (report,) = run("knowledge", "add", str(folder / "car.md"), "--json", *place).json
    assert [one["document"] for one in report["added"]] == ["car.md"]
    assert (report["unchanged"], report["removed"], report["failed"]) == ([], [], [])
    (document,) = run("knowledge", "list", "--json", *place).json
    assert (document["name"], document["chunks"]) == ("car.md", 2)
    (passage,) = run("knowledge", "search", "tyres", "--json", *place).json
    assert (passage["source"], passage["number"]) == ("car.md", 2)
    (removed,) = run("knowledge", "remove", "car.md", "--json", *place).json
    assert removed == {"document": "car.md", "removed": True}
    assert run("knowledge", "list", "--json", *place).out == ""


def test_nothing_from_a_document_reaches_the_terminal_as_a_command(
    run: Run, place: list[str], folder: Path
) -> None:
    run("knowledge", "add", str(folder), *place)
    found = run("knowledge", "search", "inflate", *place).out
    assert "Inflate them." in found
    assert "\x1b" not in found


def test_what_cannot_be_read_is_told_and_stops_nothing(run: Run, place: list[str], folder: Path) -> None:
    (folder / "bad.pdf").write_bytes(b"%PDF-nonsense")
    (folder / "latin.txt").write_bytes("Grüße".encode("latin-1") + b" and so on, in words")
    added = run("knowledge", "add", str(folder), *place)
    assert added.code == 1
    assert added.out.startswith("3 documents added in 4 chunks, 1 not added")
    first, second = added.err.splitlines()
    assert "docs/bad.pdf" in first
    assert "this PDF is damaged" in first
    assert "docs/latin.txt: not valid UTF-8" in second


def test_a_folder_whose_files_are_gone(run: Run, folder: Path, log: Path) -> None:
    run("knowledge", "add", str(folder))
    (folder / "notes.txt").unlink()
    assert run("knowledge", "add", str(folder)).out == "0 documents added, 1 unchanged, 1 removed\n"
    told = run("tail", "system:events", "--after", "start", "--limit", "3", "--json").json
    assert [(event["type"], event["data"]["document"]) for event in told] == [
        ("knowledge_ingested", "docs/car.md"),
        ("knowledge_ingested", "docs/notes.txt"),
        ("knowledge_removed", "docs/notes.txt"),
    ]
    assert log.with_name(f"{log.name}.knowledge").exists()


def test_another_file_for_it(run: Run, folder: Path, tmp_path: Path) -> None:
    run("knowledge", "add", str(folder), env={"RUNCAST_KNOWLEDGE": str(tmp_path / "own")})
    assert (tmp_path / "own").exists()
    assert run("knowledge", "list").err.startswith("There are no documents; ")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["add"], 2, "PATH: which files or folders?"),
        (["add", "/nowhere"], 2, "PATH: there is no file or folder /nowhere"),
        (["search"], 2, "QUERY: what shall be looked for?"),
        (["search", "x", "--limit", "0"], 2, "--limit: an integer from 1 to 50"),
        (["remove"], 2, "NAME: which document?"),
        (["list", "x"], 2, "it takes no words"),
        (["forget", "x"], 2, "runcast knowledge --help"),
        (["list", "--log", "memory:"], 1, "Use its server"),
        (["list", "--log", "a.db", "--url", "http://localhost:1"], 2, "choose one"),
        (["list", "--url", "http://localhost:9"], 1, "Nobody answers at http://localhost:9"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_is_one_line(run: Run, arguments: list[str], code: int, words: str) -> None:
    assert words in run("knowledge", *arguments).complaint(code)
