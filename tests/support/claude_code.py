"""Claude Code's transcripts for tests: small ones made here, and real ones under other names."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.transcript import LONG, read_lines, transcript_path

BEGAN = datetime(2026, 2, 11, 21, 41, tzinfo=UTC)


def line(number: int, kind: str, session: str = "s1", **fields: Any) -> str:
    """A line, by its number: each has an id and a second of its own."""
    time = (BEGAN + timedelta(seconds=number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    common = {"type": kind, "uuid": f"u{number}", "timestamp": time, "sessionId": session, "cwd": "/home/me"}
    return json.dumps({**common, **fields}) + "\n"


def prompt(number: int, text: str = "Go on", session: str = "s1", **fields: Any) -> str:
    return line(number, "user", session, message={"role": "user", "content": text}, **fields)


def called(number: int, tokens: int = 5, tool: str = "Bash", session: str = "s1", **given: Any) -> str:
    """A line with the tool call `toolu_NUMBER`, whose message cost `tokens` of output."""
    block = {"type": "tool_use", "id": f"toolu_{number}", "name": tool, "input": given or {"command": "ls"}}
    usage = {"input_tokens": 3, "output_tokens": tokens}
    message = {"id": f"msg_{number}", "model": "claude-x", "content": [block], "usage": usage}
    return line(number, "assistant", session, message=message)


def answered(number: int, call: int, session: str = "s1", **fields: Any) -> str:
    block = {"type": "tool_result", "tool_use_id": f"toolu_{call}", "content": "done"}
    return line(number, "user", session, message={"role": "user", "content": [block]}, **fields)


def long_copies(folder: Path, copies: int) -> int:
    """Many copies of the long real transcript in one file, each with ids of its own; returns how many calls it has."""
    original = transcript_path(LONG).read_text(encoding="utf-8")
    with (folder / "long.jsonl").open("w", encoding="utf-8") as file:
        for n in range(copies):
            file.write(
                original.replace("toolu_01", f"toolu_{n}x01")
                .replace("msg_01", f"msg_{n}x01")
                .replace('"uuid":"', f'"uuid":"{n}x')
                .replace(LONG.removesuffix(".jsonl"), "long")
            )
    messages = [
        one.get("message", {}) for one in read_lines(transcript_path(LONG)) if one["type"] == "assistant"
    ]
    return copies * sum(block["type"] == "tool_use" for message in messages for block in message["content"])
