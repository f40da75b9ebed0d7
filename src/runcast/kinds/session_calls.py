"""Which tool calls of a session are running: told to have begun, and not yet to have ended."""

from __future__ import annotations

from typing import Final

import msgspec

from runcast.core.event import Event
from runcast.kinds.session_fields import ERROR_STATUSES, UPDATE, Fields, amount, key

MAX_OPEN: Final = 256
"""So many running calls are known of one session; the oldest of more are forgotten, and counted."""
MAX_EARLY: Final = 32
"""So many results are remembered that came before their calls."""

_RESULTS: Final = frozenset({"tool_result", "error", "completion"})
_DONE: Final = ERROR_STATUSES | {"completed", "success", "cancelled"}


class Call(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A call that is running: of which tool, by which agent, and since when (microseconds)."""

    tool: str | None
    agent: str | None
    since: int


class Calls(msgspec.Struct):
    """The running calls by their event's id, oldest first.

    `dropped` counts those that were forgotten for want of room. `early` has the ids of calls whose results came
    first: processes that append on their own may overtake each other.
    """

    open: dict[str, Call] = {}
    dropped: int = 0
    early: list[str] = []

    def take(self, event: Event, fields: Fields) -> Call | None:
        """Follow one event; returns the call that it ends, if it is known to be running."""
        if event.type == "tool_call":
            self._begin(event, fields)
        elif event.type in _RESULTS:
            return self._end(key(fields.parent_event_id))
        elif event.type == UPDATE and key(fields.status) in _DONE:
            return self.open.pop(key(fields.parent_event_id) or "", None)
        elif event.type == "end":
            self.open.clear()
        return None

    def _begin(self, event: Event, fields: Fields) -> None:
        is_done = key(fields.status) in _DONE or fields.has_output
        if is_done or amount(fields.execution_duration_seconds):
            return  # told when it was over already
        if event.id in self.early:
            self.early.remove(event.id)
            return
        self.open[event.id] = Call(key(fields.tool_name), key(fields.agent_id), event.time)
        if len(self.open) > MAX_OPEN:
            del self.open[next(iter(self.open))]
            self.dropped += 1

    def _end(self, call_id: str | None) -> Call | None:
        if call_id is None:
            return None
        call = self.open.pop(call_id, None)
        if call is None and call_id not in self.early:
            self.early.append(call_id)
            del self.early[:-MAX_EARLY]
        return call
