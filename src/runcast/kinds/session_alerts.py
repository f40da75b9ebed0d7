"""When a session deserves an alert: it has spent its tokens, or one of its calls took far longer than others did.

An alert's id comes from what caused it. So whoever looks at the same events raises the same alerts, and raised
again they are the same events.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

import msgspec

from runcast.core.event import MAX_ID_CHARS, Event
from runcast.kinds.base import Fold, Publish
from runcast.kinds.session_calls import Calls
from runcast.kinds.session_durations import Durations
from runcast.kinds.session_fields import (
    ALERTS,
    API_REQUEST,
    MAX_COUNT,
    Fields,
    entry,
    fields_of,
    key,
    tokens_of,
)
from runcast.kinds.session_totals import call_seconds

LEVELS: Final = (80, 100)
"""Percent of the budget."""
LEAST_CALLS: Final = 20
"""So many earlier calls of a tool must be timed before one is called slow."""
LEAST_SECONDS: Final = 1.0
"""What is over sooner is no bottleneck."""


class AlertRules(msgspec.Struct, frozen=True, kw_only=True):
    """What alerts are raised for; 0 raises none. `token_budget` in `cost_tokens` of one session."""

    token_budget: int = 0
    bottleneck_factor: float = 0.0


class AlertState(msgspec.Struct):
    """What must be known of a session's earlier events. `raised` are the levels of `budget` that were passed."""

    tokens: int = 0
    api_tokens: int = 0
    budget: int = 0
    raised: list[int] = []
    durations: dict[str, Durations] = {}
    calls: Calls = msgspec.field(default_factory=Calls)


def watch(state: AlertState, event: Event, rules: AlertRules) -> list[Publish]:
    """Take one event into `state`, in place; returns the alerts that it causes. Alerts cause none."""
    if event.type in ALERTS:
        return []
    fields = fields_of(event)
    return [*_watch_tokens(state, event, fields, rules), *_watch_call(state, event, fields, rules)]


def follow(state: AlertState, event: Event) -> None:
    """Take one event into `state`, in place, and raise nothing."""
    watch(state, event, AlertRules())


ALERT_STATE: Final = Fold("alerts", 1, AlertState, follow)


def _watch_tokens(state: AlertState, event: Event, fields: Fields, rules: AlertRules) -> list[Publish]:
    spent = tokens_of(fields)
    if spent is not None and event.type == API_REQUEST:
        state.api_tokens = min(state.api_tokens + spent.cost_tokens, MAX_COUNT)
    elif spent is not None:
        state.tokens = min(state.tokens + spent.cost_tokens, MAX_COUNT)
    budget, total = rules.token_budget, max(state.tokens, state.api_tokens)
    if not budget:
        return []
    if state.budget != budget:
        state.budget, state.raised = budget, []
    passed = [level for level in LEVELS if level not in state.raised and total * 100 >= level * budget]
    state.raised += passed
    return [_cost_alert(event, fields, level, total, budget) for level in passed]


def _cost_alert(event: Event, fields: Fields, level: int, spent: int, budget: int) -> Publish:
    said = f"The session has used {spent:,} tokens, {spent * 100 // budget} % of its budget of {budget:,}."
    data = {"output_summary": said, "percent": level, "budget_tokens": budget, "spent_tokens": spent}
    return _alert(event, fields, "cost_alert", f"alert:cost:{level}:{budget}:{event.epoch}", data)


def _watch_call(state: AlertState, event: Event, fields: Fields, rules: AlertRules) -> list[Publish]:
    ended = state.calls.take(event, fields)
    tool = key(fields.tool_name) or (ended.tool if ended else None)
    seconds = call_seconds(event, fields, ended)
    if tool is None or seconds <= 0:
        return []
    earlier = entry(state.durations, tool, Durations)
    p95 = earlier.percentile(95) if seconds >= LEAST_SECONDS and earlier.total >= LEAST_CALLS else None
    count = earlier.total
    earlier.add(seconds)
    if p95 is None or not rules.bottleneck_factor or seconds <= rules.bottleneck_factor * p95:
        return []
    said = f"{tool} took {seconds:.1f} s; 95 % of its {count} calls before took at most {p95:.1f} s."
    data = {"output_summary": said, "tool_name": tool, "seconds": seconds, "p95_seconds": round(p95, 3)}
    return [_alert(event, fields, "bottleneck", f"alert:bottleneck:{event.id}", data)]


def _alert(event: Event, fields: Fields, alert_type: str, alert_id: str, data: dict[str, Any]) -> Publish:
    common = {
        "agent_id": key(fields.agent_id),
        "status": "warning",
        "parent_event_id": event.id,
        "source": "alerts",
    }
    if len(alert_id) > MAX_ID_CHARS:
        alert_id = f"{alert_id[: MAX_ID_CHARS - 9]}~{zlib.crc32(alert_id.encode()):08x}"
    return Publish(
        stream=event.stream, type=alert_type, id=alert_id, time=event.time, data={**common, **data}
    )
