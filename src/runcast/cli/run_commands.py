"""What `runcast workflow` and `runcast plan` share: running and attaching, lists, and what is said after a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from runcast.cli.access import Where
from runcast.cli.output import clean, console, print_json
from runcast.cli.run_place import Kind, RunPlace, open_runs, option_of
from runcast.cli.usage import UsageError
from runcast.core.event import stream_name
from runcast.errors import InvalidInput

MAX_LISTED: Final = 1_000
LIST_SIZE: Final = 20


def run_and_show(
    kind: Kind,
    begin: Callable[[RunPlace], str],
    where: Where | None,
    *,
    load: list[str] | None = None,
    as_json: bool,
    is_new: bool = True,
) -> int:
    """Begin a run (or find the one that is there) and show it until its end; returns the exit code."""
    from runcast.cli.run_asking import Asking
    from runcast.cli.run_session import Session
    from runcast.cli.run_views import make_view
    from runcast.cli.run_watching import watching

    asking = Asking()
    with open_runs(where, load=load or (), must_exist=not is_new) as place:
        run_id = begin(place)
        view = make_view(as_json=as_json, asking=asking)
        session = Session(
            place,
            watching(kind, run_id, 0 if is_new else place.head(stream_name(kind, run_id))),
            view,
            asking,
            cancels=is_new,
            option=option_of(where),
            again=f"runcast {kind} attach {run_id}{option_of(where, load)}",
        )
        return session.accompany()


def attach_to(kind: Kind, run_id: str, where: Where | None, *, load: list[str] | None, as_json: bool) -> int:
    """Show a run that is there until its end; on a log, be its runner if it has none."""
    checked(kind, run_id)

    def find(place: RunPlace) -> str:
        place.document(kind, run_id)
        return run_id

    return run_and_show(kind, find, where, load=load, as_json=as_json, is_new=False)


def list_runs(kind: Kind, status: str, limit: int, where: Where | None, *, as_json: bool) -> None:
    """The runs there are, the latest first."""
    if not 1 <= limit <= MAX_LISTED:
        raise UsageError(f"--limit: an integer from 1 to {MAX_LISTED:,}.")
    with open_runs(where, must_exist=True) as place:
        try:
            found = place.listed(kind, status, limit)
        except InvalidInput as error:
            if error.field != "status_filter":
                raise
            raise UsageError(str(error).replace("status_filter", "--status", 1)) from None
    if as_json:
        for one in found.runs:
            print_json(one)
        return
    if not found.runs:
        those = f" that are {status}" if status else ""
        print(f"No {kind}s{those} on {place.where} yet.")
        return
    from runcast.cli.run_tables import print_list

    out = console()
    print_list(out, kind, found.runs)
    if found.total > len(found.runs):
        out.print(f"{found.total - len(found.runs):,} more; --limit shows them.", style="dim")


def give(plan_id: str, command: str, where: Where | None, *, as_json: bool, **arguments: Any) -> int:
    """Give a plan a command, and say what has become of it."""
    checked("plan", plan_id)
    with open_runs(where, must_exist=True) as place:
        outcome = place.command(plan_id, command, **arguments)
    if as_json:
        print_json(outcome)
        return 0
    words = {name: value for name, value in arguments.items() if name in {"step_id", "gate"}}
    print(clean(_said(plan_id, command, outcome, "".join(words.values()), option_of(where))))
    return 0


def _said(plan_id: str, command: str, outcome: Mapping[str, Any], step: str, option: str) -> str:
    if outcome["status"] == "waiting":
        return (
            f"{command} is stored, but nobody runs {plan_id} now. "
            f"It is carried out by a server on this log, or by: runcast plan attach {plan_id}{option}"
        )
    event = str(outcome.get("event") or "").replace("_", " ")
    return f"{plan_id}: {event}{f' ({step})' if step else ''}."


def checked(kind: Kind, run_id: str) -> str:
    """The id, if a run can be called so.

    Raises:
        InvalidStreamName: none can.
    """
    stream_name(kind, run_id)
    return run_id
