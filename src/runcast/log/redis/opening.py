"""Opening a log: is it a server that we know how to use, and if it cannot be opened, why, in words for who named it."""

from __future__ import annotations

import logging
from typing import Any, Final

from redis.exceptions import AuthenticationError, MovedError, ReadOnlyError
from redis.sentinel import MasterNotFoundError

from runcast.errors import LogError, LogReadOnly, LogUnavailable
from runcast.log.redis.address import Address
from runcast.log.redis.errors import NO_CLUSTER
from runcast.log.redis.server import Server

_logger = logging.getLogger("runcast.log")

OLDEST: Final = (7, 0)
"""Of Redis, and of what Valkey says that it is compatible with."""


def open_server(server: Server, new_epoch: str, log_format: int) -> int:
    """`Server.open`, once it is there and new enough; a wait for it is told in a warning.

    Raises:
        LogUnavailable, LogError: says what to do. The server is closed.
    """
    try:
        _check_version(server)
        return server.open(new_epoch, log_format)
    except LogError as error:
        server.close()
        kind = LogError if isinstance(error, LogReadOnly) else type(error)  # that is about files, to people
        raise kind(explain(error, server.address)) from error.__cause__


def explain(error: LogError, address: Address) -> str:
    """What is wrong with a server that could not be opened, by the error of Redis behind it."""
    cause, where = error.__cause__, address.url
    words = str(cause)
    if isinstance(cause, AuthenticationError):
        return _login(where, words)
    if isinstance(cause, MasterNotFoundError):
        return f"No Sentinel at {where} knows of a master {address.service} that is up, or none answers."
    if isinstance(cause, ReadOnlyError):
        return f"Redis at {where} is a replica, and takes nothing. Name its master, or let Sentinel: redis+sentinel://…"
    if isinstance(cause, MovedError) or "Hash slot not served" in words:
        return f"Redis at {where} belongs to a Cluster. Name it as one, once it is ready: redis+cluster://host:port."
    for sign, advice in _SIGNS.items():
        if sign in words:
            return advice.format(where=where, database=address.database)
    if isinstance(error, LogReadOnly):
        return f"The user of Redis at {where} may do too little ({_short(words)}): a log needs its keys, channels and scripts."
    if isinstance(error, LogUnavailable) and cause is not None:
        also = " Does it speak TLS?" if address.tls else ""
        why = _short(words).rpartition(". ")[2]  # redis-py says before that where it has tried
        return f"Redis at {where} does not answer ({why}).{also} Start it, or correct the log's address."
    return str(error)


_SIGNS: Final = {
    "DB index is out of range": "Redis at {where} has no database {database}; most have 0 to 15, a Cluster has 0.",
    "unknown command 'SENTINEL'": "What answers at {where} is no Sentinel. For a single server: redis://host:port.",
    **dict.fromkeys(NO_CLUSTER, "Redis at {where} is no Cluster. For a single server: redis://host:port."),
}


def _login(where: str, words: str) -> str:
    if "required" in words:
        return f"Redis at {where} asks for a password: redis://:PASSWORD@host, or redis://USER:PASSWORD@host."
    return f"Redis at {where} does not take this user and password ({_short(words)})."


def _check_version(server: Server) -> None:
    """Wait for an answer; a server that says nothing of itself is tried as it is."""
    try:
        try:
            info = _ask(server, 0)
        except LogUnavailable as error:
            wait_s = server.options.wait_s
            if not wait_s:
                raise
            _logger.warning("%s It is tried for %.0f s.", explain(error, server.address), wait_s)
            info = _ask(server, wait_s)
    except LogUnavailable:
        raise
    except LogError:  # INFO is not for everybody; anything else will be met again
        return
    version = str(info.get("redis_version", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if len(numbers) == len(OLDEST) and numbers < OLDEST:
        raise LogError(
            f"Redis at {server.address.url} is version {version}, which is too old: 7.0 or newer is needed, or Valkey 7.2."
        )


def _ask(server: Server, wait_s: float) -> dict[str, Any]:
    return server.patiently(lambda: server.groups()[0][0].info("server"), wait_s)


def _short(words: str) -> str:
    return " ".join(words.split()).rstrip(".")[:200]
