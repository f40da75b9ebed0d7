"""From a row of `agent_events` to events: one when it is first seen, and one for each change of it."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from runcast.core.event import Event, parse_time
from runcast.errors import InvalidEvent
from runcast.kinds.base import Publish
from runcast.kinds.session import MAX_COST_TOKENS, cut_text
from runcast.kinds.session_fields import UPDATE
from runcast.sources.htmlgraph.database import Row
from runcast.sources.naming import digest_of, session_stream

SOURCE: Final = "htmlgraph"

_ANY_TIME_US: Final = 2**62  # that it is not in the future is seen to at the door
_TEXTS: Final = ("agent_id", "tool_name", "input_summary", "output_summary", "model", "feature_id")
_EXTRA: Final = {
    "agent_type": "subagent_type",
    "parent_agent_id": "parent_agent_id",
    "claude_task_id": "claude_task_id",
    "step_id": "step_id",
    "recorded_by": "source",
}
"""Our names of columns that no documented field has."""


class Seen(msgspec.Struct, frozen=True, gc=False):
    """What is known of a row: the digest of its content, and what was told of its cost and duration."""

    digest: str
    cost: int
    seconds: float


class _Stored(msgspec.Struct, gc=False):
    """What of an event in the log says how far its row was told."""

    source: object = None
    row_digest: object = None
    parent_event_id: object = None
    cost_tokens: object = 0
    execution_duration_seconds: object = 0.0


_decode = msgspec.json.Decoder(_Stored).decode


def stream_of(row: Row) -> str:
    """The stream that a row's events belong to.

    Raises:
        InvalidStreamName: it names no session.
    """
    return session_stream(_text(row.get("session_id")) or "")


def seen(row: Row) -> Seen:
    """A row as it is now. Its digest leaves out when it was written, and columns that say nothing."""
    told = {name: value for name, value in row.items() if name not in {"created_at", "updated_at"} and value}
    told = {name: str(value) if isinstance(value, bytes) else value for name, value in told.items()}
    return Seen(digest_of(told), _cost(row), _seconds(row))


def first_event(row: Row, now: Seen) -> Publish:
    """The event of a row that was not told yet.

    Raises:
        InvalidEvent: it has no id, so that nobody could know it again.
        InvalidStreamName: it names no session.
    """
    event_id = _text(row.get("event_id"))
    if event_id is None:
        raise InvalidEvent("event_id: missing.", field="event_id")
    return Publish(
        stream=stream_of(row),
        type=_text(row.get("event_type")) or "",
        id=event_id,
        time=_time(row, "timestamp", "created_at"),
        data={
            **_fields(row, now),
            "parent_event_id": _text(row.get("parent_event_id")),
            "cost_tokens": now.cost,
            "execution_duration_seconds": now.seconds,
        },
    )


def update_event(row: Row, now: Seen, before: Seen) -> Publish:
    """The event of a row that has changed since `before`.

    It has the fields as they are now. `cost_tokens` is what came to the cost, and the duration is there if it is
    another one: so that the sums over a session count each once.
    """
    event_id = _text(row.get("event_id")) or ""
    again = digest_of([now.digest, row.get("updated_at")])  # a row may change to what it was before
    return Publish(
        stream=stream_of(row),
        type=UPDATE,
        id=f"{event_id}:{again}",
        time=_time(row, "updated_at"),
        data={
            **_fields(row, now),
            "parent_event_id": event_id,
            "updated_type": _text(row.get("event_type")),
            "cost_tokens": max(now.cost - before.cost, 0),
            "execution_duration_seconds": now.seconds if now.seconds != before.seconds else 0.0,
        },
    )


def after_update(now: Seen, before: Seen) -> Seen:
    """What is known once the update is told. A cost that has shrunk was told already."""
    return Seen(now.digest, max(now.cost, before.cost), now.seconds or before.seconds)


def recall(event: Event, told: dict[str, Seen]) -> None:
    """Take an event of the log into `told`: by event id, how far each row was told. Others are passed over."""
    try:
        stored = _decode(event.data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    if stored.source != SOURCE or not isinstance(stored.row_digest, str):
        return
    row_id = stored.parent_event_id if event.type == UPDATE else event.id
    if not isinstance(row_id, str):
        return
    now = {"cost_tokens": stored.cost_tokens, "execution_duration_seconds": stored.execution_duration_seconds}
    cost, seconds = _cost(now), _seconds(now)
    before = told.get(row_id)
    if before is None:
        told[row_id] = Seen(stored.row_digest, cost, seconds)
    else:
        told[row_id] = Seen(stored.row_digest, before.cost + cost, seconds or before.seconds)


def _fields(row: Row, now: Seen) -> dict[str, Any]:
    told: dict[str, Any] = {name: _text(row.get(name)) for name in _TEXTS}
    told["status"] = _text(row.get("status")) or "recorded"
    told["source"] = SOURCE
    told["row_digest"] = now.digest
    extra: dict[str, Any] = {name: _text(row.get(column)) for name, column in _EXTRA.items()}
    extra["child_spike_count"] = _whole(row.get("child_spike_count")) or None
    extra["tool_input"], extra["context"] = _json(row.get("tool_input")), _json(row.get("context"))
    told.update((name, value) for name, value in extra.items() if value is not None)
    return told


def _text(value: object) -> str | None:
    """SQLite keeps in a column whatever it was given."""
    if value is None or isinstance(value, str):
        return value or None
    return value.hex() if isinstance(value, bytes) else str(value)


def _json(value: object) -> Any:
    """A column of JSON; as text where it is none, or is long."""
    text = _text(value)
    if text is None or len(text) != len(cut := cut_text(text)):
        return None if text is None else cut_text(text)
    try:
        return msgspec.json.decode(cut)
    except (msgspec.DecodeError, RecursionError):
        return cut


def _whole(value: object) -> int:
    number = _number(value)
    return min(int(number), MAX_COST_TOKENS)


def _number(value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float | str) else 0.0
    except (ValueError, OverflowError):
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0


def _cost(row: Row) -> int:
    return _whole(row.get("cost_tokens"))


def _seconds(row: Row) -> float:
    return _number(row.get("execution_duration_seconds"))


def _time(row: Row, *columns: str) -> int | None:
    """The first of these times that can be read; None (now) without one. Without a zone it is UTC."""
    for column in columns:
        try:
            return parse_time(_text(row.get(column)) or "", _ANY_TIME_US)
        except InvalidEvent:
            continue
    return None
