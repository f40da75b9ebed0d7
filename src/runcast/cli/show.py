"""`runcast show`: what a stream adds up to, above all a session."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from runcast.cli.access import Access, Where, open_access
from runcast.cli.output import console, print_json
from runcast.cli.usage import UsageError
from runcast.core.event import split_stream

SESSION = "session"
MAX_LAST = 256


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
        found = {**access.info(stream), **found, "last": access.recent(stream, last) if last else []}
    if json:
        print_json(found)
        return
    from runcast.cli.show_tables import session_parts, stream_parts

    out = console()
    for part in session_parts(found) if kind == SESSION else stream_parts(found):
        out.print(part)


def _session(access: Access, session_id: str) -> dict[str, Any]:
    return {**access.session(session_id), "bottlenecks": access.bottlenecks(session_id)}
