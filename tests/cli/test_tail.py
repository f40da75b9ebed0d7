"""`runcast tail`: what it prints, what it survives, and how it ends."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.commands import Run
from tests.support.process import RUNCAST, ServeProcess, clean_env, start_process
from tests.support.server import WAIT_S

from runcast.cli.lines import LinePrinter, ago, duration, line_of
from runcast.cli.output import clean
from runcast.client.blocking import Client
from runcast.log.open import open_log


@contextmanager
def tailing(*arguments: str) -> Generator[subprocess.Popen[str]]:
    process = start_process([*RUNCAST, "tail", *arguments], clean_env())
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=WAIT_S)


def take(process: subprocess.Popen[str], count: int) -> list[str]:
    """The types of the next events that it prints as JSON."""
    import json

    assert process.stdout is not None
    return [json.loads(process.stdout.readline())["type"] for _ in range(count)]


def test_through_a_restart_of_the_server_nothing_is_missing_or_twice(log: Path) -> None:
    with ServeProcess(log) as server, Client(server.url(), patience_s=20) as client:
        options = ["--after", "start", "--json", "--url", server.url()]
        with tailing("job:a", "job:b", *options) as both, tailing("*", *options) as firehose:
            client.publish("job:a", [{"type": "a0"}])
            assert take(both, 1) == take(firehose, 1) == ["a0"]
            server.kill()
            server.start()
            for number in range(1, 4):
                client.publish("job:a", [{"type": f"a{number}"}])
            assert take(both, 3) == ["a1", "a2", "a3"]
            server.terminate()
            server.start()
            client.publish("job:b", [{"type": "b0"}])
            assert take(both, 1) == ["b0"]
            both.send_signal(signal.SIGINT)
            rest, complaints = both.communicate(timeout=WAIT_S)
            assert (rest, both.returncode) == ("", 130)
            assert "connected again" in complaints
            assert "Traceback" not in complaints
            assert take(firehose, 4) == ["a1", "a2", "a3", "b0"]


def test_straight_on_the_log_while_another_process_appends(run: Run, log: Path) -> None:
    open_log(log).close()
    with tailing("job:*", "--after", "start", "--json", "--log", str(log)) as process:
        for number in range(3):
            assert run("publish", f"job:{number}", f"t{number}").code == 0
            assert take(process, 1) == [f"t{number}"]
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=WAIT_S) == ("", "")
        assert process.returncode == 130


def test_it_ends_when_its_streams_have_ended(run: Run, log: Path) -> None:
    run("publish", "job:1", "a")
    with_log = open_log(log)
    with_log.end("job:1")
    with_log.close()
    ended = run("tail", "job:1", "--after", "start", "--json")
    assert (ended.code, [event["type"] for event in ended.json]) == (0, ["a"])
    assert ended.err == "runcast: job:1: has ended.\n"


def test_what_is_not_kept_any_more_is_said(run: Run, log: Path) -> None:
    run("publish", "job:1", stdin=b'{"type":"a"}\n{"type":"b"}\n{"type":"c"}\n')
    owner = open_log(log)
    first = owner.read("job:1", limit=1).cursor
    owner.trim("job:1", keep=1)
    owner.close()
    ended = run("tail", "job:1", "--after", str(first), "--json", "--limit", "1")
    assert [event["type"] for event in ended.json] == ["c"]
    assert ended.err == "runcast: job:1: events 2 to 2 are not kept any more.\n"


def test_filters_by_options_and_as_json(run: Run) -> None:
    for tool, status in (("Bash", "completed"), ("Read", "error"), ("Bash", "error")):
        run(
            "publish",
            "session:s",
            "tool_result",
            "--data",
            f'{{"tool_name": "{tool}", "status": "{status}"}}',
        )
    run("publish", "session:s", "message")

    def tools(*options: str, limit: int) -> list[str | None]:
        ended = run("tail", "session:s", "--after", "start", "--json", "--limit", str(limit), *options)
        return [event["data"]["tool_name"] for event in ended.json]

    assert tools("--tool", "Bash", limit=2) == ["Bash", "Bash"]
    assert tools("--tool", "Bash", "--status", "error", limit=1) == ["Bash"]
    assert tools("--type", "message", "--type", "x", limit=1) == [None]
    assert tools("--filter", '{"statuses": ["error"]}', limit=2) == ["Read", "Bash"]


def test_a_line_for_people(run: Run) -> None:
    data = '{"tool_name": "Bash", "output_summary": "a\\nb\\u001b[31m", "cost_tokens": 1200, "status": "error", "execution_duration_seconds": 4.2}'
    run("publish", "session:s", "tool_result", "--data", data)
    (line,) = run("tail", "session:s", "--after", "start", "--limit", "1").out.splitlines()
    assert line.split("  ", 1)[1] == "tool_result   Bash  error  4.20 s  1,200 tokens  a b"
    (line,) = run("tail", "*", "--after", "start", "--limit", "1").out.splitlines()
    assert line.split()[1:3] == ["session:s", "tool_result"]


def test_no_control_character_reaches_a_terminal(run: Run) -> None:
    run("publish", "job:1", "t", "--data", '{"k\\u009b": "\\u001b]0;x\\u0007 \\u009b31m \\u202e"}')
    plain = run("tail", "job:1", "--after", "start", "--limit", "1").out
    as_json = run("tail", "job:1", "--after", "start", "--limit", "1", "--json")
    shown = run("show", "job:1").out
    for text in (plain, as_json.out, shown):
        assert not any(c in text for c in "\x1b\x07\x9b")
    assert as_json.json[0]["data"] == {"k\x9b": "\x1b]0;x\x07 \x9b31m \u202e"}


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_on_a_terminal_only(run: Run, log: Path, env: dict[str, str], coloured: bool) -> None:
    run("publish", "job:1", "error", "--data", '{"text": "' + "long " * 100 + '"}')
    main, terminal = pty.openpty()
    command = [*RUNCAST, "tail", "job:1", "--after", "start", "--limit", "1", "--log", str(log)]
    environ = {**clean_env(), "TERM": "xterm-256color", "COLUMNS": "80", **env}
    environ = {name: value for name, value in environ.items() if name != "NO_COLOR" or "NO_COLOR" in env}
    process = subprocess.Popen(command, env=environ, stdout=terminal, stderr=subprocess.DEVNULL)
    os.close(terminal)
    assert process.wait(WAIT_S) == 0
    shown = os.read(main, 10_000).decode()
    os.close(main)
    assert ("\x1b[1;31m" in shown) == coloured
    assert len(shown.splitlines()) == 1
    assert "\x1b" not in run("tail", "job:1", "--after", "start", "--limit", "1").out


def test_a_reader_that_goes_away_ends_it_cleanly(run: Run, log: Path) -> None:
    run("publish", "job:1", "a")
    with tailing("job:1", "--after", "start", "--json", "--log", str(log)) as process:
        assert take(process, 1) == ["a"]
        assert process.stdout is not None
        process.stdout.close()  # nothing more is published: it must notice by itself
        assert process.wait(WAIT_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.stdout = None


def test_times_in_words() -> None:
    shown = [duration(seconds) for seconds in (0.0001, 0.0034, 0.9996, 4.2, 59.999, 125, 7_500)]
    assert shown == ["<1 ms", "3 ms", "1.00 s", "4.20 s", "1 m 00 s", "2 m 05 s", "2 h 05 m"]
    now = datetime(2026, 1, 2, tzinfo=UTC)
    told = [
        ago(f"2026-01-{when}Z", now) for when in ("02T00:00:00", "01T23:59:30", "01T23:58:00", "01T20:00:00")
    ]
    assert told == ["now", "30 s ago", "2 m ago", "4 h ago"]


def test_a_printed_line_is_bounded() -> None:
    import io

    from rich.console import Console

    out = io.StringIO()
    printer = LinePrinter(with_stream=False, out=Console(file=out))
    printer.print(
        {"time": "2026-01-01T00:00:00Z", "type": "x", "stream": "a:b", "data": {"t": "x" * 100_000}}
    )
    assert len(out.getvalue()) < 600


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1mDefault\x1b[0;39m \x9b31mred", "Default red"),
        ("\x1b]0;title\x07a \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "a link"),
        ("\x1bP1$q\x1b\\b\x1b(Bc", "bc"),
        ("\x1b]0;never ends", "0;never ends"),
        ("\x9d0;never ends", "\ufffd0;never ends"),
        ("lone \x1b", "lone \ufffd"),
        ("\x1b[", ""),
        ("50\u00a0% [1m stays", "50 % [1m stays"),
    ],
)
def test_escape_sequences_are_left_out_as_a_whole(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_what_a_tool_prints_cannot_take_long_to_clean() -> None:
    for text in ("\x9d" * 200_000, "\x1b]" * 100_000, "\x1b[" * 100_000, "\x1bP" + "x" * 200_000):
        assert "\x1b" not in clean(text)


def test_values_are_json_and_times_of_other_days_have_a_date() -> None:
    data = {"usage": {"input_tokens": 3, "of": [True, None]}, "n": 1.5, "text": "two words"}
    line = line_of({"time": "2026-02-11T12:00:00Z", "type": "usage", "data": data}, with_stream=False).plain
    assert line.startswith("2026-02-1")
    assert line.split("  ")[0].count(":") == 2
    assert line.endswith('usage={"input_tokens":3,"of":[true,null]} n=1.5 text=two words')
    now = datetime.now(UTC).isoformat()
    assert line_of({"time": now, "type": "x"}, with_stream=False).plain[2] == ":"


@pytest.mark.parametrize("through", ["server", "log"])
def test_a_stream_that_is_not_there_yet_is_waited_for_and_that_is_said(
    run: Run, log: Path, through: str
) -> None:
    run("publish", "job:here", "a")
    with ExitStack() as stack:
        server = stack.enter_context(ServeProcess(log)) if through == "server" else None
        place = ["--url", server.url()] if server else ["--log", str(log)]
        process = stack.enter_context(tailing("job:here", "job:later", "--json", *place))
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line == "runcast: job:later: there is no such stream so far; waiting for it.\n"
        run("publish", "job:later", "t")
        assert take(process, 1) == ["t"]
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=WAIT_S) == ("", "")


def test_a_log_that_is_not_there_is_not_made(run: Run, tmp_path: Path) -> None:
    assert "typo.db" in run("tail", "a:b", "--log", str(tmp_path / "typo.db")).complaint(code=1)
    assert not (tmp_path / "typo.db").exists()
