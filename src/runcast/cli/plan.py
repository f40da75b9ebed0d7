"""`runcast plan`: run a plan of steps and watch it live; list, show and steer plans, answer their reviews."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from runcast.cli.access import Where
from runcast.cli.output import console, print_json
from runcast.cli.run_commands import LIST_SIZE, attach_to, checked, give, list_runs, run_and_show
from runcast.cli.run_place import RunPlace, open_runs, option_of
from runcast.errors import Conflict, InvalidInput

plan = App(
    name="plan",
    help="""Run a plan of steps and watch it live; pause, mend and review it.

    For example:

        runcast plan run plan.yaml
        runcast plan list --status running
        runcast plan retry plan_3f2a9c0d1e4b fetch

    With --url (or RUNCAST_URL) a server does the work; without, this process
    does, on the log. `runcast plan run --help` says more.
    """,
)

Json = Annotated[bool, Parameter(negative=(), help="answer as JSON")]
Events = Annotated[bool, Parameter(negative=(), help="print each event as a line of JSON, the result last")]
Reason = Annotated[str | None, Parameter(help="why, for those who look at it later")]
Load = Annotated[
    list[str] | None,
    Parameter(negative=(), help="import this Python module first, for the actions in it; repeatable"),
]


@plan.command
def run(file: str, /, *, load: Load = None, json: Events = False, where: Where | None = None) -> int:
    """Run a plan, and show it live until it is done.

    For example:

        runcast plan run plan.yaml
        runcast plan run plan.yaml --load steps
        runcast plan run plan.yaml --json --url http://localhost:8000

    A small plan:

        name: Tides
        steps:
          - id: facts
            description: What causes tides?
          - id: uses
            description: Who needs tide tables?
          - id: report
            depends_on: [facts, uses]
            description: Write a short report.
            quality_gate: {min_score: 0.5, on_fail: review}

    With --url a server runs it. Without, it runs in this process, on the log,
    unless a server on the same log is quicker: what you see is the same.

    Ctrl-C cancels it; a second Ctrl-C leaves it as it is, for another process
    to go on with. On a terminal, reviews are answered by y or n. The exit code
    is 0 if it was completed, 1 if it failed, 130 after Ctrl-C.

    Parameters
    ----------
    file
        the plan, as YAML or JSON
    """
    from runcast.cli.plan_file import read_plan_file

    given = read_plan_file(file)

    def begin(place: RunPlace) -> str:
        try:
            return place.start("plan", given.value)
        except InvalidInput as error:
            raise given.located(error) from None
        except Conflict as error:
            known = given.value.get("plan_id")
            raise Conflict(
                f"{error} To see it: runcast plan attach {known}{option_of(where, load)}"
            ) from None

    return run_and_show("plan", begin, where, load=load, as_json=json)


@plan.command
def attach(plan_id: str, /, *, load: Load = None, json: Events = False, where: Where | None = None) -> int:
    """Show a plan that is under way, from its start until it is done.

    Without --url, this process goes on with it if its own has died: steps that
    were completed are not run again. Ctrl-C leaves it, and cancels nothing.

    Parameters
    ----------
    plan_id
        which, as `runcast plan list` shows it
    """
    return attach_to("plan", plan_id, where, load=load, as_json=json)


@plan.command(name="list")
def list_(
    *,
    status: Annotated[
        str, Parameter(help="only running, paused, completed, failed or cancelled; several by commas")
    ] = "",
    limit: Annotated[int, Parameter(help="how many at most")] = LIST_SIZE,
    json: Annotated[bool, Parameter(negative=(), help="one JSON object per line")] = False,
    where: Where | None = None,
) -> None:
    """List plans, the latest first."""
    list_runs("plan", status, limit, where, as_json=json)


@plan.command
def show(plan_id: str, step: str | None = None, /, *, json: Json = False, where: Where | None = None) -> None:
    """Show a plan with its steps, or one step with its result.

    Parameters
    ----------
    plan_id
        which, as `runcast plan list` shows it
    step
        one of its steps
    """
    checked("plan", plan_id)
    with open_runs(where, must_exist=True) as place:
        found = place.document("plan", plan_id)
    if step is not None:
        steps = {one["step_id"]: one for one in found["steps"]}
        if step not in steps:
            raise InvalidInput(
                f'STEP: there is no step "{step}" in {plan_id}; there are: {", ".join(steps)}.', field="step"
            )
        found = steps[step]
    if json:
        print_json(found)
        return
    from runcast.cli.run_tables import print_plan, print_step

    (print_plan if step is None else print_step)(console(), found)


@plan.command
def pause(plan_id: str, /, *, reason: Reason = None, json: Json = False, where: Where | None = None) -> int:
    """Begin nothing new; steps that are at work come to their ends.

    Parameters
    ----------
    plan_id
        which, as `runcast plan list` shows it
    """
    return give(plan_id, "pause", where, as_json=json, reason=reason)


@plan.command
def resume(plan_id: str, /, *, reason: Reason = None, json: Json = False, where: Where | None = None) -> int:
    """Go on with a plan that is paused.

    Parameters
    ----------
    plan_id
        which, as `runcast plan list` shows it
    """
    return give(plan_id, "resume", where, as_json=json, reason=reason)


@plan.command
def cancel(plan_id: str, /, *, reason: Reason = None, json: Json = False, where: Where | None = None) -> int:
    """Cancel a plan, wherever it runs.

    Parameters
    ----------
    plan_id
        which, as `runcast plan list` shows it
    """
    return give(plan_id, "cancel", where, as_json=json, reason=reason)


@plan.command
def retry(
    plan_id: str, step: str, /, *, reason: Reason = None, json: Json = False, where: Where | None = None
) -> int:
    """Do a step again, with all its attempts; a plan that has failed by it goes on.

    Parameters
    ----------
    plan_id
        which, as `runcast plan list` shows it
    step
        which, as `runcast plan show` shows it
    """
    return give(plan_id, "retry_step", where, as_json=json, step_id=step, reason=reason)


@plan.command
def skip(
    plan_id: str, step: str, /, *, reason: Reason = None, json: Json = False, where: Where | None = None
) -> int:
    """Leave a step out; those that wait for it go on without its result.

    Parameters
    ----------
    plan_id
        which, as `runcast plan list` shows it
    step
        which, as `runcast plan show` shows it
    """
    return give(plan_id, "skip_step", where, as_json=json, step_id=step, reason=reason)


@plan.command
def review(
    plan_id: str,
    step: str,
    /,
    *,
    reject: Annotated[bool, Parameter(negative=(), help="say no: the step has failed")] = False,
    comment: Annotated[str | None, Parameter(help="what you want to say to it")] = None,
    json: Json = False,
    where: Where | None = None,
) -> int:
    """Answer a review: the step's result counts, or not by --reject.

    For example:

        runcast plan show plan_3f2a9c0d1e4b report
        runcast plan review plan_3f2a9c0d1e4b report --comment "good enough"

    Parameters
    ----------
    plan_id
        which, as `runcast plan list` shows it
    step
        the one whose result waits for a review
    """
    return give(plan_id, "review", where, as_json=json, gate=step, approved=not reject, comment=comment)
