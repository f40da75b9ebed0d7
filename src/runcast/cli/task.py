"""`runcast task`: start background tasks, list and show them, cancel them. `runcast worker` works at them."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from cyclopts import App, Parameter

from runcast.cli.access import Where
from runcast.cli.lines import ago
from runcast.cli.output import clean, console, print_json
from runcast.cli.run_words import style_of
from runcast.cli.task_place import PAGE_SIZE, open_tasks
from runcast.cli.usage import UsageError
from runcast.core.event import stream_name

LIST_SIZE: Final = 20
TITLE_CHARS: Final = 80

task = App(
    name="task",
    help="""Start background tasks, list and show them, cancel them.

    For example:

        runcast task start scam_analysis text="Verify at http://paypa1.top"
        runcast task list --status running
        runcast task cancel 7f3c2a10-...

    `runcast tail task:ID` follows one. A server works at tasks, or `runcast worker`.
    """,
)

Json = Annotated[bool, Parameter(negative=(), help="answer as JSON")]


@task.command
def start(
    task_type: str,
    /,
    *params: str,
    id: Annotated[str | None, Parameter(help="what it shall be called [default: an id of its own]")] = None,  # noqa: A002
    load: Annotated[
        list[str] | None,
        Parameter(negative=(), help="import this Python module first, for the tasks in it; repeatable"),
    ] = None,
    json: Json = False,
    where: Where | None = None,
) -> None:
    """Start a task, and print its id.

    For example:

        runcast task start scam_analysis text="Verify at http://paypa1.top"
        runcast task start count to=10 --load my_tasks

    Parameters
    ----------
    task_type
        which task, such as scam_analysis
    params
        what it is begun with, NAME=VALUE each; a value that is JSON is taken as such, any other as text
    """
    given = dict(_param(one) for one in params)
    found = open_tasks(where, load=load or ()).start(task_type, given, id)
    if json:
        print_json(found)
    else:
        print(found["task_id"])


@task.command(name="list")
def list_(
    *,
    status: Annotated[
        str,
        Parameter(help="only queued, running, retrying, completed, failed or cancelled; several by commas"),
    ] = "",
    limit: Annotated[int, Parameter(help="how many at most")] = LIST_SIZE,
    json: Annotated[bool, Parameter(negative=(), help="one JSON object per line")] = False,
    where: Where | None = None,
) -> None:
    """List tasks, the latest first."""
    if not 1 <= limit <= PAGE_SIZE:
        raise UsageError(f"--limit: an integer from 1 to {PAGE_SIZE}.")
    place = open_tasks(where)
    found, total = place.listed(status, limit)
    if json:
        for one in found:
            print_json(one)
    elif not found:
        print(f"No tasks{f' that are {status}' if status else ''} on {place.where} yet.")
    else:
        _print_list(found, total)


@task.command
def show(task_id: str, /, *, json: Json = False, where: Where | None = None) -> None:
    """Show what a task has come to.

    Parameters
    ----------
    task_id
        which, as `runcast task list` shows it
    """
    stream_name("task", task_id)
    found = open_tasks(where).show(task_id)
    if json:
        print_json(found)
        return
    from rich.text import Text

    out = console()
    for name, value in found.items():
        if value not in (None, "", False):
            words = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            out.print(Text.assemble((f"{name.replace('_', ' '):<16}", "dim"), clean(words)))


@task.command
def cancel(
    task_id: str,
    /,
    *,
    reason: Annotated[str | None, Parameter(help="why, for those who look at it later")] = None,
    json: Json = False,
    where: Where | None = None,
) -> None:
    """Cancel a task, wherever it runs.

    It ends at its next step, or is ended two seconds later. What another
    program only tells of cannot be cancelled.

    Parameters
    ----------
    task_id
        which, as `runcast task list` shows it
    """
    stream_name("task", task_id)
    found = open_tasks(where).cancel(task_id, reason)
    if json:
        print_json(found)
    elif found["status"] == "cancelled":
        print(f"{task_id} is cancelled.")
    else:
        print(f"{task_id} is told to end; whoever runs it ends it within a few seconds.")


def _param(given: str) -> tuple[str, Any]:
    name, equals, value = given.partition("=")
    if not (name and equals):
        raise UsageError(f"{clean(given)[:60]}: NAME=VALUE is expected.")
    try:
        return name, msgspec.json.decode(value)
    except (ValueError, RecursionError):
        return name, value


def _state(one: dict[str, Any]) -> str:
    return f"{one['status']} {one['percent']} %" if one["status"] == "running" else one["status"]


def _print_list(found: list[dict[str, Any]], total: int) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("task", "state", "begun", "title"):
        justify = "right" if head == "begun" else "left"
        table.add_column(head, justify=justify, overflow="fold", no_wrap=head != "title")
    for one in found:
        title = one["title"] or one["type"] or one["message"] or ""
        table.add_row(
            Text(one["task_id"], "cyan"),
            Text(_state(one), style_of(one["status"])),
            ago(one["created_at"]),
            Text(clean(title)[:TITLE_CHARS]),
        )
    out = console()
    out.print(table)
    if total > len(found):
        out.print(f"{total - len(found):,} more; --limit shows them.", style="dim")
