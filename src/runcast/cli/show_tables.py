"""What `runcast show` found, as tables for people; the last events are lines, and are not among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from runcast.cli.lines import ago, duration
from runcast.cli.output import clean, plural

Document = Mapping[str, Any]

TOKENS: Final = (
    ("cost_tokens", "tokens"),
    ("input_tokens", "input"),
    ("output_tokens", "output"),
    ("cache_read_input_tokens", "cache read"),
    ("cache_creation_input_tokens", "cache write"),
)
ROWS: Final = 10


def session_parts(found: Document) -> Iterator[RenderableType]:
    """A session: head, running calls, tokens, tools, slowest calls."""
    summary, totals, bottlenecks = found["summary"], found["totals"], found["bottlenecks"]
    yield _head(found, _session_facts(found, summary))
    yield from _running(bottlenecks["running"])
    for name in ("tool", "model", "agent"):
        yield from _tokens(name, totals[f"tokens_by_{name}"], totals["tokens"])
    yield from _tools(bottlenecks["tools"])
    yield from _slowest(bottlenecks["slowest"])


def stream_parts(found: Document) -> Iterator[RenderableType]:
    """Any other stream: its state."""
    yield _head(found, {})


def _head(found: Document, more: Mapping[str, str]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    kept = found["head"] - found["oldest"] + 1
    latest = last_time(found)
    facts = {
        "stream": f"{found['stream']}, {'ended' if found['ended'] else 'open'}",
        **more,
        "events": f"{kept:,}" if kept == found["head"] else f"{kept:,} kept of {found['head']:,}",
        "last one": f"{latest}, {ago(latest)}",
    }
    for name, value in facts.items():
        table.add_row(name, clean(value))
    return table


def last_time(found: Document) -> str:
    """When the last event happened, by its own time; where that is not known, when it was stored."""
    times: list[str] = [event["time"] for event in found.get("last", ())]
    if told := found.get("summary", {}).get("last_time"):
        times = [told]
    return max(times, key=datetime.fromisoformat, default=str(found["updated"]))


def _session_facts(found: Document, summary: Document) -> dict[str, str]:
    tokens, dollars = summary["tokens"], summary["cost_usd"]
    told = [f"{tokens[name]:,} {label}" for name, label in TOKENS if tokens[name]]
    facts = {
        "title": summary["title"],
        "agent": summary["agent"],
        "model": summary["model"],
        "folder": summary["cwd"],
        "calls": f"{plural(summary['tool_calls'], 'tool call')}, {summary['running']:,} running",
        "errors": f"{summary['errors']:,}",
        "subagents": f"{summary['subagents']:,}" if summary["subagents"] else None,
        "tokens": ", ".join(told) or None,
        "cost": f"${dollars:,.4f}" if dollars else None,
    }
    return {name: str(value) for name, value in facts.items() if value is not None}


def _running(calls: Sequence[Document]) -> Iterator[RenderableType]:
    rows = [
        (
            _name(call["tool_name"]),
            clean(str(call["agent_id"])),
            duration(call["elapsed_seconds"]),
            _seconds(call["p95_seconds"]),
            Text("late", "bold red") if call["late"] else f"{call['likely_late']:.0%}",
        )
        for call in calls
    ]
    yield from _table("running calls", ("tool", "agent", "for", "p95", "late?"), rows, words=2)


def _tokens(what: str, entries: Mapping[str, Document], total: Document) -> Iterator[RenderableType]:
    """Tokens by a name, the most first. Those under no name, and those of names too many to list, are told together."""
    if not any(any(entry.values()) for entry in entries.values()):
        return
    ranked = sorted(entries.items(), key=lambda entry: -sum(entry[1].values()))
    listed, others = ranked[:ROWS], [entry for _, entry in ranked[ROWS:]]
    more = {field: sum(entry[field] for entry in others) for field, _ in TOKENS}
    none = {field: total[field] - sum(entry[field] for entry in entries.values()) for field, _ in TOKENS}
    if any(more.values()):
        listed.append((f"({len(others)} more)", more))
    if any(count > 0 for count in none.values()):
        listed.append((f"(no {what})", {field: max(count, 0) for field, count in none.items()}))
    used = [(field, label) for field, label in TOKENS if any(entry[field] for _, entry in listed)]
    rows = [(_name(name), *(f"{entry[field]:,}" for field, _ in used)) for name, entry in listed]
    yield from _table(f"tokens by {what}", ("", *(label for _, label in used)), rows)


def _tools(tools: Sequence[Document]) -> Iterator[RenderableType]:
    rows = [
        (
            _name(tool["tool_name"]),
            f"{tool['calls']:,}",
            duration(tool["seconds"]),
            f"{tool['share']:.0%}",
            _seconds(tool["p50_seconds"]),
            _seconds(tool["p95_seconds"]),
            _seconds(tool["max_seconds"]),
        )
        for tool in tools[:ROWS]
    ]
    yield from _table("tools", ("tool", "calls", "time", "share", "p50", "p95", "max"), rows)


def _slowest(calls: Sequence[Document]) -> Iterator[RenderableType]:
    rows = [
        (_name(call.get("tool_name", call.get("tool"))), duration(call["seconds"]), clean(call["event_id"]))
        for call in calls[:ROWS]
    ]
    yield from _table("slowest calls", ("tool", "time", "event"), rows)


def _table(
    title: str, heads: Sequence[str], rows: Sequence[Sequence[RenderableType]], words: int = 1
) -> Iterator[RenderableType]:
    """A table of which the first `words` columns are words and the others numbers; none without rows."""
    if not rows:
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, head in enumerate(heads):
        table.add_column(head, justify="left" if index < words else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    yield table


def _name(name: str | None) -> Text:
    return Text(clean(name or "?"), "cyan")


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else duration(seconds)
