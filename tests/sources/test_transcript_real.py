"""Real transcripts as events, against what the files themselves add up to."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.transcript import LONG, SHORT, TOOL_HEAVY, transcript_path

from runcast.kinds.base import Publish
from runcast.sources.claude_code.ids import USAGE_FIELDS
from runcast.sources.claude_code.state import State
from runcast.sources.claude_code.transcript import Transcript


def files_of(name: str) -> list[tuple[Path, str | None]]:
    """A session's files, each with the subagent whose it is."""
    main = transcript_path(name)
    agents = sorted(main.with_suffix("").glob("subagents/agent-*.jsonl"))
    return [(main, None), *((agent, agent.stem.removeprefix("agent-")) for agent in agents)]


def events_of(name: str) -> list[Publish]:
    events: list[Publish] = []
    for path, agent_id in files_of(name):
        transcript = Transcript(main_id(name), agent_id)
        for one in path.read_bytes().split(b"\n"):
            events += transcript.feed(one)
        assert transcript.garbage == 0
    return events


def main_id(name: str) -> str:
    return name.removesuffix(".jsonl")


class Counted:
    """What a session adds up to, counted in the files themselves."""

    def __init__(self, name: str) -> None:
        self.calls: set[str] = set()
        self.failed: set[str] = set()
        self.answered: set[str] = set()
        self.last_usage: dict[str, dict[str, int]] = {}
        self.owner: dict[str, str] = {}
        for path, agent_id in files_of(name):
            for raw in path.read_text(encoding="utf-8").splitlines():
                one = json.loads(raw)
                if one["type"] in {"user", "assistant"}:
                    self._count(one["message"], agent_id or "claude-code")

    def _count(self, message: dict[str, Any], agent: str) -> None:
        if "usage" in message:
            self.last_usage[message["id"]] = message["usage"]
            self.owner[message["id"]] = agent
        for block in message["content"] if isinstance(message["content"], list) else []:
            if block["type"] == "tool_use":
                self.calls.add(block["id"])
            elif block["type"] == "tool_result":
                (self.failed if block.get("is_error") else self.answered).add(block["tool_use_id"])

    def total(self, name: str, agent: str | None = None) -> int:
        return sum(
            usage[name] for message, usage in self.last_usage.items() if agent in {None, self.owner[message]}
        )


@pytest.mark.parametrize("name", [LONG, TOOL_HEAVY, SHORT])
def test_a_real_session_adds_up_to_what_its_files_say(name: str) -> None:
    counted, events = Counted(name), events_of(name)
    told = {event.id: event for event in events}
    repeated = Counter(event.id for event in events if event.type != "delegation")
    assert max(repeated.values()) == 1
    assert {event.id for event in events if event.type == "tool_call"} == counted.calls
    assert {key for key in told if key and told[key].type == "tool_result"} == {
        f"{key}:result" for key in counted.answered
    }
    assert {key for key in told if key and told[key].type == "error"} == {
        f"{key}:result" for key in counted.failed
    }
    for field in USAGE_FIELDS:
        assert sum(event.data.get("usage", {}).get(field, 0) for event in events) == counted.total(field), (
            field
        )
    assert sum(event.data.get("cost_tokens", 0) for event in events) == counted.total("output_tokens")
    for agent in set(counted.owner.values()):
        spent = sum(event.data.get("cost_tokens", 0) for event in events if event.data["agent_id"] == agent)
        assert spent == counted.total("output_tokens", agent), agent


@pytest.mark.parametrize("name", [LONG, TOOL_HEAVY, SHORT])
def test_every_result_of_a_real_session_has_its_call(name: str) -> None:
    events = events_of(name)
    calls = {event.id: event for event in events if event.type == "tool_call"}
    for event in events:
        if event.id and event.id.endswith(":result"):
            begun = calls[event.data["parent_event_id"]]
            assert event.data["tool_name"] == begun.data["tool_name"]
            assert isinstance(event.time, int)
            assert isinstance(begun.time, int)
            assert event.data["execution_duration_seconds"] == (event.time - begun.time) / 1e6


@pytest.mark.parametrize("name", [LONG, TOOL_HEAVY, SHORT])
def test_going_on_from_what_was_remembered_at_any_line_tells_the_same(name: str) -> None:
    for path, agent_id in files_of(name):
        whole, state = Transcript(main_id(name), agent_id), b"{}"
        for one in path.read_bytes().split(b"\n"):
            resumed = Transcript(main_id(name), agent_id, state=msgspec.json.decode(state, type=State))
            assert resumed.feed(one) == whole.feed(one)
            state = msgspec.json.encode(resumed.state)
            assert state == msgspec.json.encode(whole.state)
