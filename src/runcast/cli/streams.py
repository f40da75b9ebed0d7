"""`runcast streams`: what there is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

from cyclopts import Parameter

from runcast.cli.access import Access, Where, open_access
from runcast.cli.output import console, print_json
from runcast.core.event import check_kind


def streams(
    *,
    kind: Annotated[str, Parameter(help="only streams of this kind, for example session")] = "",
    json: Annotated[bool, Parameter(negative=(), help="one JSON object per line")] = False,
    where: Where | None = None,
) -> None:
    """List the streams there are: name, number of events, state, and when the last event was.

    For example:

        runcast streams
        runcast streams --kind session --json
    """
    if kind:
        check_kind(kind)
    with open_access(where, must_exist=True) as access:
        found = access.streams(kind)
        if json:
            for info in found:
                print_json(info)
        else:
            _print_table(_with_times(list(found), access), access.where, kind)


def _with_times(found: list[dict[str, Any]], access: Access) -> list[dict[str, Any]]:
    """The streams, each with the time of its last event as `latest`: of a session, when it happened.

    What was taken in from elsewhere is stored later than it happened; of other streams only that is known.
    """
    has_sessions = any(info["stream"].startswith("session:") for info in found)
    told = (
        {one["session_id"]: one["summary"]["last_time"] for one in access.sessions()} if has_sessions else {}
    )
    times = {f"session:{session_id}": time for session_id, time in told.items()}
    return [{**info, "latest": times.get(info["stream"]) or info["updated"]} for info in found]


def _print_table(found: Iterable[dict[str, Any]], place: str, kind: str) -> None:
    from rich import box
    from rich.table import Table

    from runcast.cli.lines import ago

    rows = sorted(found, key=lambda info: datetime.fromisoformat(info["latest"]), reverse=True)
    if not rows:
        print(f"No streams{f' of kind {kind}' if kind else ''} in {place} yet.")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("stream", style="cyan", overflow="fold")
    table.add_column("events", justify="right")
    table.add_column("state")
    table.add_column("last event", justify="right")
    for info in rows:
        events = info["head"] - info["oldest"] + 1
        table.add_row(
            info["stream"], f"{events:,}", "ended" if info["ended"] else "open", ago(info["latest"])
        )
    console().print(table)
