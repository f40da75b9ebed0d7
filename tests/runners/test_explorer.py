"""The demo's agent: its tools stay in their folder, and its events make a valid session."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runcast.kinds.base import Publish, accept
from runcast.kinds.session import SESSION
from runcast.runners.explorer import GOALS, Explorer
from runcast.runners.explorer_tools import MAX_FILE_BYTES, ToolError, Tools


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small project, with things in it that are none of an agent's business."""
    root = tmp_path / "project"
    for name, text in {
        "README.md": "# A thing\n\nFor Node.js and node.js, see src/thing.py, docs/gone.md, path/to/x.py.\n",
        "src/thing.py": "import os\nimport json\n\n# TODO: mend this\ndef thing():\n    return os\n",
        "src/other.py": "from src.thing import thing\nimport os\n",
        "tests/test_thing.py": "def test_one():\n    pass\n\n\ndef test_two():\n    pass\n",
        "node_modules/x/index.js": "// TODO: not ours\n",
        ".env": "SECRET=1 # TODO\n",
        ".git-like/x.py": "# TODO\n",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "outside.py").write_text("# TODO: outside\n")
    (root / "link.py").symlink_to(tmp_path / "outside.py")
    (root / "up").symlink_to(tmp_path)
    (root / "blob.bin").write_bytes(b"\0TODO")
    (root / "big.txt").write_text("x" * (MAX_FILE_BYTES + 1_000))
    os.mkfifo(root / "pipe.txt")
    return root


class Listener:
    """Takes what the agent tells, by the rules of the session kind, and counts its pauses."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.pauses = 0
        self._stop_after = stop_after

    def publish(self, stream: str, event: dict[str, Any]) -> None:
        accept(SESSION, Publish(stream=stream, **event), 2**60, 256 * 1024)
        self.events.append((stream, event))

    def pause(self, seconds: float) -> bool:
        self.pauses += 1
        return self.pauses > self._stop_after

    def of_type(self, event_type: str) -> list[dict[str, Any]]:
        return [event for _, event in self.events if event["type"] == event_type]


def explore(folder: Path, sessions: int = 1) -> Listener:
    listener = Listener()

    def pause(seconds: float) -> bool:
        listener.pause(seconds)
        return len(listener.of_type("end")) == sessions

    Explorer(folder, listener.publish, pause).run()
    return listener


@pytest.mark.parametrize("number", range(len(GOALS)))
def test_a_session_is_whole_and_its_calls_are_paired(folder: Path, number: int) -> None:
    listener = explore(folder, sessions=number + 1)
    (stream,) = {stream for stream, _ in listener.events[-1:]}
    events = [event for of, event in listener.events if of == stream]
    types = [event["type"] for event in events]
    assert types[:2] == ["start", "user_prompt"]
    assert types[-2:] == ["completion", "end"]
    assert len({event["id"] for event in events}) == len(events)
    calls = {event["id"]: event["data"] for event in events if event["type"] == "tool_call"}
    results = {
        event["data"]["parent_event_id"]: event
        for event in events
        if event["type"] in {"tool_result", "error"}
    }
    assert calls.keys() == results.keys()
    for call_id, result in results.items():
        assert result["id"] == f"{call_id}:result"
        assert result["data"]["tool_name"] == calls[call_id]["tool_name"]
        assert result["data"]["agent_id"] == calls[call_id]["agent_id"]
        assert result["data"]["execution_duration_seconds"] > 0


def test_a_subagent_looks_at_the_tests_within_a_call(folder: Path) -> None:
    listener = explore(folder, sessions=2)
    delegations = listener.of_type("delegation")
    assert len({event["id"] for event in delegations}) == 2
    for delegation in delegations:
        agent = delegation["data"]["agent_id"]
        assert delegation["id"] == f"agent:{agent}"
        events = [event for _, event in listener.events]
        (call,) = [event for event in events if event["id"] == delegation["data"]["parent_event_id"]]
        assert (call["type"], call["data"]["tool_name"], call["data"]["agent_id"]) == (
            "tool_call",
            "Task",
            "explorer",
        )
        its = [event for event in events if event["data"]["agent_id"] == agent]
        assert its[0] is delegation
        own_calls = {event["id"] for event in its if event["type"] == "tool_call"}
        assert {event["data"]["parent_event_id"] for event in its[1:]} == own_calls | {delegation["id"]}
        assert its[-1]["data"]["output_summary"] == "1 file of tests; I saw 2 tests."
        (result,) = [event for event in events if event["id"] == f"{call['id']}:result"]
        order = [events.index(event) for event in (call, its[0], its[-1], result)]
        assert order == sorted(order)
        assert result["data"]["output_summary"] == its[-1]["data"]["output_summary"]


def test_what_the_main_agent_does_belongs_to_its_prompt(folder: Path) -> None:
    listener = explore(folder)
    (prompt,) = listener.of_type("user_prompt")
    own = [event for event in listener.of_type("tool_call") if event["data"]["agent_id"] == "explorer"]
    assert {event["data"]["parent_event_id"] for event in own} == {prompt["id"]}


def test_a_file_that_is_only_mentioned_is_a_real_error_and_is_announced(folder: Path) -> None:
    listener = explore(folder)
    (error,) = listener.of_type("error")
    assert error["data"]["output_summary"] == "docs/gone.md: there is no such file here."
    assert error["data"]["status"] == "error"
    said = [event["data"]["output_summary"] for event in listener.of_type("message")]
    assert any(text.startswith("README.md names docs/gone.md, which I have not seen.") for text in said)
    assert (
        "README.md names docs/gone.md, which is not there."
        in (listener.of_type("completion")[-1]["data"]["output_summary"])
    )


@pytest.mark.parametrize("number", range(len(GOALS)))
def test_a_session_is_long_enough_to_be_watched(folder: Path, number: int) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], ["add", "README.md", "src"], ["commit", "-qm", "First"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    listener = explore(folder, sessions=number + 1)
    stream = listener.events[-1][0]
    calls = [event for of, event in listener.events if of == stream and event["type"] == "tool_call"]
    assert 12 <= len(calls) <= 25
    errors = [event for of, event in listener.events if of == stream and event["type"] == "error"]
    assert len(errors) == (number == 0), "only the file that is not there"


def test_it_thinks_for_a_moment_between_its_steps_and_the_same_one_with_the_same_seed(folder: Path) -> None:
    def thoughts(seed: int) -> list[float]:
        paused: list[float] = []

        def pause(seconds: float) -> bool:
            paused.append(seconds)
            return False

        Explorer(folder, lambda *_: None, pause, seed=seed).run(once=True)
        return paused

    first = thoughts(7)
    assert all(0.4 <= seconds <= 1.5 for seconds in first)
    assert len(set(first)) > 10
    assert (thoughts(7) == first, thoughts(8) == first) == (True, False)


def test_tokens_are_said_to_be_estimates(folder: Path) -> None:
    with_tokens = [event for _, event in explore(folder, 4).events if event["data"].get("cost_tokens")]
    assert with_tokens
    assert all(event["data"]["token_estimate"] is True for event in with_tokens)
    assert all(event["data"].get("model") is None for event in with_tokens)


def test_it_stops_in_the_middle_when_it_is_told_to(folder: Path) -> None:
    listener = Listener(stop_after=3)
    Explorer(folder, listener.publish, listener.pause).run()
    assert listener.pauses == 4
    assert not listener.of_type("end")


def test_an_empty_folder_is_explored_too(tmp_path: Path) -> None:
    listener = explore(tmp_path, sessions=len(GOALS))
    assert len(listener.of_type("end")) == len(GOALS)
    assert listener.of_type("error")


def test_nothing_in_the_folder_is_changed(folder: Path) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], ["add", "README.md", "src"], ["commit", "-qm", "First"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    os.utime(folder / "src" / "thing.py")  # so that git would like to refresh its index

    def state() -> dict[str, tuple[int, int]]:
        paths = [path for path in sorted(folder.rglob("*")) if not path.is_symlink()]
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}

    before = state()
    listener = explore(folder, sessions=len(GOALS))
    assert state() == before
    given = [event["data"]["input_summary"] for event in listener.of_type("tool_call")]
    assert given.count("git log --format= --name-only -5") == 1
    assert any("First" in event["data"]["output_summary"] for event in listener.of_type("tool_result"))


def test_the_files_are_those_inside_that_are_plain_and_not_hidden(folder: Path) -> None:
    assert list(Tools(folder).files()) == [
        "README.md",
        "big.txt",
        "blob.bin",
        "src/other.py",
        "src/thing.py",
        "tests/test_thing.py",
    ]
    assert Tools(folder).find_todos("") == "src/thing.py:4: # TODO: mend this"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../outside.py", "hidden"),
        ("link.py", "outside"),
        ("up/outside.py", "outside"),
        (".env", "hidden"),
        ("/etc/passwd", "outside"),
        ("src", "not a file"),
        ("pipe.txt", "not a file"),
        ("blob.bin", "not a text"),
        ("nowhere.py", "no such file"),
    ],
)
def test_what_it_may_not_read(folder: Path, path: str, reason: str) -> None:
    with pytest.raises(ToolError, match=reason):
        Tools(folder).read(path)


def test_reading_is_bounded_and_commands_are_chosen_from_a_list(folder: Path) -> None:
    tools = Tools(folder)
    assert len(tools.read("big.txt")) == MAX_FILE_BYTES
    with pytest.raises(ToolError, match="not one of"):
        tools.run("rm -rf /")
    with pytest.raises(ToolError, match="not a git repository"):
        tools.run("git log --oneline -20")
    assert tools.run("python --version").startswith("Python 3")
