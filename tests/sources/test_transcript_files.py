"""Reading one transcript file on, and how far it was read: whole lines only, and only of the same file."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.support.claude_code import answered, called, prompt
from tests.support.transcript import LONG, transcript_path

from runcast.kinds.base import Publish
from runcast.sources.claude_code import positions, reading
from runcast.sources.claude_code.positions import Place, Position, Positions
from runcast.sources.claude_code.reading import Reading, Whose
from runcast.sources.claude_code.transcript import Transcript
from runcast.sources.claude_code.tree import MAX_WARM, Found, Tree


def no_main(path: str) -> Transcript:
    return Transcript("nobody")


def begin(path: Path, place: Place | None = None) -> Reading:
    position = msgspec.json.decode(place.json, type=Position) if place else Position(str(path))
    return Reading(position, no_main)


def all_of(one: Reading, chunk_bytes: int) -> list[Publish]:
    events: list[Publish] = []
    before = -1
    while one.offset != before:
        before = one.offset
        events += one.read(chunk_bytes)
    return events


@pytest.mark.parametrize("chunk_bytes", [1_000, 65_536, 10_000_000])
def test_the_size_of_a_piece_changes_nothing(chunk_bytes: int) -> None:
    path = transcript_path(LONG)
    transcript = Transcript(path.stem)
    expected = [event for one in path.read_bytes().split(b"\n") for event in transcript.feed(one)]
    one = begin(path)
    assert all_of(one, chunk_bytes) == expected
    assert one.offset == path.stat().st_size


def test_going_on_from_a_place_after_any_piece_tells_the_same(tmp_path: Path) -> None:
    path = transcript_path(LONG)
    expected = all_of(begin(path), 10_000_000)
    events: list[Publish] = []
    place: Place | None = None
    while place is None or place.offset < path.stat().st_size:
        one = begin(path, place)
        events += one.read(20_000)
        place = one.place()
    assert events == expected


def test_a_line_beyond_all_measure_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_LINE_BYTES", 8_000)
    path = tmp_path / "s1.jsonl"
    path.write_text(prompt(1) + prompt(2, "x" * 50_000) + prompt(3))
    one = begin(path)
    assert [event.id for event in all_of(one, 1_000)] == ["u1:0", "u3:0"]
    assert one.transcript.garbage == 1
    assert one.offset == path.stat().st_size


def test_a_place_in_another_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "s1.jsonl"
    path.write_text(prompt(1) + prompt(2))
    one = begin(path)
    all_of(one, 1_000)
    place = one.place()
    path.write_text(prompt(1) + prompt(5) + prompt(6))
    resumed = begin(path, place)
    assert [event.id for event in all_of(resumed, 1_000)] == ["u1:0", "u5:0", "u6:0"]
    assert resumed.restarts == 1


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/p/-home/1-2.jsonl", Whose("1-2")),
        ("/p/-home/1-2/subagents/agent-a7.jsonl", Whose("1-2", "a7", "/p/-home/1-2.jsonl")),
        ("/p/-home/1-2/subagents/workflows/w/agent-a7.jsonl", Whose("1-2", "a7", "/p/-home/1-2.jsonl")),
        ("/p/-home/agent-a7.jsonl", Whose("a7", "a7")),
    ],
)
def test_a_files_name_says_whose_it_is(path: str, expected: Whose) -> None:
    assert Whose.of(path) == expected


# --- places -----------------------------------------------------------------------------------------------


def put(places: Positions, path: str, offset: int) -> None:
    places.put(Place.of(Position(path, offset, b"head", b"tail")))


def test_places_are_kept_from_run_to_run(tmp_path: Path) -> None:
    journal = tmp_path / "new" / "places"
    places = Positions(journal, "log-1")
    put(places, "/a", 5)
    put(places, "/b", 6)
    places.save()
    put(places, "/a", 9)
    places.save()
    again = Positions(journal, "log-1")
    assert (again.offset("/a"), again.offset("/b"), again.offset("/c")) == (9, 6, 0)
    assert again.get("/a") == Position("/a", 9, b"head", b"tail")
    assert again.get("/c") == Position("/c")
    assert Positions(journal, "log-2").offset("/a") == 0


@pytest.mark.parametrize(
    "damage", [b'{"path":"/b","off', b"\xff\xff", b"{}\n[]\n", b'{"path":"/b","offset":"x"}\n']
)
def test_a_damaged_line_costs_its_own_place_only(tmp_path: Path, damage: bytes) -> None:
    journal, path = tmp_path / "places", str(tmp_path)
    places = Positions(journal)
    put(places, path, 5)
    places.save()
    with journal.open("ab") as file:
        file.write(damage)
    again = Positions(journal)
    assert (again.offset(path), again.offset("/b")) == (5, 0)
    put(again, "/c", 7)
    again.save()
    assert [Positions(journal).offset(name) for name in (path, "/b", "/c")] == [5, 0, 7]


def test_a_state_of_another_version_is_a_file_to_be_read_again(tmp_path: Path) -> None:
    journal = tmp_path / "places"
    places = Positions(journal)
    put(places, "/a", 5)
    places.save()
    journal.write_bytes(journal.read_bytes().replace(b'"path":"/a"', b'"path":"/a","state":{"told":7}'))
    assert Positions(journal).get("/a") == Position("/a")


def test_the_journal_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions, "SPARE_BYTES", 1_000)
    kept = tmp_path / "kept.jsonl"
    kept.touch()
    places = Positions(tmp_path / "places")
    put(places, "/gone", 1)
    for offset in range(1_000):
        put(places, str(kept), offset)
        places.save()
    assert (tmp_path / "places").stat().st_size < 3_000
    again = Positions(tmp_path / "places")
    assert (again.offset(str(kept)), again.offset("/gone")) == (999, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.jsonl", "places"]


def test_a_journal_that_cannot_be_written_is_only_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    places = Positions(tmp_path / "places")
    places.path = tmp_path / "file" / "places"  # its folder has become a file
    put(places, "/a", 5)
    places.save()
    assert "cannot save" in caplog.text


# --- the folder ---------------------------------------------------------------------------------------------


def names(found: list[Found]) -> list[str]:
    return sorted(Path(file.path).name for file in found)


def test_a_glance_sees_what_changes_where_something_is_in_use(tmp_path: Path) -> None:
    first, second = tmp_path / "p" / "s1.jsonl", tmp_path / "p" / "s2.jsonl"
    first.parent.mkdir()
    first.write_text(prompt(1))
    (tmp_path / "p" / "notes.txt").touch()
    tree = Tree(tmp_path)
    assert names(tree.scan()) == ["s1.jsonl"]
    assert tree.scan() == []
    tree.warm([str(first)])
    tree.glance()
    assert tree.glance() == []
    with first.open("a") as file:
        file.write(called(2))
    second.write_text(prompt(1))
    assert names(tree.glance()) == ["s1.jsonl", "s2.jsonl"]
    agents = tmp_path / "p" / "s1" / "subagents"
    agents.mkdir(parents=True)
    tree.glance()
    (agents / "agent-a.jsonl").write_text(answered(3, 2))
    assert names(tree.glance() + tree.scan()) == [
        "agent-a.jsonl"
    ]  # within one tick of the clock, by the scan
    first.unlink()
    assert tree.glance() == []
    tree.scan()
    assert tree.files == 2


def test_only_so_many_files_are_looked_at_often(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.jsonl" for n in range(MAX_WARM + 1)]
    for path in paths:
        path.touch()
    tree = Tree(tmp_path)
    tree.scan()
    tree.warm([str(path) for path in paths])
    tree.glance()
    for path in (paths[0], paths[-1]):
        path.write_text(prompt(1))
    assert names(tree.glance()) == [paths[-1].name]
    assert names(tree.scan()) == [paths[0].name]


def test_links_to_folders_and_what_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "broken.jsonl").symlink_to(tmp_path / "nothing")
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "s1.jsonl").write_text(prompt(1))
    assert names(Tree(tmp_path).scan()) == ["s1.jsonl"]
