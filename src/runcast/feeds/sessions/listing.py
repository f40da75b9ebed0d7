"""The list of sessions: who is busy with what, the latest first, without reading any long stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from runcast.core.event import format_time
from runcast.core.scope import Scope
from runcast.errors import InvalidInput
from runcast.kinds.session_summary import SUMMARY, summary_document
from runcast.live.bus import Bus
from runcast.live.folds import State, newest_states
from runcast.log.base import StreamInfo
from runcast.transport.listing import readable
from runcast.transport.params import Query, choice_param, integer_param, text_param

KIND = "session"
MAX_SESSIONS = 1_000
MAX_PAGES = 256
"""So many pages of events a list reads at most, for sessions that have had news since their last snapshots."""
LAST_POSITION = 2**63 - 1


async def list_sessions(bus: Bus, query: Query, may_read: Callable[[str], bool]) -> dict[str, Any]:
    """A page of the list: `sessions` that may be read, and `next` to go on from (null at its end).

    Raises:
        InvalidInput: a parameter cannot be; names it.
        LogError: the log could not be read.
    """
    limit = integer_param(query, "limit", 100, 1, MAX_SESSIONS)
    after = text_param(query, "after", "")
    if choice_param(query, "order", ("recent", "name")) == "recent":
        before = _position(after)
        found, more = await readable(
            lambda last, size: bus.recent(KIND, last.latest if last else before, size), may_read, limit
        )
        rest = str(found[-1].latest) if more else None
    else:
        first = f"{KIND}:{after}" if after else ""
        found, more = await readable(
            lambda last, size: bus.streams(KIND, last.stream if last else first, size), may_read, limit
        )
        rest = session_id(found[-1]) if more else None
    return {"sessions": await describe_all(bus, found), "next": rest}


async def describe_all(bus: Bus, infos: Sequence[StreamInfo]) -> list[dict[str, Any]]:
    """What a list says of sessions. A summary may be some events behind; then `behind` is not 0.

    Raises:
        LogError: the log could not be read.
    """
    states = await newest_states(bus, infos, SUMMARY, max_pages=MAX_PAGES)
    return [
        {**describe(bus, info), **describe_summary(info, state)}
        for info, state in zip(infos, states, strict=True)
    ]


def describe(bus: Bus, info: StreamInfo) -> dict[str, Any]:
    """Where a session stands, and how many watch it here; first by the names that older clients read."""
    topic = bus.topic(Scope(stream=info.stream))
    created, updated = format_time(info.created), format_time(info.updated)
    subscribers = len(topic.subscribers) if topic else 0
    older = {
        "events": info.head,
        "started_at": created,
        "last_event_at": updated,
        "connected_clients": subscribers,
    }
    return {
        **older,
        "session_id": session_id(info),
        "epoch": info.epoch,
        "head": info.head,
        "ended": info.ended,
        "created": created,
        "updated": updated,
        "cursor": str(info.cursor),
        "live_subscribers": subscribers,
    }


def describe_summary(info: StreamInfo, state: State[Any]) -> dict[str, Any]:
    """What a session is about."""
    return {"behind": state.behind, "summary": summary_document(state.value, over=info.ended)}


def session_id(info: StreamInfo) -> str:
    """The id of the session whose stream this is."""
    return info.stream.partition(":")[2]


def _position(after: str) -> int | None:
    if not after:
        return None
    if not (after.isascii() and after.isdecimal() and len(after) <= 19 and int(after) <= LAST_POSITION):
        raise InvalidInput("after: not what `next` of this order said.", field="after")
    return int(after)
