"""A hook and a transcript tell of the same session: what both tell is one event."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.support.transcript import LONG, read_lines, transcript_path

from runcast.core.event import Event
from runcast.kinds.base import Publish, accept
from runcast.kinds.session import SESSION
from runcast.log.conformance.support import read_events
from runcast.log.memory import MemoryLog
from runcast.sources.claude_code.hooks import publishes_of
from runcast.sources.claude_code.transcript import Transcript

FAR = 2**60


def hooks_of(path: Path) -> list[tuple[dict[str, Any], int]]:
    """The hooks that Claude Code must have run while it wrote this transcript, with a time each."""
    hooks: list[tuple[dict[str, Any], int]] = []
    names: dict[str, str] = {}
    for number, line in enumerate(read_lines(path)):
        content = line.get("message", {}).get("content")
        for block in content if isinstance(content, list) else []:
            common = {"session_id": line["sessionId"], "cwd": line["cwd"], "tool_use_id": block.get("id")}
            if block["type"] == "tool_use":
                names[block["id"]] = block["name"]
                tool = {"tool_name": block["name"], "tool_input": block["input"]}
                hooks.append(({**common, **tool, "hook_event_name": "PreToolUse"}, number))
            elif block["type"] == "tool_result":
                failed = bool(block.get("is_error"))
                ended = {
                    "hook_event_name": "PostToolUseFailure" if failed else "PostToolUse",
                    "tool_use_id": block["tool_use_id"],
                    "tool_name": names[block["tool_use_id"]],
                    "error" if failed else "tool_response": block["content"],
                }
                hooks.append(({**common, **ended}, number))
    return hooks


def store(log: MemoryLog, events: list[Publish]) -> int:
    """Returns how many of them were there already."""
    stored = log.append([accept(SESSION, event, FAR, 2**20) for event in events]) if events else []
    return sum(appended.duplicate for appended in stored)


def told_by_transcript(path: Path) -> list[Publish]:
    transcript = Transcript(path.stem)
    return [event for line in path.read_bytes().splitlines() for event in transcript.feed(line)]


def the_same(event: Event) -> tuple[str, str, object, object, object, object]:
    data = json.loads(event.data)
    kept = (data[name] for name in ("tool_name", "input_summary", "status", "agent_id"))
    return (event.id, event.type, *kept)


@pytest.mark.parametrize("hook_first", [True, False])
def test_a_tool_call_is_one_event(hook_first: bool) -> None:
    path = transcript_path(LONG)
    told = told_by_transcript(path)
    hooks = [event for hook, number in hooks_of(path) for event in publishes_of(hook, 10**15 + number)]
    log = MemoryLog()
    first, second = (hooks, told) if hook_first else (told, hooks)
    assert store(log, first) == 0
    assert store(log, second) == len(hooks) > 300
    events = read_events(log, told[0].stream)
    assert max(Counter(event.id for event in events).values()) == 1
    assert len(events) == len(told)


def test_both_tell_the_same_of_a_call() -> None:
    path = transcript_path(LONG)
    logs = MemoryLog(), MemoryLog()
    store(logs[0], told_by_transcript(path))
    store(logs[1], [event for hook, number in hooks_of(path) for event in publishes_of(hook, number)])
    stream = told_by_transcript(path)[0].stream
    by_transcript, by_hook = ({event.id: event for event in read_events(log, stream)} for log in logs)
    assert by_hook.keys() < by_transcript.keys()
    for event_id, event in by_hook.items():
        assert the_same(event) == the_same(by_transcript[event_id])


def test_a_prompt_is_one_event() -> None:
    line = {
        "type": "user",
        "uuid": "u1",
        "sessionId": "s1",
        "promptId": "p1",
        "timestamp": "2026-05-01T12:00:00Z",
        "message": {"role": "user", "content": "mend it"},
    }
    hook = {"session_id": "s1", "hook_event_name": "UserPromptSubmit", "prompt_id": "p1", "prompt": "mend it"}
    log = MemoryLog()
    assert store(log, publishes_of(hook, 10**15)) == 0
    assert store(log, Transcript("s1").feed(json.dumps(line).encode())) == 1
