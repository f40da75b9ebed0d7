"""A session in a few words, for a list: what it is about, what it cost, what it is doing."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from runcast.core.event import Event, format_time
from runcast.kinds.base import Fold
from runcast.kinds.session_calls import Calls
from runcast.kinds.session_fields import (
    ALERTS,
    API_REQUEST,
    MAX_SUM,
    UPDATE,
    Fields,
    Tokens,
    amount,
    fields_of,
    is_error,
    key,
    tokens_of,
)

MAX_TITLE_CHARS: Final = 120
SUBAGENTS: Final = frozenset({"delegation", "task_delegation"})
UNKNOWN: Final = "unknown"


class SessionSummary(msgspec.Struct):
    """A session in a few words; times in microseconds since the Unix epoch, None before the first event.

    `title` is the first line of the first prompt; `named` a title that a publisher gave. `agent` is the first that
    was named. `model` is the last one that this agent used. `tokens` were told by transcripts and publishers,
    `api_tokens` by requests to the model: two accounts of the same, so only one of them counts. The `last_…`
    are of the last event that had one, alerts left out.
    """

    title: str | None = None
    named: str | None = None
    agent: str | None = None
    model: str | None = None
    cwd: str | None = None
    events: int = 0
    errors: int = 0
    tool_calls: int = 0
    subagents: int = 0
    tokens: Tokens = msgspec.field(default_factory=Tokens)
    api_tokens: Tokens = msgspec.field(default_factory=Tokens)
    cost_usd: float = 0.0
    api_cost_usd: float = 0.0
    calls: Calls = msgspec.field(default_factory=Calls)
    last_event_type: str | None = None
    last_tool: str | None = None
    last_status: str | None = None
    first_time: int | None = None
    last_time: int | None = None


class _Words(msgspec.Struct, gc=False):
    """What a title, or a folder, may be read from."""

    input_summary: object = None
    title: object = None
    cwd: object = None


_decode_words = msgspec.json.Decoder(_Words).decode


def summarise(summary: SessionSummary, event: Event) -> None:
    """Take one event into `summary`, in place."""
    fields = fields_of(event)
    status = key(fields.status)
    summary.events += 1
    ended = summary.calls.take(event, fields)
    summary.errors += is_error(event, status) and (event.type != UPDATE or ended is not None)
    summary.tool_calls += event.type == "tool_call"
    summary.subagents += event.type in SUBAGENTS
    summary.first_time = event.time if summary.first_time is None else min(summary.first_time, event.time)
    summary.last_time = event.time if summary.last_time is None else max(summary.last_time, event.time)
    _spend(summary, event, fields)
    _introduce(summary, event, fields)
    if event.type not in ALERTS:
        summary.last_event_type = event.type
        summary.last_tool = key(fields.tool_name) or summary.last_tool
        summary.last_status = status or summary.last_status


SUMMARY: Final = Fold("summary", 1, SessionSummary, summarise, keep_every=1)


def summary_document(summary: SessionSummary, *, over: bool = False) -> dict[str, Any]:
    """The summary as a list shows it; of a session that is `over`, no call is running."""
    tokens = max(summary.tokens, summary.api_tokens, key=lambda account: account.weight)
    return {
        "title": summary.title or summary.named,
        "agent": summary.agent or UNKNOWN,
        "model": summary.model,
        "cwd": summary.cwd,
        "events": summary.events,
        "errors": summary.errors,
        "tool_calls": summary.tool_calls,
        "subagents": summary.subagents,
        "tokens": msgspec.structs.asdict(tokens),
        "cost_usd": max(summary.cost_usd, summary.api_cost_usd),
        "running": 0 if over else len(summary.calls.open),
        "last_event_type": summary.last_event_type,
        "last_tool": summary.last_tool,
        "last_status": summary.last_status,
        "first_time": None if summary.first_time is None else format_time(summary.first_time),
        "last_time": None if summary.last_time is None else format_time(summary.last_time),
    }


def _spend(summary: SessionSummary, event: Event, fields: Fields) -> None:
    spent, dollars = tokens_of(fields), amount(fields.cost_usd)
    if event.type == API_REQUEST:
        if spent is not None:
            summary.api_tokens.add(spent)
        summary.api_cost_usd = min(summary.api_cost_usd + dollars, MAX_SUM)
    else:
        if spent is not None:
            summary.tokens.add(spent)
        summary.cost_usd = min(summary.cost_usd + dollars, MAX_SUM)


def _introduce(summary: SessionSummary, event: Event, fields: Fields) -> None:
    """Learn who the session is, while something of it is not known."""
    agent, model = key(fields.agent_id), key(fields.model)
    if summary.agent is None and agent != UNKNOWN and event.type not in ALERTS:
        summary.agent = agent
    if model is not None and (summary.model is None or agent == summary.agent):
        summary.model = model
    wants_title = summary.title is None and event.type == "user_prompt"
    if not wants_title and b'"title":' not in event.data and (summary.cwd or b'"cwd":' not in event.data):
        return
    try:
        words = _decode_words(event.data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    if wants_title:
        summary.title = _first_line(words.input_summary)
    summary.named = summary.named or _first_line(words.title)
    summary.cwd = summary.cwd or (words.cwd[:1_000] if isinstance(words.cwd, str) and words.cwd else None)


def _first_line(text: object) -> str | None:
    """The first line of `text` that is not blank, at most `MAX_TITLE_CHARS` of it."""
    if not isinstance(text, str):
        return None
    line = text.lstrip().split("\n", 1)[0].strip()
    return (line if len(line) <= MAX_TITLE_CHARS else line[: MAX_TITLE_CHARS - 1] + "…") or None
