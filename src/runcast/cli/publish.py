"""`runcast publish`: one event from the command line, or many from a file or a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, cast

import msgspec
from cyclopts import Parameter

from runcast.cli.access import Access, Where, open_access
from runcast.cli.output import complain, console, plural, print_json
from runcast.cli.usage import UsageError
from runcast.client.ndjson import NdjsonPublisher, Tally, describe
from runcast.client.values import Receipt
from runcast.core.event import split_stream
from runcast.errors import ConfigError, InvalidEvent, InvalidInput, RuncastError

CHUNK_BYTES = 256 * 1024
PATIENCE_S = 10.0
"""How long a server may be gone in the middle of a file."""
Advance = Callable[[int, Tally], None]
"""Told of so many more bytes, and of what has become of them."""


class NotAllPublished(RuncastError):
    """A file of events was not published to its end."""

    code = "not_all_published"


def publish(
    stream: str,
    type: str | None = None,  # noqa: A002 - the event's own word
    /,
    *,
    data: Annotated[str | None, Parameter(help="the event's data, a JSON object")] = None,
    id: Annotated[  # noqa: A002 - the event's own word
        str | None, Parameter(help="an id: the same one published again is not stored twice")
    ] = None,
    time: Annotated[str | None, Parameter(help="when it happened, by RFC 3339 [default: now]")] = None,
    file: Annotated[
        str | None,
        Parameter(allow_leading_hyphen=True, help="events from a file of NDJSON, one per line; - is stdin"),
    ] = None,
    keep_going: Annotated[bool, Parameter(negative=(), help="go on after a line that is refused")] = False,
    json: Annotated[bool, Parameter(negative=(), help="answer as JSON")] = False,
    where: Where | None = None,
) -> int:
    """Publish an event, or a file of them. What is answered is on disk.

    For example:

        runcast publish session:demo message --data '{"input_summary": "hello"}'
        runcast publish session:demo --file events.ndjson
        my-agent | runcast publish session:demo --url http://localhost:8000

    A line of a file is {"type": "…", "data": {…}}, with "id" and "time" if
    you like; what `runcast tail --json` prints can be published again. A file
    of events with ids may be published twice: they are stored once.

    Parameters
    ----------
    stream
        where to: kind:id, for example session:demo
    type
        the type of one event; without it, events are read from --file or stdin
    """
    split_stream(stream)
    if type is not None:
        if file is not None:
            raise UsageError("--file: a TYPE is for one event; leave it out to publish a file.")
        event = _event(type, data, id, time)
        with open_access(where) as access:
            receipt = _publish_one(access, stream, event)
            _tell_one(receipt, access.where, as_json=json)
        return 0
    if (data, id, time) != (None, None, None):
        raise UsageError("TYPE: --data, --id and --time belong to one event; say its type after the stream.")
    return _publish_lines(stream, file, where, keep_going=keep_going, as_json=json)


def _event(event_type: str, data: str | None, event_id: str | None, time: str | None) -> dict[str, Any]:
    event: dict[str, Any] = {"type": event_type}
    if data is not None:
        try:
            event["data"] = msgspec.json.decode(data)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"--data: not valid JSON: {error}.") from None
        if not isinstance(event["data"], dict):
            raise UsageError('--data: a JSON object is expected, such as {"key": "value"}.')
    given = {"id": event_id, "time": time}
    return {**event, **{name: value for name, value in given.items() if value is not None}}


def _publish_one(access: Access, stream: str, event: dict[str, Any]) -> Receipt:
    try:
        return access.publish(stream, [event])
    except InvalidEvent as error:
        words = describe(None, error)
        option = words.startswith(("id:", "time:"))
        raise UsageError(f"--{words}" if option else words) from None


def _tell_one(receipt: Receipt, place: str, *, as_json: bool) -> None:
    if as_json:
        print_json(receipt)
    elif not receipt.count:
        print(f"Not stored: a processor dropped it  {place}")
    elif receipt.duplicates:
        print(f"{receipt.stream} has had this id before, as event {receipt.last_seq}  {receipt.cursor}")
    else:
        print(f"Event {receipt.last_seq} of {receipt.stream}  {receipt.cursor}")


def _publish_lines(
    stream: str, file: str | None, where: Where | None, *, keep_going: bool, as_json: bool
) -> int:
    def on_bad(number: int, error: InvalidInput) -> None:
        complain(describe(number, error))

    with (
        _opened(file) as source,
        open_access(where, patience_s=PATIENCE_S) as access,
        _progress(source) as advance,
    ):
        publisher = NdjsonPublisher(
            lambda events: access.publish(stream, events), on_bad if keep_going else None
        )
        try:
            _copy(source, publisher, advance)
        except RuncastError as error:
            failure = NotAllPublished if isinstance(error, InvalidInput) else type(error)
            raise failure(f"{error} {_so_far(publisher.tally)}") from error
    _tell_all(publisher.tally, stream, as_json=as_json)
    return 1 if publisher.tally.bad else 0


def _copy(source: BinaryIO, publisher: NdjsonPublisher, advance: Advance) -> None:
    read = getattr(source, "read1", source.read)  # what is there already, without waiting for more
    while chunk := read(CHUNK_BYTES):
        publisher.feed(chunk)
        advance(len(chunk), publisher.tally)
    publisher.finish()


def _so_far(tally: Tally) -> str:
    done = tally.stored + tally.duplicates
    return (
        f"{plural(done, 'event')} before that {'is' if done == 1 else 'are'} published."
        if done
        else "Nothing was published."
    )


def _tell_all(tally: Tally, stream: str, *, as_json: bool) -> None:
    if as_json:
        print_json(tally)
        return
    more = f", {tally.duplicates:,} there before" if tally.duplicates else ""
    bad = f", {tally.bad:,} refused" if tally.bad else ""
    place = f"  {tally.cursor}" if tally.cursor else ""
    print(f"{plural(tally.stored, 'event')} published to {stream}{more}{bad}{place}")


@contextmanager
def _opened(file: str | None) -> Generator[BinaryIO]:
    if file is None and sys.stdin.isatty():
        raise UsageError(
            "TYPE: say an event's type after the stream, or give events with --file or on stdin."
        )
    if file in {None, "-"}:
        yield sys.stdin.buffer
        return
    try:
        with Path(cast("str", file)).open("rb") as source:
            yield source
    except OSError as error:
        raise ConfigError(f"file: {file} cannot be read ({error.strerror}).") from None


@contextmanager
def _progress(source: BinaryIO) -> Generator[Advance]:
    """A bar on a terminal; elsewhere nothing."""
    if not sys.stderr.isatty() or source.isatty():
        yield _ignore
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    total = None if source is sys.stdin.buffer else Path(source.name).stat().st_size
    words = TextColumn("{task.fields[events]:,} events")
    out = console(stderr=True)
    with Progress(
        words, BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=out, transient=True
    ) as bar:
        task = bar.add_task("", total=total, events=0)

        def advance(size_bytes: int, tally: Tally) -> None:
            bar.update(task, advance=size_bytes, events=tally.stored + tally.duplicates)

        yield advance


def _ignore(size_bytes: int, tally: Tally) -> None:
    del size_bytes, tally
