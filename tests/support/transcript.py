"""Reads a real Claude Code transcript as the flat events that a session's publisher would post.

A transcript repeats `usage` on every line of one message, and only the last line has the final number of
output tokens. So the file is read twice: first for what each message cost and which of its events is to say so,
then for the events.
"""

import heapq
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from runcast.kinds.session import cut_text

TRANSCRIPTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "transcripts"
LONG = "8463c716-a2ea-4c14-9efa-87158ebd9f20.jsonl"
TOOL_HEAVY = "tool_heavy.jsonl"
SHORT = "short.jsonl"

USAGE = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")

Flat = dict[str, Any]


def transcript_path(name: str = LONG) -> Path:
    """Where a real transcript lies; skips the test if there is none on this machine."""
    path = TRANSCRIPTS / name
    if not path.exists():
        pytest.skip("needs ../shared/data")
    return path


def read_lines(path: Path) -> list[Flat]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def session_events(path: Path) -> list[Flat]:
    """All events of a session, its subagents' among them; the events of each file keep their order.

    The same file gives the same events with the same ids each time: posting them twice is harmless.
    """
    lines = read_lines(path)
    callers = {
        line["data"]["agentId"]: line["parentToolUseID"]
        for line in lines
        if line["type"] == "progress" and line["data"]["type"] == "agent_progress"
    }
    agents = sorted(path.with_suffix("").glob("subagents/agent-*.jsonl"))
    files = [
        _File(lines),
        *(_File(read_lines(agent), callers.get(agent.stem.removeprefix("agent-"))) for agent in agents),
    ]
    return list(heapq.merge(*(file.events() for file in files), key=lambda event: event["timestamp"]))


class _File:
    """One transcript file. `caller` is the event of the tool call that started this subagent."""

    def __init__(self, lines: list[Flat], caller: str | None = None) -> None:
        self.lines = lines
        self.usage: dict[str, Flat] = {}
        self.payer: dict[str, str] = {}
        self.calls: dict[str, tuple[str, str]] = {}
        self.told: dict[str | None, str | None] = {None: caller}
        for line, block in self._blocks():
            if line["type"] == "assistant":
                message = line["message"]
                self.usage[message["id"]] = message["usage"]
                if block["type"] == "tool_use":
                    self.calls[block["id"]] = (block["name"], line["timestamp"])
                self._choose_payer(message["id"], block, _event_id(line, block))

    def _choose_payer(self, message_id: str, block: Flat, event_id: str) -> None:
        """The event that tells what a message cost is its first tool call, or its first event without one."""
        payer = self.payer.setdefault(message_id, event_id)
        if block["type"] == "tool_use" and payer not in self.calls:
            self.payer[message_id] = event_id

    def events(self) -> Iterator[Flat]:
        for line in self.lines:
            parent = self.told.get(line.get("parentUuid"))
            if "uuid" in line:
                self.told[line["uuid"]] = parent
            for block in _blocks_of(line):
                event = self._event(line, block, parent)
                self.told[line["uuid"]] = event["event_id"]
                yield event

    def _blocks(self) -> Iterator[tuple[Flat, Flat]]:
        return ((line, block) for line in self.lines for block in _blocks_of(line))

    def _event(self, line: Flat, block: Flat, parent: str | None) -> Flat:
        event_id = _event_id(line, block)
        event: Flat = {
            "event_id": event_id,
            "agent_id": line.get("agentId", "claude-code"),
            "session_id": line["sessionId"],
            "timestamp": line["timestamp"],
            "parent_event_id": parent,
            **self._told_by(line, block),
        }
        message = line.get("message", {})
        if line["type"] == "assistant":
            event["model"] = message["model"]
            if self.payer[message["id"]] == event_id:
                usage = self.usage[message["id"]]
                event["cost_tokens"] = usage["output_tokens"]
                event["usage"] = {name: usage[name] for name in USAGE}
        return event

    def _told_by(self, line: Flat, block: Flat) -> Flat:
        match line["type"], block["type"]:
            case _, "tool_use":
                summary = cut_text(json.dumps(block["input"], ensure_ascii=False))
                return {
                    "event_type": "tool_call",
                    "tool_name": block["name"],
                    "input_summary": summary,
                    "status": "started",
                }
            case _, "tool_result":
                return self._result(line, block)
            case "user", _:
                context = line.get("isMeta") or line.get("isCompactSummary")
                return {
                    "event_type": "context" if context else "user_prompt",
                    "input_summary": cut_text(block["text"]),
                }
            case "system", subtype:
                seconds = line.get("durationMs", 0) / 1000
                return {
                    "event_type": subtype,
                    "execution_duration_seconds": seconds,
                    "output_summary": block["text"],
                }
            case _, kind:
                return {
                    "event_type": "message" if kind == "text" else kind,
                    "output_summary": cut_text(block[kind]),
                }

    def _result(self, line: Flat, block: Flat) -> Flat:
        failed = bool(block.get("is_error"))
        tool, called_at = self.calls[block["tool_use_id"]]
        took = datetime.fromisoformat(line["timestamp"]) - datetime.fromisoformat(called_at)
        return {
            "event_type": "error" if failed else "tool_result",
            "tool_name": tool,
            "output_summary": cut_text(_text_of(block["content"])),
            "status": "error" if failed else "completed",
            "parent_event_id": block["tool_use_id"],
            "execution_duration_seconds": max(0.0, took.total_seconds()),
        }


def _blocks_of(line: Flat) -> list[Flat]:
    """What one line tells. `progress` lines tell nothing of their own: they repeat the subagents' files."""
    if line["type"] == "system":
        return [{"type": line["subtype"], "text": line.get("content")}]
    if line["type"] not in {"user", "assistant"}:
        return []
    content = line["message"]["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [{**block, "index": index} for index, block in enumerate(blocks)]


def _event_id(line: Flat, block: Flat) -> str:
    match block["type"]:
        case "tool_use":
            return block["id"]
        case "tool_result":
            return f"{block['tool_use_id']}:result"
        case _:
            return f"{line['uuid']}:{block.get('index', 0)}"


def _text_of(content: str | list[Flat]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", f"[{part['type']}]") for part in content)
