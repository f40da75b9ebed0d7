"""Where a command works: through a server, or straight on the log. One protocol, so that no command cares."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol, Self

from cyclopts import Parameter

from runcast.cli.usage import UsageError
from runcast.client.blocking import Client
from runcast.client.values import Item, Receipt
from runcast.core.filters import EventSubscriptionFilter
from runcast.errors import ConfigError

URL_VARIABLE = "RUNCAST_URL"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """The two options by which a command is told where to work."""

    url: Annotated[
        str | None, Parameter(help="a server, such as http://localhost:8000 [env: RUNCAST_URL]")
    ] = None
    log: Annotated[
        str | None,
        Parameter(help="a log, without any server [default: the configured one; env: RUNCAST_LOG]"),
    ] = None


class Access(Protocol):
    """What commands do with streams. Mappings are as the server's JSON has them."""

    where: str
    """The server's or the log's address, for people."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def publish(self, stream: str, events: Sequence[Mapping[str, Any]]) -> Receipt:
        """Store native events, all or none."""
        ...

    def streams(self, kind: str = "") -> Iterator[dict[str, Any]]:
        """All streams (of `kind`), by name."""
        ...

    def info(self, stream: str) -> dict[str, Any]:
        """One stream; raises `StreamNotFound`."""
        ...

    def recent(self, stream: str, count: int) -> list[dict[str, Any]]:
        """The last native events of a stream, oldest first."""
        ...

    def session(self, session_id: str) -> dict[str, Any]:
        """What a session adds up to; raises `StreamNotFound`."""
        ...

    def bottlenecks(self, session_id: str) -> dict[str, Any]:
        """Where a session's time goes, and which calls are running."""
        ...

    def tail(
        self, streams: Sequence[str], after: str, wanted: EventSubscriptionFilter
    ) -> AbstractContextManager[Iterable[Item]]:
        """Items of streams and firehoses as they come."""
        ...


class ServerAccess:
    """`Access` through a server, by its address."""

    def __init__(self, url: str, *, patience_s: float = 0.0) -> None:
        self._client = Client(url, patience_s=patience_s)
        self.where = self._client.url
        self.publish = self._client.publish
        self.streams = self._client.streams
        self.info = self._client.info
        self.session = self._client.session
        self.bottlenecks = self._client.bottlenecks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def recent(self, stream: str, count: int) -> list[dict[str, Any]]:
        """See `Access`."""
        return self._client.events(stream, before="now", limit=count).events

    def tail(self, streams: Sequence[str], after: str, wanted: EventSubscriptionFilter) -> Any:
        """See `Access`."""
        return self._client.tail(streams, after=after, wanted=wanted)


def open_access(
    where: Where | None, *, patience_s: float = 0.0, must_exist: bool = False
) -> AbstractContextManager[Access]:
    """The access that the options and the environment name; the options come first.

    Args:
        where: the options.
        patience_s: for how long a server that is not there is tried.
        must_exist: refuse a log whose file is not there, instead of making it.

    Raises:
        UsageError: a server and a log are both given.
        ConfigError, LogError: what is given cannot be used.
    """
    where = where or Where()
    if where.url and where.log:
        raise UsageError("--url and --log: choose one, a server or a log.")
    url = where.url or (os.environ.get(URL_VARIABLE) if not where.log else None)
    if url and patience_s:
        with Client(url) as client:
            client.status()  # a server that is not there at all is told at once
    if url:
        return ServerAccess(url, patience_s=patience_s)
    return _log_access(where.log, must_exist)


def _log_access(name: str | None, must_exist: bool) -> AbstractContextManager[Access]:
    from runcast.cli.log_access import LogAccess
    from runcast.config import Settings
    from runcast.log.place import log_file

    settings = Settings.from_env(os.environ, log=name)
    path = log_file(settings.log)
    if path is None:
        raise ConfigError("log: one in memory belongs to its own process. Use its server: --url http://…")
    if must_exist and not path.exists():
        raise ConfigError(_absent(path))
    return LogAccess(settings)


def _absent(path: Path) -> str:
    return f"log: there is none at {path} yet. Publish something, or name another with --log or --url."
