"""`runcast workflow`: run a workflow of agents and watch it live; list, show, cancel workflows, answer what they ask."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from runcast.cli.access import Where
from runcast.cli.output import console, print_json
from runcast.cli.run_commands import LIST_SIZE, attach_to, checked, list_runs, run_and_show
from runcast.cli.run_place import RunPlace, open_runs
from runcast.cli.usage import UsageError

workflow = App(
    name="workflow",
    help="""Run a workflow of agents and watch it live; answer what it asks.

    For example:

        runcast workflow run "How do tides come about?"
        runcast workflow list
        runcast workflow approve wf_3f2a9c0d1e4b5a67.1 --comment "go ahead"

    With --url (or RUNCAST_URL) a server does the work; without, this process
    does, on the log. `runcast workflow run --help` says more.
    """,
)

Json = Annotated[bool, Parameter(negative=(), help="answer as JSON")]
Load = Annotated[
    list[str] | None,
    Parameter(negative=(), help="import this Python module first, for the workflows in it; repeatable"),
]


@workflow.command
def run(
    task: str,
    /,
    *,
    workflow: Annotated[
        str | None, Parameter(name="--workflow", help="which function runs it [default: research]")
    ] = None,
    max_steps: Annotated[int | None, Parameter(help="at most so many agents, 1 to 50")] = None,
    parent: Annotated[
        str | None, Parameter(help="the id of a completed workflow that this one follows up on")
    ] = None,
    load: Load = None,
    json: Annotated[
        bool, Parameter(negative=(), help="print each event as a line of JSON, the result last")
    ] = False,
    where: Where | None = None,
) -> int:
    """Run a workflow, and show it live until its result is there.

    For example:

        runcast workflow run "How do tides come about?"
        runcast workflow run "Review v2.1" --workflow review --load review
        runcast workflow run "How do tides come about?" --json | tail -1

    With --url a server runs it. Without, it runs in this process, on the log,
    unless a server on the same log is quicker: what you see is the same.

    Ctrl-C cancels it; a second Ctrl-C leaves it as it is, for another process
    to go on with. On a terminal, questions are answered by y or n. The exit
    code is 0 if it was completed, 1 if it failed, 130 after Ctrl-C.

    Parameters
    ----------
    task
        what shall be done, in your words
    """
    if parent is not None:
        checked("workflow", parent)
    wanted: dict[str, Any] = {
        "task": task,
        "workflow": workflow,
        "max_steps": max_steps,
        "parent_workflow_id": parent,
    }
    return run_and_show(
        "workflow", lambda place: place.start("workflow", wanted), where, load=load, as_json=json
    )


@workflow.command
def attach(
    workflow_id: str,
    /,
    *,
    load: Load = None,
    json: Annotated[
        bool, Parameter(negative=(), help="print each event as a line of JSON, the result last")
    ] = False,
    where: Where | None = None,
) -> int:
    """Show a workflow that is under way, from its start until its result is there.

    Without --url, this process goes on with it if its own has died: agents
    that had completed are not run again. Ctrl-C leaves it, and cancels nothing.

    Parameters
    ----------
    workflow_id
        which, as `runcast workflow list` shows it
    """
    return attach_to("workflow", workflow_id, where, load=load, as_json=json)


@workflow.command(name="list")
def list_(
    *,
    status: Annotated[
        str, Parameter(help="only pending, running, completed, failed or cancelled; several by commas")
    ] = "",
    limit: Annotated[int, Parameter(help="how many at most")] = LIST_SIZE,
    json: Annotated[bool, Parameter(negative=(), help="one JSON object per line")] = False,
    where: Where | None = None,
) -> None:
    """List workflows, the latest first."""
    list_runs("workflow", status, limit, where, as_json=json)


@workflow.command
def show(workflow_id: str, /, *, json: Json = False, where: Where | None = None) -> None:
    """Show what a workflow has come to: its agents, and its result.

    Parameters
    ----------
    workflow_id
        which, as `runcast workflow list` shows it
    """
    checked("workflow", workflow_id)
    with open_runs(where, must_exist=True) as place:
        found = place.document("workflow", workflow_id)
    if json:
        print_json(found)
        return
    from runcast.cli.run_tables import print_workflow

    print_workflow(console(), found)


@workflow.command
def cancel(
    workflow_id: str,
    /,
    *,
    reason: Annotated[str | None, Parameter(help="why, for those who look at it later")] = None,
    json: Json = False,
    where: Where | None = None,
) -> None:
    """Cancel a workflow, wherever it runs.

    Parameters
    ----------
    workflow_id
        which, as `runcast workflow list` shows it
    """
    checked("workflow", workflow_id)
    with open_runs(where, must_exist=True) as place:
        found = place.cancel(workflow_id, reason)
    if json:
        print_json(found)
    elif found["status"] == "cancelled":
        print(f"{workflow_id} is cancelled.")
    else:
        print(f"{workflow_id} is told to end; whoever runs it ends it within a second.")


@workflow.command
def approve(
    approval_id: str,
    /,
    *,
    reject: Annotated[bool, Parameter(negative=(), help="say no")] = False,
    comment: Annotated[str | None, Parameter(help="what you want to say to it")] = None,
    json: Json = False,
    where: Where | None = None,
) -> None:
    """Answer what a workflow asks, with yes, or with no by --reject. The first answer counts.

    For example:

        runcast workflow approve wf_3f2a9c0d1e4b5a67.1
        runcast workflow approve wf_3f2a9c0d1e4b5a67 --reject --comment "not yet"

    Parameters
    ----------
    approval_id
        the question, as `runcast workflow show` shows it; if there is only one, its workflow will do
    """
    with open_runs(where, must_exist=True) as place:
        asked = approval_id if "." in approval_id else _only_question(place, approval_id)
        answer = place.approve(asked, not reject, comment)
    if json:
        print_json(answer)
    else:
        print(f"{asked} is {'refused' if reject else 'approved'}.")


def _only_question(place: RunPlace, workflow_id: str) -> str:
    checked("workflow", workflow_id)
    waiting = place.document("workflow", workflow_id)["approvals"]
    if len(waiting) == 1:
        return waiting[0]["approval_id"]
    if not waiting:
        raise UsageError(f"{workflow_id} asks nothing now.")
    names = ", ".join(one["approval_id"] for one in waiting)
    raise UsageError(f"{workflow_id} asks several things; name one of them: {names}.")
