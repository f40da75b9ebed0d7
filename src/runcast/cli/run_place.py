"""Where `runcast workflow` and `runcast plan` work: through a server, or straight on the log. One protocol for both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, NamedTuple, Protocol, Self

from runcast.cli.access import Where
from runcast.cli.usage import UsageError
from runcast.client.values import Item

Kind = Literal["workflow", "plan"]
Hear = Callable[[Item | Exception | str], object]
"""Told of each item of a stream, in order, of what ended it if that was a fault, and of words for people; in another
thread."""


class Listed(NamedTuple):
    """A part of a list: the runs as their documents have them, and how many there are in all."""

    runs: list[dict[str, Any]]
    total: int


class RunPlace(Protocol):
    """What commands do with runs. Documents are as the server's JSON has them."""

    where: str
    """The server's or the log's address, for people."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def start(self, kind: Kind, wanted: Mapping[str, Any]) -> str:
        """Begin a run and return its id; returned means stored."""
        ...

    def attend(self, stream: str, hear: Hear) -> None:
        """Be the runner of a run, if this place has none of its own and nobody else is."""
        ...

    def follow(self, stream: str, hear: Hear) -> AbstractContextManager[object]:
        """Hear the events of a stream from its start on, until this is left."""
        ...

    def head(self, stream: str) -> int:
        """The seq of the last event of a stream; raises `StreamNotFound`."""
        ...

    def document(self, kind: Kind, run_id: str) -> dict[str, Any]:
        """What a run has come to; raises `StreamNotFound`."""
        ...

    def listed(self, kind: Kind, status: str, limit: int) -> Listed:
        """The runs there are, the latest begun first; `status` as `status_filter` has it, empty for all."""
        ...

    def cancel(self, workflow_id: str, reason: str | None) -> dict[str, Any]:
        """Cancel a workflow; returns its document. Raises `Conflict` for one that is over."""
        ...

    def approve(self, approval_id: str, approved: bool, comment: str | None) -> dict[str, Any]:
        """Answer what a workflow asks; raises `Conflict` if that is answered already."""
        ...

    def command(self, plan_id: str, command: str, **arguments: Any) -> dict[str, Any]:
        """Give a plan a command; the outcome has a `status`: done or waiting. Raises `Conflict` if it is refused."""
        ...


def open_runs(where: Where | None, *, load: Sequence[str] = (), must_exist: bool = False) -> RunPlace:
    """The place that the options and the environment name.

    Args:
        where: the options.
        load: modules with workflows and steps, for a log.
        must_exist: refuse a log whose file is not there, instead of making it.

    Raises:
        UsageError: options do not go together.
        ConfigError, LogError: what is given cannot be used.
    """
    where = where or Where()
    client = where.client()
    if client is None:
        from runcast.cli.run_log import open_log_runs

        return open_log_runs(where.log, load, must_exist=must_exist)
    if load:
        raise UsageError(
            "--load: a server runs what it knows itself. Start it with --load: runcast serve --load MODULE."
        )
    from runcast.cli.run_server import ServerRuns

    return ServerRuns(client)


def option_of(where: Where | None, load: Sequence[str] | None = None) -> str:
    """The options that another command needs to work at the same place, with a space before each; often none."""
    modules = "".join(f" --load {name}" for name in load or ())
    if where is not None and where.url:
        return f" --url {where.url}"
    return (f" --log {where.log}" if where is not None and where.log else "") + modules
