"""What a session adds up to: events, errors, tokens, and where its time went."""

from __future__ import annotations

import math
import sys
from bisect import insort
from collections.abc import Callable
from typing import Final, TypeVar, cast

import msgspec

from runcast.core.event import Event
from runcast.kinds.base import Fold

MAX_KEYS: Final = 200
"""Entries of one table. Tools, models, agents and types are open sets: the rest is counted under `OTHER`."""

MAX_KEY_CHARS: Final = 200
OTHER: Final = "other"
SLOWEST: Final = 10
ERROR_STATUSES: Final = frozenset({"error", "timeout", "failed"})

_MAX_COUNT: Final = 2**53 - 1  # what JavaScript reads exactly; a sum stays there instead of overflowing
_MAX_SECONDS: Final = sys.float_info.max

V = TypeVar("V")


class Tokens(msgspec.Struct, gc=False):
    """Sums of `cost_tokens`, and of the counts in `usage` where a publisher gives them."""

    cost_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0


class ToolTime(msgspec.Struct, gc=False):
    """How often a tool was called (`tool_call` events), and how long its calls took.

    `timed` is the number of events that gave a duration: of one call, the call itself or its result.
    """

    calls: int = 0
    timed: int = 0
    seconds: float = 0.0
    max_seconds: float = 0.0


class SlowCall(msgspec.Struct, frozen=True, gc=False):
    """One of the slowest calls of a session, and the event that tells of it."""

    tool: str
    seconds: float
    event_id: str
    seq: int


class SessionTotals(msgspec.Struct):
    """The totals of a session.

    `first_time` and `last_time` are the earliest and the latest time told, in microseconds since the Unix
    epoch, None before the first event. An event without a tool or model counts in `tokens` only, not in the
    table by tool or model. `slowest` begins with the slowest, at equal times with the earlier one. The `last_…`
    are those of the last event that had one.
    """

    events: int = 0
    errors: int = 0
    first_time: int | None = None
    last_time: int | None = None
    by_type: dict[str, int] = {}
    tokens: Tokens = msgspec.field(default_factory=Tokens)
    tokens_by_tool: dict[str, Tokens] = {}
    tokens_by_model: dict[str, Tokens] = {}
    tokens_by_agent: dict[str, Tokens] = {}
    tools: dict[str, ToolTime] = {}
    slowest: list[SlowCall] = []
    last_status: str | None = None
    last_model: str | None = None
    last_agent: str | None = None


class _Fields(msgspec.Struct, gc=False):
    """The fields of an event's data that are added up; a decoder skips all others.

    Typed as anything: a log may hold events that an older version, or another program, let pass.
    """

    agent_id: object = None
    tool_name: object = None
    status: object = None
    model: object = None
    execution_duration_seconds: object = None
    cost_tokens: object = None
    usage: object = None


_decode_fields = msgspec.json.Decoder(_Fields).decode
_NO_USAGE: Final[dict[str, object]] = {}


def add_event(totals: SessionTotals, event: Event) -> None:
    """Take one event into `totals`, in place."""
    try:
        fields = _decode_fields(event.data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        fields = _Fields()
    tool, model, agent = _key(fields.tool_name), _key(fields.model), _key(fields.agent_id)
    _count(totals, event, _key(fields.status))
    _add_tokens(totals, _tokens_of(fields), tool, model, agent)
    if tool is not None:
        _add_call(totals, event, tool, _seconds_of(fields.execution_duration_seconds))
    totals.last_model = model or totals.last_model
    totals.last_agent = agent or totals.last_agent


TOTALS: Final = Fold("totals", 1, SessionTotals, add_event)


def _count(totals: SessionTotals, event: Event, status: str | None) -> None:
    totals.events += 1
    if event.type == "error" or status in ERROR_STATUSES:
        totals.errors += 1
    first, last, time = totals.first_time, totals.last_time, event.time
    if first is None or time < first:
        totals.first_time = time
    if last is None or time > last:
        totals.last_time = time
    kind = _slot(totals.by_type, event.type)
    totals.by_type[kind] = totals.by_type.get(kind, 0) + 1
    totals.last_status = status or totals.last_status


def _add_tokens(
    totals: SessionTotals, spent: Tokens | None, tool: str | None, model: str | None, agent: str | None
) -> None:
    if spent is None:
        return
    _add(totals.tokens, spent)
    if tool is not None:
        _add(_entry(totals.tokens_by_tool, tool, Tokens), spent)
    if model is not None:
        _add(_entry(totals.tokens_by_model, model, Tokens), spent)
    if agent is not None:
        _add(_entry(totals.tokens_by_agent, agent, Tokens), spent)


def _add_call(totals: SessionTotals, event: Event, tool: str, seconds: float) -> None:
    entry = _entry(totals.tools, tool, ToolTime)
    if event.type == "tool_call":
        entry.calls += 1
    if seconds <= 0:
        return  # not known: a call that is only announced tells its duration with its result
    entry.timed += 1
    entry.seconds = min(entry.seconds + seconds, _MAX_SECONDS)
    entry.max_seconds = max(entry.max_seconds, seconds)
    slowest = totals.slowest
    if len(slowest) < SLOWEST or seconds > slowest[-1].seconds:
        insort(slowest, SlowCall(tool, seconds, event.id, event.seq), key=_by_slowness)
        del slowest[SLOWEST:]


def _by_slowness(call: SlowCall) -> float:
    return -call.seconds


def _tokens_of(fields: _Fields) -> Tokens | None:
    """What an event cost; None if nothing."""
    cost, usage = fields.cost_tokens, fields.usage
    if not cost and usage is None:
        return None
    told = cast("dict[str, object]", usage) if isinstance(usage, dict) else _NO_USAGE
    return Tokens(
        _whole(cost),
        _whole(told.get("input_tokens")),
        _whole(told.get("output_tokens")),
        _whole(told.get("cache_read_input_tokens")),
        _whole(told.get("cache_creation_input_tokens")),
    )


def _add(to: Tokens, spent: Tokens) -> None:
    to.cost_tokens = min(to.cost_tokens + spent.cost_tokens, _MAX_COUNT)
    to.input_tokens = min(to.input_tokens + spent.input_tokens, _MAX_COUNT)
    to.output_tokens = min(to.output_tokens + spent.output_tokens, _MAX_COUNT)
    to.cache_read_input_tokens = min(to.cache_read_input_tokens + spent.cache_read_input_tokens, _MAX_COUNT)
    to.cache_creation_input_tokens = min(
        to.cache_creation_input_tokens + spent.cache_creation_input_tokens, _MAX_COUNT
    )


def _entry(table: dict[str, V], key: str, new: Callable[[], V]) -> V:
    found = table.get(key)
    if found is None:
        found = table.setdefault(_slot(table, key), new())
    return found


def _slot(table: dict[str, V], key: str) -> str:
    """Where `key` is counted: by itself while there is room, the last place being kept for the rest."""
    return key if key in table or len(table) < MAX_KEYS - 1 else OTHER


def _key(value: object) -> str | None:
    return value[:MAX_KEY_CHARS] if isinstance(value, str) and value else None


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return 0
    return min(value, _MAX_COUNT)


def _seconds_of(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 <= value <= _MAX_SECONDS and math.isfinite(value) else 0.0
