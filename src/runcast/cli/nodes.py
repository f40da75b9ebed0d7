"""`runcast nodes`: the servers of a log, and what each is at."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from runcast.cli.access import Where, open_access
from runcast.cli.output import clean, console, print_json

if TYPE_CHECKING:
    from rich.table import Table

SILENT = "silent"
_STYLES = {"up": "green", SILENT: "yellow", "left": "dim", "lost": "red"}
SPARE_S = 30
"""Clocks of machines differ, and a log may have been away."""
NUMBERS = ("clients", "subscriptions", "out/s", "in/s", "CPU", "memory", "runs")
IN_SHORT = ("clients", "out/s", "CPU", "memory", "runs")
"""On a narrow terminal."""
WIDE_COLUMNS = 110


def nodes(
    *,
    json: Annotated[bool, Parameter(negative=(), help="everything as one JSON object")] = False,
    where: Where | None = None,
) -> None:
    """List the servers that share a log: since when, how they fare, and which have left or were lost.

    For example:

        runcast nodes --log redis://localhost:6379
        runcast nodes --url http://localhost:8000 --json

    A node says how it fares every 10 seconds. One that is silent for three
    times that counts as lost as soon as another one notices. A single server
    on a file tells others nothing: ask it, with --url.
    """
    with open_access(where, must_exist=True) as access:
        found = access.nodes()
    if json:
        print_json(found)
    elif found["nodes"]:
        out = console()
        out.print(_table(found["nodes"], is_wide=out.width >= WIDE_COLUMNS))
    else:
        print(
            f"No node has told of itself in {access.where}. A single server on a file does not: ask it, with --url."
        )


def _table(found: list[dict[str, Any]], *, is_wide: bool) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from runcast.cli.lines import ago

    shown = NUMBERS if is_wide else IN_SHORT
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("node", style="cyan", overflow="fold")
    table.add_column("state", no_wrap=True)
    table.add_column("since", justify="right", no_wrap=True)
    for name in shown:
        table.add_column(name, justify="right", no_wrap=True)
    if is_wide:
        table.add_column("version")
    for node in found:
        state, numbers = _state(node), _numbers(node)
        table.add_row(
            clean(node["node_id"]),
            Text(state, _STYLES.get(state, "")),
            ago(node["gone_at"] or node["joined_at"]),
            *(numbers.get(name, "") for name in shown),
            *([clean(node["version"])] if is_wide else []),
        )
    return table


def _state(node: dict[str, Any]) -> str:
    """As it was told; but nobody may be there to tell that the last one was killed."""
    seen = datetime.fromisoformat(node["seen_at"])
    silent_s = (datetime.now(UTC) - seen).total_seconds()
    if node["status"] == "up" and silent_s > 3 * node["interval_s"] + SPARE_S:
        return SILENT
    return node["status"]


def _numbers(node: dict[str, Any]) -> dict[str, str]:
    """What it is at, by the columns' names; nothing for one that is gone."""
    if node["status"] != "up":
        return {}
    load = node["load"]
    return {
        "clients": f"{load['connections']:,}",
        "subscriptions": f"{load['subscriptions']:,}",
        "out/s": f"{load['deliveries_per_s']:,.0f}",
        "in/s": f"{load['published_per_s']:,.0f}",
        "CPU": f"{load['cpu_percent']:.0f} %",
        "memory": f"{load['memory_mb']:.0f} MB",
        "runs": f"{sum(load['runs'].values()):,}",
    }
