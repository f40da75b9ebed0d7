"""What `runcast show` found, as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from runcast.cli.lines import ago, duration, line_of
from runcast.cli.output import clean

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
    """A session: head, running calls, tokens, tools, slowest calls, last events."""
    summary, totals, bottlenecks = found["summary"], found["totals"], found["bottlenecks"]
    yield _head(found, _session_facts(found, summary))
    yield from _running(bottlenecks["running"])
    for name in ("tool", "model", "agent"):
        yield from _tokens(f"tokens by {name}", totals[f"tokens_by_{name}"])
    yield from _tools(bottlenecks["tools"])
    yield from _slowest(bottlenecks["slowest"])
    yield from _last(found["last"])


def stream_parts(found: Document) -> Iterator[RenderableType]:
    """Any other stream: its state, and its last events."""
    yield _head(found, {})
    yield from _last(found["last"])


def _head(found: Document, more: Mapping[str, str]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    kept = found["head"] - found["oldest"] + 1
    facts = {
        "stream": f"{found['stream']}, {'ended' if found['ended'] else 'open'}",
        **more,
        "events": f"{kept:,}" if kept == found["head"] else f"{kept:,} kept of {found['head']:,}",
        "last one": f"{found['updated']}, {ago(found['updated'])}",
    }
    for name, value in facts.items():
        table.add_row(name, clean(value))
    return table


def _session_facts(found: Document, summary: Document) -> dict[str, str]:
    tokens, dollars = summary["tokens"], summary["cost_usd"]
    told = [f"{tokens[name]:,} {label}" for name, label in TOKENS if tokens[name]]
    facts = {
        "title": summary["title"],
        "agent": summary["agent"],
        "model": summary["model"],
        "folder": summary["cwd"],
        "calls": f"{summary['tool_calls']:,} calls of tools, {summary['running']:,} running",
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


def _tokens(title: str, entries: Mapping[str, Document]) -> Iterator[RenderableType]:
    ranked = sorted(entries.items(), key=lambda entry: -sum(entry[1].values()))
    used = [(field, label) for field, label in TOKENS if any(entry[field] for entry in entries.values())]
    rows = [(_name(name), *(f"{entry[field]:,}" for field, _ in used)) for name, entry in ranked[:ROWS]]
    yield from _table(title, ("", *(label for _, label in used)), rows if used else [])


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


def _last(events: Sequence[Document]) -> Iterator[RenderableType]:
    if events:
        yield Text("last events", "bold")
    for event in events:
        line = line_of(event, with_stream=False)
        line.no_wrap, line.overflow = True, "ellipsis"
        yield line


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
