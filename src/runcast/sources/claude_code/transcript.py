"""From the lines of one transcript file to the events of its session: a state machine, without clock or file.

What a line tells depends on the file's earlier lines only, and every event has an id of its own. So the same file
gives the same events whenever it is read, at once or in pieces, and telling one twice is harmless.

Told are: tool calls and their results, prompts, the model's texts and thoughts, what each cost, subagents, the
lines of the system, titles. Left out are `progress` lines (they repeat what the subagents' files tell, or say
that something still runs), snapshots of files, and settings of the terminal. A line of an unknown kind is told
if it has an id, a time and a text.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from runcast.errors import InvalidStreamName
from runcast.kinds.base import Publish
from runcast.sources.claude_code import asides, conversation, lines
from runcast.sources.claude_code.ids import call_id
from runcast.sources.claude_code.state import Origin, State, checksum
from runcast.sources.claude_code.told import Told
from runcast.sources.naming import session_stream

logger = logging.getLogger("runcast.sources.claude_code")


def _no_origin(prompt: str) -> Origin | None:
    return None


class Transcript:
    """One file. Feed it the file's lines in order; `state` is all it needs to go on later.

    Args:
        session_id: the session of lines that do not name theirs.
        agent_id: the subagent whose file it is; None for a session's main file.
        origin: of a subagent's file, asked once: who began it, by its prompt.
        state: what an earlier run remembered.
    """

    def __init__(
        self,
        session_id: str,
        agent_id: str | None = None,
        *,
        origin: Callable[[str], Origin | None] = _no_origin,
        state: State | None = None,
    ) -> None:
        self.session_id = session_id
        self.agent_id = agent_id
        self.state = state or State()
        self.garbage = 0
        """Lines that were no lines of a transcript, since this object was made."""
        self._origin = origin
        self._warned = False

    def feed(self, line: bytes) -> list[Publish]:
        """The events that one line tells; none for a line that is empty, unimportant or damaged."""
        try:
            return self._feed(line)
        except Exception:  # the root of a line: another version's may be what nobody here has thought of
            self.garbage += 1
            if not self._warned:
                self._warned = True
                logger.exception("a line of session %s is left out", self.session_id)
            return []

    def _feed(self, line: bytes) -> list[Publish]:
        if not line.strip():
            return []
        read = lines.read_line(line)
        stream = _stream(read.session_id or self.session_id) if read else None
        if read is None or stream is None:
            self.garbage += 1
            return []
        told = Told(read, stream, self.state, self.agent_id)
        self.state.last_time = told.time_us
        return list(self._told(told))

    def origin_of(self, agent_id: str, prompt: str) -> Origin | None:
        """Who began a subagent, as far as this file tells: by its id, or by what it was asked to do."""
        if agent_id in self.state.agents:
            return self.state.agents[agent_id]
        asked = checksum(prompt)
        for call_of, call in self.state.calls.items():
            if call.prompt == asked:
                return Origin(call_id(call_of), call.agent_type, call.description)
        return None

    def _told(self, told: Told) -> Iterator[Publish]:
        if self.state.title_due and told.time_us is not None:
            yield asides.due_title(told)
        if self.agent_id and not self.state.begun and told.line.type in _CONVERSATION:
            prompt = _prompt(told)
            yield self._begin(told, self.agent_id, prompt)
            if prompt:
                return  # what a subagent is asked to do is told with its beginning
        yield from _TELLERS.get(told.line.type, asides.unknown)(told)

    def _begin(self, told: Told, agent_id: str, prompt: str) -> Publish:
        """This file's subagent has begun."""
        state = self.state
        state.begun = True
        state.origin = self._origin(prompt) or Origin()
        if state.origin.agent_type is None and agent_id.startswith(_COMPACTING):
            state.origin.agent_type = "compact"
        return told.delegation(agent_id, state.origin, prompt)


def _prompt(told: Told) -> str:
    """What a subagent's first line asks it to do, if it does."""
    if told.line.type != "user" or told.line.is_meta:
        return ""
    return lines.user_text(told.line.blocks()) or ""


def _stream(session_id: str) -> str | None:
    try:
        return session_stream(session_id)
    except InvalidStreamName:
        return None


_CONVERSATION: Final = frozenset({"user", "assistant", "system"})
_COMPACTING: Final = "acompact"
"""How the ids of those subagents begin that sum up a conversation which has become too long."""

_TELLERS: Final[dict[str, Callable[[Told], Iterable[Publish]]]] = {
    "assistant": conversation.assistant,
    "user": conversation.user,
    "progress": conversation.progress,
    "system": asides.system,
    "attachment": asides.attachment,
    "queue-operation": asides.queue_operation,
    "summary": asides.titled,
    "ai-title": asides.titled,
    "custom-title": asides.titled,
    "pr-link": asides.pull_request,
}
