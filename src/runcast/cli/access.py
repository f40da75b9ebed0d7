"""Where a command works: through a server, or straight on the log. One protocol, so that no command cares."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self
from urllib.parse import quote, urlencode

from cyclopts import Parameter

from runcast.cli.usage import UsageError
from runcast.client.blocking import Client
from runcast.client.values import Item, Receipt
from runcast.core.event import stream_name
from runcast.core.filters import EventSubscriptionFilter
from runcast.errors import ConfigError

if TYPE_CHECKING:
    from runcast.config import Settings

PAGE_OF_SESSIONS = 1_000
NODES_PATH = "/api/v1/nodes"
URL_VARIABLE = "RUNCAST_URL"
TOKEN_VARIABLE = "RUNCAST_TOKEN"  # noqa: S105 - its name


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """The options by which a command is told where to work."""

    url: Annotated[
        str | None, Parameter(help="a server, such as http://localhost:8000 [env: RUNCAST_URL]")
    ] = None
    log: Annotated[
        str | None,
        Parameter(help="a log, without any server [default: the configured one; env: RUNCAST_LOG]"),
    ] = None
    token: Annotated[
        str | None,
        Parameter(help="a key or token for the server [env: RUNCAST_TOKEN, hidden from other users]"),
    ] = None

    def client(self, *, patience_s: float = 0.0) -> Client | None:
        """A client of the server that the options and the environment name; None where they name none.

        Raises:
            UsageError: a server and a log are both given.
            ConfigError: the address is none.
        """
        if self.url and self.log:
            raise UsageError("--url and --log: choose one, a server or a log.")
        url = self.url or (os.environ.get(URL_VARIABLE) if not self.log else None)
        token = self.token or os.environ.get(TOKEN_VARIABLE)
        return Client(url, token=token, patience_s=patience_s) if url else None


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

    def sessions(self) -> Iterator[dict[str, Any]]:
        """All sessions, by name, each with its `summary`."""
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

    def run(self, kind: str, run_id: str) -> dict[str, Any]:
        """What a workflow or a plan has come to; raises `StreamNotFound`."""
        ...

    def nodes(self) -> dict[str, Any]:
        """The nodes of the log, those that are up first."""
        ...

    def tail(
        self, streams: Sequence[str], after: str, wanted: EventSubscriptionFilter
    ) -> AbstractContextManager[Iterable[Item]]:
        """Items of streams and firehoses as they come."""
        ...


class ServerAccess:
    """`Access` through a server, by a client, which is closed with it."""

    def __init__(self, client: Client) -> None:
        self._client = client
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

    def sessions(self) -> Iterator[dict[str, Any]]:
        """See `Access`."""
        return session_pages(self._ask)

    def run(self, kind: str, run_id: str) -> dict[str, Any]:
        """See `Access`."""
        return self._ask(run_path(kind, run_id))

    def nodes(self) -> dict[str, Any]:
        """See `Access`."""
        return self._ask(NODES_PATH)

    def _ask(self, path: str) -> dict[str, Any]:
        return self._client.request("GET", path)

    def recent(self, stream: str, count: int) -> list[dict[str, Any]]:
        """See `Access`."""
        return self._client.events(stream, before="now", limit=count).events

    def tail(self, streams: Sequence[str], after: str, wanted: EventSubscriptionFilter) -> Any:
        """See `Access`."""
        return self._client.tail(streams, after=after, wanted=wanted)


def run_path(kind: str, run_id: str) -> str:
    """The path of a workflow or a plan in its feed.

    Raises:
        InvalidStreamName: none can be called so.
    """
    stream_name(kind, run_id)
    return f"/api/v1/{kind}s/{quote(run_id, safe='')}"


def session_pages(ask: Callable[[str], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All sessions, page by page, from what `ask` answers for a path."""
    after: str | None = ""
    while after is not None:
        query = urlencode({"order": "name", "limit": PAGE_OF_SESSIONS, "after": after})
        page = ask(f"/api/sessions?{query}")
        yield from page["sessions"]
        after = page["next"]


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
    client = where.client(patience_s=patience_s)
    if client is None:
        return _log_access(where.log, must_exist)
    if patience_s:
        client.status()  # a server that is not there at all is told at once
    return ServerAccess(client)


def _log_access(name: str | None, must_exist: bool) -> AbstractContextManager[Access]:
    from runcast.cli.log_access import LogAccess
    from runcast.config import Settings
    from runcast.log.place import is_redis

    settings = Settings.from_env(os.environ, log=name)
    if is_redis(settings.log):
        return LogAccess(settings)
    path = log_place(settings)
    if path is None:
        raise ConfigError("log: one in memory belongs to its own process. Use its server: --url http://…")
    if must_exist and not path.exists():
        raise ConfigError(
            f"log: there is none at {path} yet. Publish something, or name another with --log or --url."
        )
    return LogAccess(settings)


def log_place(settings: Settings) -> Path | None:
    """The file of the log, which may have to be made, or what stands for it (`beside`); None for one in memory.

    A folder is made for the default log only: another one that is not there is more likely a slip of the hand.

    Raises:
        ConfigError: the log's name cannot be, or there is no such folder.
    """
    from runcast.log.place import beside, data_folder

    path = beside(settings.log)
    if path is not None and not path.parent.exists() and path.parent != data_folder():
        raise ConfigError(
            f"log: there is no folder {path.parent}. Make it (mkdir -p), or name another place with --log."
        )
    return path
