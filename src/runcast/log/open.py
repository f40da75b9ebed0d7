"""From the name of a log to the log."""

from __future__ import annotations

import os
from typing import Any

from runcast.config import Settings
from runcast.errors import ConfigError
from runcast.log.base import EventLog
from runcast.log.memory import MemoryLog
from runcast.log.place import data_folder, log_file
from runcast.log.sqlite import SqliteLog


def open_log(url: str | os.PathLike[str], **settings: Any) -> EventLog:
    """Open the log that `url` names.

    Args:
        url: `sqlite:///relative/path`, `sqlite:////absolute/path`, a plain path, or `memory:`.
        settings: passed on: `clock`, and for a file what `SqliteLog` takes.

    Raises:
        ConfigError: `url` names no log.
        LogError: or one of its children, if the log cannot be opened.
    """
    if not os.fspath(url):
        raise ConfigError("log: a path is missing. A log is sqlite:///path, a plain path, or memory:")
    path = log_file(url)
    return MemoryLog(clock=settings.get("clock")) if path is None else SqliteLog(path, **settings)


def open_configured(settings: Settings) -> EventLog:
    """The log that the settings name; without a name, `log.db` in the user's data directory.

    Raises:
        As `open_log`.
    """
    url = settings.log or data_folder() / "log.db"
    return open_log(url, queue_bytes=settings.append_queue_bytes, poll_ms=settings.foreign_poll_ms)
