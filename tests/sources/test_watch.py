"""`runcast watch` as a process: into a log, into a server, killed at any moment, and told what cannot be."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import msgspec
import pytest
from tests.support.claude_code import called, long_copies, prompt
from tests.support.process import RUNCAST, ServeProcess, clean_env, run_runcast, start_process
from tests.support.server import WAIT_S, wait_until
from tests.support.transcript import LONG, transcript_path

from runcast.core.event import Event
from runcast.errors import StreamNotFound
from runcast.log.open import open_log

SESSION = LONG.removesuffix(".jsonl")


@contextmanager
def watching(*arguments: str | Path, env: dict[str, str] | None = None) -> Iterator[Popen[str]]:
    command = [*RUNCAST, "watch", *map(str, arguments)]
    process = start_process(command, {**clean_env(), **(env or {})})
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=WAIT_S)


def stored(log: Path, session: str) -> list[Event]:
    """All events of a session, in order."""
    opened = open_log(log)
    try:
        page = opened.read(f"session:{session}", None)
        events = list(page.events)
        while not page.complete:
            page = opened.read(f"session:{session}", page.cursor)
            events += page.events
        return events
    except StreamNotFound:
        return []
    finally:
        opened.close()


def spent(events: list[Event]) -> int:
    return sum(msgspec.json.decode(event.data)["cost_tokens"] for event in events)


def test_once_tells_what_is_there_and_a_second_time_nothing(tmp_path: Path) -> None:
    folder, log = transcript_path().parent, tmp_path / "log.db"
    first = run_runcast("watch", str(folder), "--once", "--log", str(log))
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith(f"Watching {folder} into {log}\nUp to date: 5 files read, ")
    events = stored(log, SESSION)
    assert len({event.id for event in events}) == len(events) > 400
    second = run_runcast("watch", str(folder), "--once", "--log", str(log))
    assert "Up to date: 0 files read, 0 events" in second.stdout
    assert stored(log, SESSION) == events


def test_it_follows_until_it_is_told_to_end(tmp_path: Path) -> None:
    file, log = tmp_path / "p" / "s1.jsonl", tmp_path / "log.db"
    file.parent.mkdir()
    file.write_text(prompt(1))
    with watching(file.parent, "--log", log) as process:
        wait_until(lambda: [event.id for event in stored(log, "s1")] == ["u1:0"])
        with file.open("a") as more:
            more.write(called(2))
        wait_until(lambda: [event.id for event in stored(log, "s1")] == ["u1:0", "toolu_2"])
        process.send_signal(signal.SIGTERM)
        output, complaints = process.communicate(timeout=WAIT_S)
    assert (process.returncode, complaints) == (0, "")
    assert output.splitlines()[-1] == "Stopped, after 1 more event"


@pytest.mark.timeout(180)
def test_killed_again_and_again_it_tells_everything_once(tmp_path: Path) -> None:
    folder, log = tmp_path / "p", tmp_path / "log.db"
    folder.mkdir()
    calls = long_copies(folder, 12)
    kills = 0
    for wanted in range(400, 4_800, 800):
        with watching(folder, "--log", log) as process:
            wait_until(lambda n=wanted: len(stored(log, "long")) >= n or process.poll() is not None)
            os.killpg(process.pid, signal.SIGKILL)
            kills += process.wait(WAIT_S) == -signal.SIGKILL
    assert kills == 6
    done = run_runcast("watch", str(folder), "--once", "--log", str(log))
    assert done.returncode == 0, done.stderr
    killed = stored(log, "long")
    whole_log = tmp_path / "whole.db"
    run_runcast("watch", str(folder), "--once", "--log", str(whole_log))
    whole = stored(whole_log, "long")
    assert [event.id for event in killed] == [event.id for event in whole]
    assert max(Counter(event.id for event in killed).values()) == 1
    assert sum(event.type == "tool_call" for event in killed) == calls
    assert [event.data for event in killed] == [event.data for event in whole]


def test_it_can_tell_a_server_beside_the_hooks(tmp_path: Path) -> None:
    folder, data = tmp_path / "p", {"XDG_DATA_HOME": str(tmp_path / "data")}
    folder.mkdir()
    (folder / "s1.jsonl").write_text(prompt(1) + called(2, tokens=7) + called(3, tokens=11))
    with ServeProcess(tmp_path / "log.db") as server:
        hook = {"event_type": "tool_call", "event_id": "toolu_2", "source": "hook", "tool_name": "Bash"}
        server.post("s1", hook)
        for _ in range(2):
            done = run_runcast("watch", str(folder), "--once", "--url", server.url(), env=data)
            assert (done.returncode, done.stderr) == (0, "")
        server.terminate()
    events = stored(tmp_path / "log.db", "s1")
    assert [event.id for event in events] == ["toolu_2", "u1:0", "toolu_3", "toolu_2:usage"]
    assert spent(events) == 18


def test_a_server_that_goes_away_and_comes_back_misses_nothing(tmp_path: Path) -> None:
    file, data = tmp_path / "p" / "s1.jsonl", {"XDG_DATA_HOME": str(tmp_path / "data")}
    file.parent.mkdir()
    file.write_text(prompt(1))
    log = tmp_path / "log.db"
    server = ServeProcess(log)
    with server, watching(file.parent, "--url", server.url(), env=data):
        wait_until(lambda: len(stored(log, "s1")) == 1)
        server.kill()
        with file.open("a") as more:
            more.write(called(2))
        server.start()
        wait_until(lambda: [event.id for event in stored(log, "s1")] == ["u1:0", "toolu_2"])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{tmp}/none"], 1, "path: there is no {tmp}/none. Name a folder of transcripts, or a .jsonl file."),
        (["{tmp}/notes.txt"], 1, "path: {tmp}/notes.txt is no transcript; those are .jsonl files."),
        ([], 1, "path: there is no {tmp}/projects: Claude Code has not run here. Name the folder of its"),
        (["{tmp}", "--since", "soon"], 2, "--since: 'soon' is no span of time; examples are 7d, 12h, 30m."),
        (["{tmp}", "--log", "memory:"], 1, "log: one in memory belongs to its own process."),
        (["{tmp}", "--log", "x", "--url", "http://h"], 2, "--url and --log: choose one"),
        (["{tmp}", "--url", "http://127.0.0.1:1"], 1, "http://127.0.0.1:1"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "notes.txt").touch()
    filled = [argument.format(tmp=tmp_path) for argument in arguments]
    done = run_runcast("watch", *filled, env={"CLAUDE_CONFIG_DIR": str(tmp_path)})
    assert done.returncode == code
    assert message.format(tmp=tmp_path) in done.stderr
    assert done.stderr.startswith("runcast: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
