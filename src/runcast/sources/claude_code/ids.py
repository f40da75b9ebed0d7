"""One id for one thing, whoever tells of it: a hook, a transcript, telemetry.

The log takes an id once per stream. So a tool call that a hook has told is the same event when the transcript
tells it again. These are plain functions and import nothing, because a hook has no time to spare.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MAIN_AGENT: Final = "claude-code"
"""The `agent_id` of a session's main agent; a subagent has its own."""

USAGE_FIELDS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)
"""The counts that an event's `usage` holds, as deltas: their sums over a session are what it used."""

EVENT_TYPE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "call": "tool_call",
        "result": "tool_result",
        "failed": "error",
        "prompt": "user_prompt",
        "text": "message",
        "thinking": "thinking",
        "start": "start",
        "end": "end",
        "agent": "delegation",
        "usage": "usage",
        "context": "context",
        "api": "api_request",
    }
)
"""What the sources call what happens; a session's event types are an open set beside these."""


def call_id(tool_use_id: str) -> str:
    """The event that a tool was called: its own id."""
    return tool_use_id


def result_id(tool_use_id: str) -> str:
    """The event that the call came to an end, well or not."""
    return f"{tool_use_id}:result"


def usage_id(event_id: str) -> str:
    """The event that says what `event_id` cost, where that one was told before its cost was known."""
    return f"{event_id}:usage"


def line_id(uuid: str, block: int) -> str:
    """The event of one block of a transcript's line that has no id of its own."""
    return f"{uuid}:{block}"


def agent_event_id(agent_id: str) -> str:
    """The event that a subagent began."""
    return f"agent:{agent_id}"


def prompt_event_id(prompt_id: str) -> str:
    """The event that a user gave a prompt: a hook's `prompt_id` is the `promptId` of the transcript's line."""
    return f"prompt:{prompt_id}"
