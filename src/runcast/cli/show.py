"""`runcast show`: what a stream adds up to: a session, a workflow, a plan."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from runcast.cli.access import Access, Where, open_access
from runcast.cli.output import console, print_json
from runcast.cli.usage import UsageError
from runcast.core.event import split_stream

if TYPE_CHECKING:
    from rich.console import RenderableType

SESSION = "session"
RUNS = ("workflow", "plan")
MAX_LAST = 256
"""So many of those stored last are looked at."""


def show(
    stream: str,
    /,
    *,
    last: Annotated[int, Parameter(help="how many of the last events to show")] = 10,
    json: Annotated[bool, Parameter(negative=(), help="everything as one JSON object")] = False,
    where: Where | None = None,
) -> None:
    """Show what a session, a workflow or a plan adds up to, and its last events.

    For example:

        runcast show session:demo
        runcast show session:demo --json --url http://localhost:8000
        runcast show plan:plan_3f2a9c0d1e4b --last 30

    Of a session it shows tokens, time, errors and running calls, of a workflow
    its agents, of a plan its steps; of any other stream its state.

    Parameters
    ----------
    stream
        which: kind:id, for example session:demo
    """
    kind, stream_id = split_stream(stream)
    if not 0 <= last <= MAX_LAST:
        raise UsageError(f"--last: from 0 to {MAX_LAST}.")
    with open_access(where, must_exist=True) as access:
        info = access.info(stream)
        found = {**info, **_document(access, kind, stream_id), "last": _last(access, stream, last)}
    if json:
        print_json(found)
        return
    _print(found, kind)


def _print(found: dict[str, Any], kind: str) -> None:
    from runcast.cli.lines import LinePrinter

    out = console()
    for part in _parts(found, kind):
        out.print(part)
    if found["last"]:
        out.print("last events", style="bold")
    printer = LinePrinter(with_stream=False, out=out)
    for event in found["last"]:
        printer.print(event)


def _parts(found: dict[str, Any], kind: str) -> Iterator[RenderableType]:
    from runcast.cli import run_tables, show_tables

    match kind:
        case "session":
            return show_tables.session_parts(found)
        case "workflow":
            return run_tables.workflow_parts(found)
        case "plan":
            return run_tables.plan_parts(found)
        case _:
            return show_tables.stream_parts(found)


def _last(access: Access, stream: str, count: int) -> list[dict[str, Any]]:
    """The `count` latest events by their times: sources may store them in another order."""
    recent = access.recent(stream, MAX_LAST) if count else []
    return sorted(recent, key=lambda event: datetime.fromisoformat(event["time"]))[-count:]


def _document(access: Access, kind: str, stream_id: str) -> dict[str, Any]:
    """What the kind's own feed says of it; nothing for kinds without one."""
    if kind == SESSION:
        return {**access.session(stream_id), "bottlenecks": access.bottlenecks(stream_id)}
    return access.run(kind, stream_id) if kind in RUNS else {}
