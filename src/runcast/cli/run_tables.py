"""Runs as their documents have them, for people: a list as a table, one run in all its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from runcast.cli.lines import ago
from runcast.cli.output import clean
from runcast.cli.run_place import Kind
from runcast.cli.run_results import print_text
from runcast.cli.run_watching import text_of
from runcast.cli.run_words import progress_words, seconds_of, style_of

Document = Mapping[str, Any]
LINE_CHARS: Final = 200


def print_list(out: Console, kind: Kind, runs: Sequence[Document]) -> None:
    """A line for each run."""
    what = "agents" if kind == "workflow" else "steps"
    heads = (kind, "state", what, "begun", "task" if kind == "workflow" else "name")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(
            head,
            justify="right" if head in {what, "begun"} else "left",
            overflow="fold",
            no_wrap=head != heads[-1],
        )
    for one in runs:
        table.add_row(
            Text(one[f"{kind}_id"], "cyan"),
            Text(one["status"], style_of(one["status"])),
            _parts_done(one),
            ago(one["created_at"]) if one["created_at"] else "",
            Text(clean(one.get("task") or one.get("name") or one.get("query") or "")[:LINE_CHARS]),
        )
    out.print(table)


def print_workflow(out: Console, found: Document) -> None:
    """A workflow: what it is, its agents, what it asks, what it has come to."""
    for part in workflow_parts(found):
        out.print(part)
    synthesis = found["synthesis"]
    if synthesis and synthesis["content"]:
        out.print()
        print_text(out, synthesis["content"])


def workflow_parts(found: Document) -> Iterator[RenderableType]:
    """A workflow's tables."""
    progress, figures = found["progress"], found["performance_metrics"]
    going = found["status"] in {"pending", "running"}
    yield _facts(
        found,
        "workflow",
        {
            "task": found["task"],
            "workflow": found["workflow"],
            "model": found["model"],
            "follows": found["parent_workflow_id"],
            "progress": progress_words(progress["percent"], progress["eta_seconds"], progress["message"])
            if progress and going
            else None,
            "took": _figures(figures) if figures else None,
        },
    )
    rows = [
        (
            one["agent_id"],
            one["agent_type"],
            Text(one["status"], style_of(one["status"])),
            seconds_of(one["seconds"] or None),
            "" if one["confidence"] is None else f"{one['confidence']:.0%}",
            clean(one["error"] or one["content"])[:LINE_CHARS],
        )
        for one in found["agents_spawned"]
    ]
    yield from _table(("agent", "type", "state", "took", "sure", "output"), rows, {"took", "sure"})
    for one in found["approvals"]:
        yield Text(f"? {clean(one['question'])}", "bold magenta")
        yield Text(f"  runcast workflow approve {one['approval_id']}  (or --reject)", "dim")


def print_plan(out: Console, found: Document) -> None:
    """A plan: what it is, its steps, what it waits for."""
    for part in plan_parts(found):
        out.print(part)


def plan_parts(found: Document) -> Iterator[RenderableType]:
    """A plan's tables."""
    name = found["name"] or found["query"]
    query = found["query"] if found["query"] != name else None
    yield _facts(found, "plan", {"plan": name, "query": query, "steps": _parts_done(found)})
    rows = [
        (
            one["step_id"],
            Text("blocked" if one["blocked"] else one["status"], style_of(one["status"])),
            one["action"],
            f"{one['attempt']}",
            seconds_of(one["seconds"]),
            "" if one["quality_score"] is None else f"{one['quality_score']:.2f}",
            clean(one["error"] or one["reason"] or _after(one) or one["name"])[:LINE_CHARS],
        )
        for one in found["steps"]
    ]
    heads = ("step", "state", "action", "tries", "took", "quality", "about")
    yield from _table(heads, rows, {"tries", "took", "quality"})
    for one in found["reviews"]:
        yield Text(
            f"? {one['step_id']}: {clean(one['reason'] or 'A person has to look at its result.')}",
            "bold magenta",
        )
        yield Text(f"  runcast plan review {found['plan_id']} {one['gate']}  (or --reject)", "dim")


def print_step(out: Console, step: Document) -> None:
    """One step of a plan, with its result."""
    for name in (
        "step_id",
        "name",
        "status",
        "action",
        "description",
        "error",
        "reason",
        "attempt",
        "quality_score",
    ):
        if step[name] not in (None, ""):
            out.print(Text.assemble((f"{name.replace('_', ' '):<15}", "dim"), clean(str(step[name]))))
    if text := text_of(step["result"]):
        out.print()
        print_text(out, text)


def _facts(found: Document, kind: Kind, more: Mapping[str, object]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    state = Text(found["status"], style_of(found["status"]))
    if found["error"]:
        state.append(f": {clean(found['error'])}")
    table.add_row("id", Text(found[f"{kind}_id"]))
    table.add_row("state", state)
    begun = f"{found['created_at']}, {ago(found['created_at'])}" if found["created_at"] else None
    for name, value in {**more, "begun": begun, "by": found["by"]}.items():
        if value:
            table.add_row(name, Text(clean(str(value))))
    return table


def _figures(figures: Document) -> str:
    return f"{seconds_of(figures['total_duration'])}, {figures['llm_calls']:,} model calls, {figures['total_tokens']:,} tokens"


def _after(step: Document) -> str:
    waits = step["status"] == "waiting" and step["depends_on"]
    return (
        f"after {', '.join(step['depends_on'])}"
        if waits
        else step["message"]
        if step["status"] == "running"
        else ""
    )


def _parts_done(one: Document) -> str:
    if "agents_spawned" in one:
        agents = one["agents_spawned"]
        done = sum(agent["status"] == "completed" for agent in agents)
        return f"{done}/{len(agents)}"
    counts = one["steps_by_status"]
    return f"{counts.get('completed', 0) + counts.get('skipped', 0)}/{one['total_steps']}"


def _table(
    heads: Sequence[str], rows: Sequence[Sequence[str | Text]], numbers: set[str]
) -> Iterator[RenderableType]:
    if not rows:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
    for head in heads:
        last = head == heads[-1]
        table.add_column(
            head,
            justify="right" if head in numbers else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if last else None,
        )
    for row in rows:
        table.add_row(*(one if isinstance(one, Text) else Text(clean(one)) for one in row))
    yield table
