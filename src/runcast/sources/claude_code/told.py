"""The events of one line: what all of them have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from runcast.kinds.base import Publish
from runcast.kinds.session import cut_text
from runcast.sources.claude_code.ids import MAIN_AGENT, agent_event_id, usage_id
from runcast.sources.claude_code.lines import Line
from runcast.sources.claude_code.state import Origin, State

SOURCE: Final = "transcript"
SIDECHAIN: Final = "subagent"
"""The `agent_id` where older versions wrote a subagent's lines into the main file, without its id."""


class Told:
    """One line on its way to events: what all of them share."""

    def __init__(self, line: Line, stream: str, state: State, agent_id: str | None) -> None:
        self.line = line
        self.state = state
        self.time_us = line.time_us or state.last_time
        self.model: str | None = None
        self.message_id: str | None = None
        self._stream = stream
        self._agent = line.agent_id or agent_id or (SIDECHAIN if line.is_sidechain else MAIN_AGENT)

    @property
    def is_subagent(self) -> bool:
        """Whether this is not of the session's main agent."""
        return self._agent != MAIN_AGENT

    def event(
        self, event_type: str, event_id: str, fields: Mapping[str, Any], *, parent: bool = True
    ) -> Publish:
        """An event of this line. Its parent, unless `fields` has one, is the prompt or the subagent's beginning."""
        state = self.state
        data: dict[str, Any] = {"agent_id": self._agent, "source": SOURCE}
        if parent:
            named = self._agent not in {MAIN_AGENT, SIDECHAIN}
            data["parent_event_id"] = agent_event_id(self._agent) if named else state.prompt
        shared = {
            "model": self.model,
            "message_id": self.message_id,
            "request_id": self.line.request_id,
            "cwd": self.line.cwd,
            "agent_type": state.origin.agent_type if state.origin else None,
        }
        data.update((name, value) for name, value in shared.items() if value)
        data.update(fields)
        return Publish(stream=self._stream, type=event_type, data=data, id=event_id, time=self.time_us)

    def delegation(self, agent_id: str, origin: Origin, prompt: str) -> Publish:
        """The event that a subagent began."""
        fields = {
            "agent_id": agent_id,
            "parent_event_id": origin.call,
            "input_summary": cut_text(prompt) if prompt else None,
            "status": "started",
        }
        for name in ("agent_type", "description"):
            if value := getattr(origin, name):
                fields[name] = value
        return self.event("delegation", agent_event_id(agent_id), fields)


def usage_event(event: Publish) -> Publish | None:
    """What `event` cost, as an event of its own; None if it cost nothing.

    For a call that a hook has told before: the log keeps the hook's event, which knows of no tokens.
    """
    kept = ("agent_id", "agent_type", "source", "tool_name", "model", "message_id", "request_id", "cwd")
    data = {name: event.data[name] for name in (*kept, "cost_tokens", "usage") if name in event.data}
    if event.id is None or "usage" not in data:
        return None
    data["parent_event_id"] = event.id
    return Publish(stream=event.stream, type="usage", data=data, id=usage_id(event.id), time=event.time)
