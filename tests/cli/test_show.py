"""`runcast streams` and `runcast show`, through a server and straight on the log, in the same words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands import Ended, Run
from tests.support.server import ThreadServer

from runcast.client.blocking import Client
from runcast.log.open import open_log

EVENTS: list[dict[str, Any]] = [
    {"type": "user_prompt", "data": {"agent_id": "claude-code", "input_summary": "Mend the \x1b[31mtests"}},
    {"type": "tool_call", "id": "c1", "data": {"tool_name": "Bash", "status": "started", "cost_tokens": 120}},
    {
        "type": "tool_result",
        "id": "c1:result",
        "data": {
            "tool_name": "Bash",
            "parent_event_id": "c1",
            "status": "completed",
            "execution_duration_seconds": 2.5,
            "model": "m-1",
            "cost_tokens": 80,
            "usage": {"input_tokens": 9000},
        },
    },
    {"type": "error", "data": {"tool_name": "Read", "status": "error", "execution_duration_seconds": 0.004}},
    {"type": "tool_call", "id": "c2", "data": {"tool_name": "Grep", "status": "started"}},
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadServer]:
    with ThreadServer(tmp_path_factory.mktemp("log") / "log.db") as server:
        with Client(server.url()) as client:
            client.publish("session:s", EVENTS)
            client.publish("job:1", [{"type": "step", "data": {"n": 1}}])
            client.publish("job:2", [{"type": "step"}])
        server.run(server.bus.end("job:2"))
        yield server


@pytest.fixture(params=["server", "log"])
def ask(request: pytest.FixtureRequest, server: ThreadServer, run: Run) -> Run:
    """Runs a command on the one log, through its server or not."""
    place = ["--url", server.url()] if request.param == "server" else ["--log", server.bus.log.url]

    def ask(*arguments: str) -> Ended:
        ended = run(*arguments, *place)
        assert (ended.code, ended.err) == (0, "")
        return ended

    return ask


def test_streams_are_listed(ask: Run) -> None:
    rows = [line.split() for line in ask("streams").out.splitlines() if ":" in line]
    assert sorted(row[:3] for row in rows) == [
        ["job:1", "1", "open"],
        ["job:2", "1", "ended"],
        ["session:s", "5", "open"],
    ]
    assert [info["stream"] for info in ask("streams", "--json").json] == ["job:1", "job:2", "session:s"]
    assert [info["head"] for info in ask("streams", "--kind", "session", "--json").json] == [5]
    assert ask("streams", "--kind", "plan").out.startswith("No streams of kind plan in ")


def test_a_session_is_shown(ask: Run) -> None:
    shown = ask("show", "session:s").out
    for words in (
        "session:s, open",
        "Mend the tests",
        "200 tokens, 9,000 input",
        "2 tool calls, 1 running",
        "running calls",
        "tokens by tool",
        "tokens by model",
        "slowest calls",
        "2.50 s",
        "last events",
    ):
        assert words in shown
    assert "\x1b" not in shown
    running = shown.split("running calls")[1].split("tokens by")[0]
    assert [line.split()[:2] for line in running.splitlines() if "Grep" in line] == [["Grep", "unknown"]]


def test_a_session_as_json(ask: Run) -> None:
    (found,) = ask("show", "session:s", "--json", "--last", "2").json
    assert found["totals"]["tokens"]["cost_tokens"] == 200
    assert [call["tool_name"] for call in found["bottlenecks"]["running"]] == ["Grep"]
    assert [event["seq"] for event in found["last"]] == [4, 5]
    assert found["stream"] == "session:s"


def test_other_streams_are_shown_by_their_last_events(ask: Run) -> None:
    shown = ask("show", "job:1").out
    assert "job:1, open" in shown
    assert "n=1" in shown
    assert "job:2, ended" in ask("show", "job:2", "--last", "0").out


def test_server_and_log_agree(run: Run, server: ThreadServer) -> None:
    places = ["--url", server.url()], ["--log", server.bus.log.url]
    for name in ("session:s", "job:2"):
        by_server, by_log = (run("show", name, "--json", *place).json[0] for place in places)
        for found in (by_server, by_log):
            found.pop("live_subscribers", None)
            for call in found.get("bottlenecks", {}).get("running", []):
                call.pop("elapsed_seconds")
        assert by_server == by_log


def test_what_is_not_there_is_one_line(run: Run, server: ThreadServer) -> None:
    for place in (["--url", server.url()], ["--log", server.bus.log.url]):
        for name in ("session:none", "job:none"):
            assert "There is no" in run("show", name, *place).complaint(code=1)


def test_a_trimmed_stream_says_how_much_is_kept(run: Run, log: Path) -> None:
    run("publish", "job:t", stdin=b'{"type":"a"}\n' * 5)
    owner = open_log(log)
    owner.trim("job:t", keep=2)
    owner.close()
    assert "2 kept of 5" in run("show", "job:t").out
    assert run("streams").out.split("job:t")[1].split()[0] == "2"


def test_times_are_those_of_the_events_not_of_their_import(run: Run) -> None:
    old = (
        b'{"type":"message","id":"%d","time":"2026-02-11T10:00:%02dZ","data":{"output_summary":"n%d"}}\n'
        % (n, n, n)
        for n in (1, 9, 5)
    )
    run("publish", "session:old", stdin=b"".join(old))
    run("publish", "job:old", "step", "--time", "2026-02-11T10:00:00Z")
    run("publish", "session:new", "message")
    shown = run("show", "session:old").out
    (latest,) = [line for line in shown.splitlines() if line.startswith("last one")]
    assert "2026-02-11T10:00:09.000Z" in latest
    assert latest.rstrip().endswith(" d ago")
    assert [line.split()[-1] for line in shown.split("last events")[1].splitlines()[1:]] == ["n1", "n5", "n9"]
    assert " d ago" in run("show", "job:old").out
    rows = [line.strip() for line in run("streams").out.splitlines() if ":" in line]
    assert rows[-1].startswith("session:old")
    assert rows[-1].rstrip().endswith(" d ago")


def test_the_last_events_are_a_line_each(run: Run) -> None:
    for number in range(3):
        run("publish", "job:1", f"step{number}", "--data", '{"text": "' + "long " * 400 + '"}')
    lines = run("show", "job:1", "--last", "2").out.split("last events")[1].splitlines()[1:]
    assert [line.split()[1] for line in lines] == ["step1", "step2"]
    assert all(len(line) == 500 for line in lines)


def test_tokens_by_tool_sum_up(run: Run) -> None:
    def spend(tokens: int, **data: str) -> None:
        words = "".join(f', "{name}": "{value}"' for name, value in data.items())
        run("publish", "session:s", "message", "--data", f'{{"cost_tokens": {tokens}{words}}}')

    spend(70)
    for number in range(12):
        spend(100 + number, tool_name=f"T{number}", agent_id="a", model="m")
    shown = run("show", "session:s").out
    table = shown.split("tokens by tool")[1].split("tokens by model")[0]
    rows = [line.rsplit(None, 1) for line in table.splitlines() if line.strip()[:1] in {"T", "("}]
    assert [row[0].strip() for row in rows[-2:]] == ["(2 more)", "(no tool)"]
    assert rows[-1][1] == "70"
    assert sum(int(row[1].replace(",", "")) for row in rows) == 70 + sum(range(100, 112))
    assert "(no agent)" not in shown.split("tokens by agent")[1]


def test_one_of_something_is_no_plural(run: Run) -> None:
    run("publish", "session:s", "tool_call", "--id", "c", "--data", '{"tool_name": "Bash"}')
    shown = run("show", "session:s").out
    assert "1 tool call, 1 running" in shown


def test_one_call_took_what_it_took(run: Run) -> None:
    data = '{"tool_name": "Bash", "execution_duration_seconds": 1.07}'
    run("publish", "session:s", "tool_call", "--data", data)
    (row,) = [line for line in run("show", "session:s").out.splitlines() if "100%" in line]
    assert row.count("1.07 s") == 4


def test_the_file_itself_asks_for_no_key(run: Run, log: Path) -> None:
    run("publish", "session:s", "message", "--log", str(log))
    env = {"RUNCAST_LOCKED": "true"}
    assert run("show", "session:s", env=env).code == 0
    assert run("streams", env=env).out.splitlines()[3].startswith(" session:s")
    refused = run("show", "workflow:none", env=env).complaint(code=1)
    assert refused.startswith("There is no stream workflow:none in ")
