"""What a session adds up to: events, errors, tokens, and where its time went."""

from __future__ import annotations

from bisect import insort
from typing import Any, Final, NamedTuple

import msgspec

from runcast.core.event import Event
from runcast.kinds.base import Fold
from runcast.kinds.session_calls import Call, Calls
from runcast.kinds.session_durations import Durations
from runcast.kinds.session_fields import (
    ALERTS,
    API_REQUEST,
    MAX_SUM,
    UPDATE,
    Fields,
    Tokens,
    amount,
    entry,
    fields_of,
    is_error,
    key,
    slot,
    tokens_of,
)
from runcast.kinds.session_timeline import Timeline

SLOWEST: Final = 10


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


class Requests(msgspec.Struct):
    """What requests to the model told of their tokens and their price."""

    tokens: Tokens = msgspec.field(default_factory=Tokens)
    by_model: dict[str, Tokens] = {}
    by_agent: dict[str, Tokens] = {}
    cost_usd: float = 0.0


class SessionTotals(msgspec.Struct):
    """The totals of a session.

    `first_time` and `last_time` are the earliest and the latest time told, in microseconds since the Unix
    epoch, None before the first event. An event without a tool or model counts in `tokens` only, not in the
    table by tool or model. `tokens` were told by transcripts and publishers, those in `requests` by the
    requests to the model (`api_request`): two accounts of the same. `durations` are of calls, by tool. `slowest`
    begins with the slowest, at equal times with the earlier one. The `last_…` are those of the last event
    that had one, alerts left out.
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
    cost_usd: float = 0.0
    requests: Requests = msgspec.field(default_factory=Requests)
    tools: dict[str, ToolTime] = {}
    durations: dict[str, Durations] = {}
    slowest: list[SlowCall] = []
    calls: Calls = msgspec.field(default_factory=Calls)
    timeline: Timeline = msgspec.field(default_factory=Timeline)
    last_status: str | None = None
    last_model: str | None = None
    last_agent: str | None = None

    @property
    def by_api(self) -> bool:
        """Whether the requests' account of the tokens is the larger one, and so the session's."""
        return self.requests.tokens.weight > self.tokens.weight


class _Names(NamedTuple):
    """What an event is counted under."""

    tool: str | None
    model: str | None
    agent: str | None


def add_event(totals: SessionTotals, event: Event) -> None:
    """Take one event into `totals`, in place."""
    fields = fields_of(event)
    status = key(fields.status)
    ended = totals.calls.take(event, fields)
    # a row may be updated in other ways after it has failed: it did so once
    error = is_error(event, status) and (event.type != UPDATE or ended is not None)
    _count(totals, event, error=error)
    if event.type in ALERTS:
        totals.timeline.add(event.time, error=False, tokens=0, api_tokens=0)
        return
    names = _Names(
        key(fields.tool_name) or (ended.tool if ended else None), key(fields.model), key(fields.agent_id)
    )
    told, api = _add_tokens(totals, event, fields, names)
    totals.timeline.add(event.time, error=error, tokens=told, api_tokens=api)
    if names.tool is not None:
        _add_call(totals, event, names.tool, call_seconds(event, fields, ended))
    totals.last_status = status or totals.last_status
    totals.last_model = names.model or totals.last_model
    totals.last_agent = names.agent or totals.last_agent


TOTALS: Final = Fold("totals", 3, SessionTotals, add_event)


def call_seconds(event: Event, fields: Fields, ended: Call | None) -> float:
    """How long a call took: as it is told, or from its begin to its result; 0 if that is not known."""
    told = amount(fields.execution_duration_seconds)
    if told or ended is None or event.type == UPDATE:
        return told
    return max(event.time - ended.since, 0) / 1_000_000


def totals_document(totals: SessionTotals) -> dict[str, Any]:
    """The totals as they are shown: of two accounts of the tokens the larger one."""
    requests, by_api = totals.requests, totals.by_api
    shown: dict[str, Any] = msgspec.to_builtins(
        {
            "events": totals.events,
            "errors": totals.errors,
            "first_time": totals.first_time,
            "last_time": totals.last_time,
            "by_type": totals.by_type,
            "tokens": requests.tokens if by_api else totals.tokens,
            "api_tokens": requests.tokens,
            "tokens_by_tool": totals.tokens_by_tool,
            "tokens_by_model": requests.by_model if by_api else totals.tokens_by_model,
            "tokens_by_agent": requests.by_agent if by_api else totals.tokens_by_agent,
            "cost_usd": max(totals.cost_usd, requests.cost_usd),
            "tools": totals.tools,
            "slowest": totals.slowest,
            "running": len(totals.calls.open),
            "last_status": totals.last_status,
            "last_model": totals.last_model,
            "last_agent": totals.last_agent,
        }
    )
    return shown


def _count(totals: SessionTotals, event: Event, *, error: bool) -> None:
    totals.events += 1
    totals.errors += error
    first, last, time = totals.first_time, totals.last_time, event.time
    if first is None or time < first:
        totals.first_time = time
    if last is None or time > last:
        totals.last_time = time
    kind = slot(totals.by_type, event.type)
    totals.by_type[kind] = totals.by_type.get(kind, 0) + 1


def _add_tokens(totals: SessionTotals, event: Event, fields: Fields, names: _Names) -> tuple[int, int]:
    """Add what an event cost to its account; returns its tokens, as told and as requested."""
    spent, dollars = tokens_of(fields), amount(fields.cost_usd)
    if event.type == API_REQUEST:
        requests = totals.requests
        requests.cost_usd = min(requests.cost_usd + dollars, MAX_SUM)
        if spent is None:
            return 0, 0
        _add_to_tables(
            spent, requests.tokens, (requests.by_model, names.model), (requests.by_agent, names.agent)
        )
        return 0, spent.cost_tokens
    totals.cost_usd = min(totals.cost_usd + dollars, MAX_SUM)
    if spent is None:
        return 0, 0
    _add_to_tables(
        spent,
        totals.tokens,
        (totals.tokens_by_tool, names.tool),
        (totals.tokens_by_model, names.model),
        (totals.tokens_by_agent, names.agent),
    )
    return spent.cost_tokens, 0


def _add_to_tables(spent: Tokens, sums: Tokens, *tables: tuple[dict[str, Tokens], str | None]) -> None:
    sums.add(spent)
    for table, name in tables:
        if name is not None:
            entry(table, name, Tokens).add(spent)


def _add_call(totals: SessionTotals, event: Event, tool: str, seconds: float) -> None:
    times = entry(totals.tools, tool, ToolTime)
    if event.type == "tool_call":
        times.calls += 1
    if seconds <= 0:
        return  # not known: a call that is only announced tells its duration with its result
    times.timed += 1
    times.seconds = min(times.seconds + seconds, MAX_SUM)
    times.max_seconds = max(times.max_seconds, seconds)
    entry(totals.durations, tool, Durations).add(seconds)
    slowest = totals.slowest
    if len(slowest) < SLOWEST or seconds > slowest[-1].seconds:
        insort(slowest, SlowCall(tool, seconds, event.id, event.seq), key=_by_slowness)
        del slowest[SLOWEST:]


def _by_slowness(call: SlowCall) -> float:
    return -call.seconds
