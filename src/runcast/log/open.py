"""From the name of a log to the log."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from runcast.config import Settings
from runcast.errors import ConfigError
from runcast.log.base import EventLog
from runcast.log.memory import MemoryLog
from runcast.log.place import data_folder, is_redis, log_file
from runcast.log.sqlite import SqliteLog

if TYPE_CHECKING:
    from runcast.log.redis import RedisLog


def open_log(url: str | os.PathLike[str], **settings: Any) -> EventLog:
    """Open the log that `url` names.

    Args:
        url: `sqlite:///relative/path`, `sqlite:////absolute/path`, a plain path, `memory:`, or a Redis:
            `redis://user:password@host:port/database`, `rediss://…` with TLS, `redis+sentinel://host,host/NAME`,
            `redis+cluster://host,host`, `unix:///path`. Its query may have options, as `?name=runcast&wait_s=30`.
        settings: passed on: `clock`, and for a file what `SqliteLog` takes, for a Redis what `RedisLog` does.

    Raises:
        ConfigError: `url` names no log, or one that needs an extra which is not installed.
        LogError: or one of its children, if the log cannot be opened.
    """
    if not os.fspath(url):
        raise ConfigError(
            "log: a path is missing. A log is sqlite:///path, a plain path, or memory:; for many nodes redis://host."
        )
    if is_redis(url):
        from runcast.log.redis import RedisLog  # noqa: PLC0415 - its extra may not be installed

        return RedisLog(os.fspath(url), **settings)
    path = log_file(url)
    return MemoryLog(clock=settings.get("clock")) if path is None else SqliteLog(path, **settings)


def open_configured(settings: Settings) -> EventLog:
    """The log that the settings name; without a name, `log.db` in the user's data directory.

    Raises:
        As `open_log`.
    """
    url = settings.log or data_folder() / "log.db"
    if is_redis(url):
        return open_log(url, queue_bytes=settings.append_queue_bytes)
    return open_log(url, queue_bytes=settings.append_queue_bytes, poll_ms=settings.foreign_poll_ms)


def persistence_warning(log: EventLog) -> str:
    """What a log on Redis may lose because of how its server is set, for whoever runs it; empty if that is well.

    Blocks. A server that does not say how it is set, as hosted ones may not, is not warned of.

    Raises:
        LogUnavailable: it does not answer.
    """
    if not is_redis(log.url):
        return ""
    from runcast.log.redis.persistence import warnings  # noqa: PLC0415 - its extra may not be installed

    return " ".join(warnings(cast("RedisLog", log)))
