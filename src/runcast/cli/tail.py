"""`runcast tail`: events as they come, for people or as NDJSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated

from cyclopts import Parameter

from runcast.cli.access import Access, Where, open_access
from runcast.cli.output import complain, leave_with_reader, print_json
from runcast.cli.usage import UsageError
from runcast.client.addresses import address, is_firehose
from runcast.client.values import Item, What
from runcast.core.event import parse_cursor
from runcast.core.filters import EventSubscriptionFilter, parse_filter
from runcast.errors import StreamNotFound


def tail(
    *streams: Annotated[
        str, Parameter(help="what to watch: kind:id, all of a kind as 'kind:*', or everything as '*'")
    ],
    after: Annotated[str, Parameter(help="where to begin: start, now, or a cursor that was printed")] = "now",
    filter: Annotated[  # noqa: A002 - the field's own word
        str | None, Parameter(help='what to print, as JSON: {"event_types": ["error"]}')
    ] = None,
    type: Annotated[  # noqa: A002 - the event's own word
        list[str] | None, Parameter(negative=(), help="only events of this type (may be repeated)")
    ] = None,
    tool: Annotated[
        list[str] | None, Parameter(negative=(), help="only events of this tool (may be repeated)")
    ] = None,
    status: Annotated[
        list[str] | None, Parameter(negative=(), help="only events of this status (may be repeated)")
    ] = None,
    limit: Annotated[int | None, Parameter(help="end after so many events")] = None,
    json: Annotated[bool, Parameter(negative=(), help="one JSON object per line")] = False,
    where: Where | None = None,
) -> int:
    """Print the events of streams as they come, until interrupted or all of them have ended.

    For example:

        runcast tail 'session:*'
        runcast tail session:demo --after start --type error
        runcast tail '*' --json --url http://localhost:8000 | jq .type

    A server may be restarted meanwhile: nothing is missing afterwards, and
    nothing comes twice. What else there is to tell (a lost connection,
    events that are not kept any more) goes to stderr.
    """
    if not streams:
        raise UsageError("STREAMS: say what to watch, for example 'session:*', or '*' for everything.")
    if limit is not None and limit < 1:
        raise UsageError("--limit: at least 1.")
    if len(streams) > 1 and after not in {"start", "now"}:
        raise UsageError("--after: a cursor belongs to one stream; with several, begin at start or now.")
    for name in streams:
        address(name)  # it raises, where there can be no such stream
    if after not in {"start", "now"}:
        parse_cursor(after)
    wanted = _wanted(filter, type, tool, status)
    many = len(streams) > 1 or any(name.endswith("*") for name in streams)
    show = print_json_event if json else _human(many=many)
    leave_with_reader()
    with (
        open_access(where, must_exist=True) as access,
        access.tail(streams, after, wanted) as items,
    ):
        _warn_of_missing(access, streams)
        if sys.stderr.isatty() and sys.stdout.isatty():
            print(f"Watching {', '.join(streams)} at {access.where}; Ctrl-C leaves.", file=sys.stderr)
        printed = 0
        for item in items:
            if item.what is not What.EVENT:
                complain(_words(item))
                continue
            show(item)
            printed += 1
            if printed == limit:
                break
    return 0


def _warn_of_missing(access: Access, streams: Sequence[str]) -> None:
    """Say which streams are not there yet; they are waited for."""
    for name in dict.fromkeys(streams):
        if not is_firehose(name):
            try:
                access.info(name)
            except StreamNotFound:
                complain(f"{name}: there is no such stream so far; waiting for it.")


def print_json_event(item: Item) -> None:
    """The native event as one line."""
    print_json(item.value)


def _human(*, many: bool) -> Callable[[Item], None]:
    from runcast.cli.lines import LinePrinter

    printer = LinePrinter(with_stream=many)
    return lambda item: printer.print(item.value)


def _wanted(
    text: str | None, types: list[str] | None, tools: list[str] | None, statuses: list[str] | None
) -> EventSubscriptionFilter:
    """The filter that the options make together.

    Raises:
        InvalidFilter: the text is none.
        UsageError: one thing is said twice.
    """
    base = parse_filter(text) if text is not None else EventSubscriptionFilter()
    options = {
        "event_types": ("--type", types),
        "tool_names": ("--tool", tools),
        "statuses": ("--status", statuses),
    }
    fields = {
        name: getattr(base, name) for name in ("session_id", "cost_threshold_tokens", "feature_ids", *options)
    }
    for name, (option, given) in options.items():
        if given:
            if fields[name] is not None:
                raise UsageError(f"{option}: --filter says {name} already.")
            fields[name] = given
    return EventSubscriptionFilter(**fields)


def _words(item: Item) -> str:
    value = item.value
    match item.what:
        case What.GAP:
            return f"{item.source}: events {value['first_seq']} to {value['last_seq']} are not kept any more."
        case What.RESET:
            return f"{item.source}: from the start again. {value['reason']}"
        case What.END:
            return f"{item.source}: has ended."
        case What.LOST:
            return f"{item.source}: {value['reason']} Trying again."
        case _:
            return f"{item.source}: connected again; nothing was missed."
