"""From a URL to clients of Redis: one server, a master that Sentinel knows, or a Cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

import msgspec
from redis import Redis, RedisCluster, Sentinel
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ClusterDownError
from redis.retry import Retry

from runcast.errors import ConfigError

SERVER_PORT = 6379
SENTINEL_PORT = 26379
_TLS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"})


class Address(msgspec.Struct, frozen=True):
    """Where a log is: `hosts` are servers, Sentinels or some nodes of a Cluster; `service` is what Sentinel calls it."""

    scheme: str
    hosts: tuple[tuple[str, int], ...]
    service: str = ""
    database: int = 0
    username: str | None = None
    password: str | None = None
    path: str = ""
    tls: Mapping[str, Any] = {}
    sentinel: Mapping[str, str] = {}
    url: str = ""

    @property
    def is_cluster(self) -> bool:
        """Whether keys are spread over several servers."""
        return self.scheme.endswith("+cluster")

    def client(self, timeout_s: float) -> Any:
        """A client that raises what goes wrong: whether and how long to try again is ours to say.

        A `Redis` or a `RedisCluster`; redis-py's own types know too little of either.
        """
        common: dict[str, Any] = {
            "username": self.username,
            "password": self.password,
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
            "socket_keepalive": True,
            "protocol": 2,
            **self.tls,
        }
        if self.is_cluster:
            nodes = [ClusterNode(host, port) for host, port in self.hosts]
            try:
                return RedisCluster(startup_nodes=nodes, require_full_coverage=False, **common)
            except IndexError as error:  # redis-py looks for a master among none
                raise ClusterDownError("no server of the Cluster has any slots yet") from error
        common |= {"db": self.database, "retry": Retry(NoBackoff(), 0), "command_packer": _Packer()}
        if self.scheme.endswith("+sentinel"):
            of_sentinels: dict[str, Any] = {
                "socket_timeout": min(timeout_s, 1.0),
                "protocol": 2,
                "retry": Retry(NoBackoff(), 0),  # with several, the next one is asked
                **self.sentinel,
            }
            sentinel: Any = Sentinel(list(self.hosts), sentinel_kwargs=of_sentinels)
            return sentinel.master_for(self.service, **common)
        return Redis(connection_pool=self._pool(common))

    def close(self, client: Any) -> None:
        """Close all connections of a client that was made here, those that are in use as well."""
        client.close()
        if self.is_cluster:
            return
        client.connection_pool.disconnect()
        for sentinel in self._sentinels(client):
            sentinel.close()

    def _sentinels(self, client: Any) -> list[Any]:
        return client.connection_pool.sentinel_manager.sentinels if self.scheme.endswith("+sentinel") else []

    def _pool(self, settings: dict[str, Any]) -> ConnectionPool:
        kind: Any = UnixDomainSocketConnection
        if self.path:
            del settings["socket_keepalive"]
            return ConnectionPool(connection_class=kind, path=self.path, **settings)
        ((host, port),) = self.hosts
        kind = SSLConnection if settings.pop("ssl", False) else Connection
        return ConnectionPool(connection_class=kind, host=host, port=port, **settings)


class _Packer:
    """Puts a command into one piece, so that it is sent by one system call; redis-py's own makes one each 6 KB."""

    def pack(self, *arguments: str | bytes | float) -> list[bytes]:
        """The command as Redis' protocol has it; one of two words (CLIENT SETINFO) comes as one argument."""
        words = [*str(arguments[0]).split(), *arguments[1:]]
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode()
            parts += (b"$%d\r\n" % len(data), data, b"\r\n")
        return [b"".join(parts)]


def read_address(url: str) -> tuple[Address, dict[str, str]]:
    """What `url` names, and what is left of its query: options of the log.

    Raises:
        ConfigError: it is no such URL.
    """
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        return _address(parts, query), query
    except ValueError as error:
        raise ConfigError(f"log: not a URL of Redis: {error}.") from error


def _address(parts: SplitResult, query: dict[str, str]) -> Address:
    scheme, path = parts.scheme, parts.path.strip("/")
    login, _, places = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    is_sentinel = scheme.endswith("+sentinel")
    port = SENTINEL_PORT if is_sentinel else SERVER_PORT
    hosts = tuple(_host(place, port) for place in places.split(",")) if places else (("localhost", port),)
    if len(hosts) > 1 and scheme in {"redis", "rediss"}:
        raise ConfigError("log: several servers are redis+sentinel://… or redis+cluster://…")
    service = ""
    if is_sentinel:
        service, _, path = path.partition("/")
        if not service:
            raise ConfigError("log: redis+sentinel://host:port,host:port/NAME says which master is meant.")
    tls = {name: query.pop(name) for name in list(query) if name in _TLS}
    database = "" if scheme == "unix" else path
    if not (database or query.get("db", "0")).isdecimal() or (
        scheme.endswith("+cluster") and database not in {"", "0"}
    ):
        raise ConfigError(f"log: there is no database {database}.")
    return Address(
        scheme=scheme,
        hosts=hosts,
        service=service,
        database=int(query.pop("db", "0")) if not database else int(database),
        username=unquote(username) or None,
        password=unquote(password) or None,
        path=parts.path if scheme == "unix" else "",
        tls={"ssl": True, **tls} if scheme.startswith("rediss") else {},
        sentinel={
            name.removeprefix("sentinel_"): query.pop(name)
            for name in ("sentinel_username", "sentinel_password")
            if name in query
        },
        url=urlunsplit(parts._replace(netloc=places, query="")),
    )


def _host(place: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{place}")
    if not parts.hostname:
        raise ConfigError("log: a host is missing in the URL.")
    return parts.hostname, parts.port or port
