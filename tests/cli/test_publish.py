"""`runcast publish`: through a server or straight on the log, one event or a file of them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.support.commands import Run
from tests.support.process import RUNCAST, clean_env
from tests.support.server import WAIT_S, ThreadServer, wait_until

from runcast.log.open import open_log

NDJSON = b'{"type":"a","id":"1"}\n{"type":"b"}\n\n{"type":"c","data":{"n":3}}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadServer]:
    with ThreadServer(tmp_path_factory.mktemp("log") / "log.db") as server:
        yield server


@pytest.fixture(params=["server", "log"])
def place(request: pytest.FixtureRequest, server: ThreadServer, log: Path) -> list[str]:
    """The options for a server, and for a log without one."""
    return ["--url", server.url()] if request.param == "server" else ["--log", str(log)]


def types(run: Run, stream: str, place: list[str]) -> list[str]:
    return [event["type"] for event in run("show", stream, "--json", "--last", "256", *place).json[0]["last"]]


def test_one_event(run: Run, place: list[str]) -> None:
    given = [
        "publish",
        "job:one",
        "step",
        "--data",
        '{"n": 1}',
        "--id",
        "x",
        "--time",
        "2026-01-31T12:00:00Z",
    ]
    first = run(*given, *place)
    assert (first.code, first.err) == (0, "")
    assert first.out.startswith("Event 1 of job:one  ")
    assert "as event 1" in run(*given, *place).out
    (receipt,) = run(*given, "--json", *place).json
    assert (receipt["duplicates"], receipt["last_seq"]) == (1, 1)
    (event,) = run("show", "job:one", "--json", *place).json[0]["last"]
    assert (event["id"], event["data"], event["time"]) == ("x", {"n": 1}, "2026-01-31T12:00:00.000Z")


def test_an_event_that_breaks_a_rule_is_told_without_words_of_the_protocol(
    run: Run, place: list[str]
) -> None:
    line = run("publish", "session:x", "t", "--data", '{"cost_tokens": "no"}', *place).complaint(code=2)
    assert line.startswith("cost_tokens: ")
    assert "body" not in run("publish", "a:b", "t", "--time", "noon", *place).complaint(code=2)


def test_a_file_and_stdin(run: Run, place: list[str], tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(NDJSON)
    stored = run("publish", "job:file", "--file", str(file), *place)
    assert (stored.code, stored.err) == (0, "")
    assert stored.out.startswith("3 events published to job:file  ")
    again = run("publish", "job:file", *place, stdin=NDJSON)
    assert again.out.startswith("2 events published to job:file, 1 there before  ")
    (tally,) = run("publish", "job:file", "--file", "-", "--json", *place, stdin=NDJSON).json
    assert (tally["lines"], tally["stored"], tally["duplicates"]) == (4, 2, 1)
    assert types(run, "job:file", place) == ["a", "b", "c", "b", "c", "b", "c"]


def test_the_first_bad_line_ends_it_and_is_named(run: Run, place: list[str]) -> None:
    lines = NDJSON + b"\nnope\n" + b'{"type":"d"}'
    line = run("publish", "job:bad", *place, stdin=lines).complaint(code=1)
    assert line.startswith("line 5: not valid JSON")
    assert line.endswith("3 events before that are published.")
    assert types(run, "job:bad", place) == ["a", "b", "c"]


def test_bad_lines_can_be_left_out(run: Run, place: list[str]) -> None:
    lines = b'{"type":"a"}\n{"typ":"b"}\n{"type":"c","data":3}\n{"type":"d"}\n'
    ended = run("publish", "job:some", "--keep-going", *place, stdin=lines)
    assert ended.code == 1
    assert [line.split(":")[1] for line in ended.err.splitlines()] == [" line 2", " line 3"]
    assert ended.out.startswith("2 events published to job:some, 2 refused")
    assert types(run, "job:some", place) == ["a", "d"]


def test_a_file_that_is_not_there_is_one_line(run: Run, log: Path) -> None:
    assert "nowhere.ndjson" in run("publish", "a:b", "--file", "nowhere.ndjson").complaint(code=1)
    assert not log.exists()


def test_what_tail_prints_can_be_published_elsewhere(run: Run, log: Path) -> None:
    run("publish", "job:from", stdin=NDJSON)
    printed = run("tail", "job:from", "--after", "start", "--limit", "3", "--json")
    copied = run("publish", "job:to", stdin=printed.out.encode())
    assert copied.out.startswith("3 events published to job:to")
    assert types(run, "job:to", []) == ["a", "b", "c"]


def test_what_comes_slowly_is_published_as_it_comes(log: Path) -> None:
    command = [*RUNCAST, "publish", "job:slow", "--log", str(log)]
    with subprocess.Popen(
        command, env=clean_env(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        process.stdin.write('{"type":"a"}\n')
        wait_until(log.exists)
        reader = open_log(log)
        wait_until(lambda: reader.info("job:slow").head == 1, "the first event")
        process.stdin.write('{"type":"b"}\n{"type":')
        wait_until(lambda: reader.info("job:slow").head == 2, "the second event")
        output, _ = process.communicate('"c"}', timeout=WAIT_S)
        assert reader.info("job:slow").head == 3
        reader.close()
    assert output.startswith("3 events published")


def test_many_events_go_in_batches(run: Run, place: list[str]) -> None:
    lines = b"".join(msgspec.json.encode({"type": f"t{number}"}) + b"\n" for number in range(1_700))
    (tally,) = run("publish", "job:many", "--json", *place, stdin=lines).json
    assert tally["stored"] == 1_700
    assert types(run, "job:many", place) == [f"t{number}" for number in range(1_444, 1_700)]
