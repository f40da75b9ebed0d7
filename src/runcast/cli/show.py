"""`runcast show`: what a stream adds up to, above all a session."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from cyclopts import Parameter

from runcast.cli.access import Access, Where, open_access
from runcast.cli.output import console, print_json
from runcast.cli.usage import UsageError
from runcast.core.event import split_stream

SESSION = "session"
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
    """Show what a session adds up to: tokens, time, errors, running calls.

    For example:

        runcast show session:demo
        runcast show session:demo --json --url http://localhost:8000

    Of streams of other kinds it shows their state and the last events.

    Parameters
    ----------
    stream
        which: kind:id, for example session:demo
    """
    kind, stream_id = split_stream(stream)
    if not 0 <= last <= MAX_LAST:
        raise UsageError(f"--last: from 0 to {MAX_LAST}.")
    with open_access(where, must_exist=True) as access:
        found = _session(access, stream_id) if kind == SESSION else {}
        found = {**access.info(stream), **found, "last": _last(access, stream, last)}
    if json:
        print_json(found)
        return
    _print(found, is_session=kind == SESSION)


def _print(found: dict[str, Any], *, is_session: bool) -> None:
    from runcast.cli.lines import LinePrinter
    from runcast.cli.show_tables import session_parts, stream_parts

    out = console()
    for part in session_parts(found) if is_session else stream_parts(found):
        out.print(part)
    if found["last"]:
        out.print("last events", style="bold")
    printer = LinePrinter(with_stream=False, out=out)
    for event in found["last"]:
        printer.print(event)


def _last(access: Access, stream: str, count: int) -> list[dict[str, Any]]:
    """The `count` latest events by their times: sources may store them in another order."""
    recent = access.recent(stream, MAX_LAST) if count else []
    return sorted(recent, key=lambda event: datetime.fromisoformat(event["time"]))[-count:]


def _session(access: Access, session_id: str) -> dict[str, Any]:
    return {**access.session(session_id), "bottlenecks": access.bottlenecks(session_id)}
