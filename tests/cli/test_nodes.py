"""`runcast nodes`: who is there, as a server or the log alone tells it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.process import run_runcast
from tests.support.server import ThreadServer

from runcast.kinds.base import Publish, accept
from runcast.kinds.system import SYSTEM
from runcast.kinds.system_nodes import NODES
from runcast.log.sqlite import SqliteLog


def store(path: Path, *events: tuple[str, str, timedelta]) -> None:
    log, now = SqliteLog(path), datetime.now(UTC)
    for event_type, node_id, age in events:
        time_us = int((now - age).timestamp() * 1_000_000)
        data = {"node_id": node_id, "version": "1.2.3", "interval_s": 10.0, "load": {"memory_mb": 77.0}}
        publish = Publish(stream=NODES, type=event_type, data=data, time=time_us)
        log.append([accept(SYSTEM, publish, time_us, 65_536)])
    log.close()


def shown(*arguments: str, width: int = 160) -> str:
    return run_runcast("nodes", *arguments, env={"COLUMNS": str(width)}).stdout


def rows(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines() if "1.2.3" in line]


def test_a_server_alone_tells_of_itself(tmp_path: Path) -> None:
    with ThreadServer(tmp_path / "log.db") as server:
        found = json.loads(run_runcast("nodes", "--json", "--url", server.url()).stdout)
        node_id = server.get("/api/v1/nodes")["nodes"][0]["node_id"]
        assert ([node["node_id"] for node in found["nodes"]], found["shared"]) == ([node_id], False)
        assert node_id in shown("--url", server.url())
        server.post("s", {"event_type": "start"})  # so that there is a file
        alone = shown("--log", str(tmp_path / "log.db"))
    assert alone.startswith("No node has told of itself in sqlite://")
    assert alone.endswith("ask it, with --url.\n")


def test_the_log_tells_who_is_there_who_went_and_who_may_be_gone(tmp_path: Path) -> None:
    moment, day = timedelta(seconds=1), timedelta(days=1)
    store(
        tmp_path / "log.db",
        ("node_load", "killed", day),
        ("node_load", "here", moment),
        ("node_joined", "stopped", day),
        ("node_left", "stopped", moment),
        ("node_joined", "missed", day),
        ("node_lost", "missed", moment),
    )
    found = {words[0]: words[1:] for words in rows(shown("--log", str(tmp_path / "log.db")))}
    assert {name: words[0] for name, words in found.items()} == {
        "killed": "silent",
        "here": "up",
        "stopped": "left",
        "missed": "lost",
    }
    assert found["here"][-4:] == ["77", "MB", "0", "1.2.3"]
    assert found["stopped"][-1] == "1.2.3"


def test_what_a_stranger_has_stored_is_shown_harmlessly(tmp_path: Path) -> None:
    store(tmp_path / "log.db", ("node_joined", "[red]x[/red]", timedelta()))
    assert "[red]x[/red]" in shown("--log", str(tmp_path / "log.db"))


def test_a_narrow_terminal_shows_who_is_there_in_whole(tmp_path: Path) -> None:
    store(tmp_path / "log.db", ("node_load", "worker-7867-c91d10", timedelta(seconds=1)))
    lines = [line.rstrip() for line in shown("--log", str(tmp_path / "log.db"), width=80).splitlines()]
    (line,) = [line for line in lines if "worker-7867-c91d10" in line]
    assert line.split()[:2] == ["worker-7867-c91d10", "up"]
    assert "77 MB" in line
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
