"""From the name of a log to the log."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import platformdirs

from runcast.config import Settings
from runcast.errors import ConfigError
from runcast.log.base import EventLog
from runcast.log.memory import MemoryLog
from runcast.log.sqlite import SqliteLog

_SQLITE = "sqlite:///"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # two characters at least: C: is a drive


def open_log(url: str | os.PathLike[str], **settings: Any) -> EventLog:
    """Open the log that `url` names.

    Args:
        url: `sqlite:///relative/path`, `sqlite:////absolute/path`, a plain path, or `memory:`.
        settings: passed on: `clock`, and for a file what `SqliteLog` takes.

    Raises:
        ConfigError: `url` names no log.
        LogError: or one of its children, if the log cannot be opened.
    """
    name = os.fspath(url)
    if name == "memory:":
        return MemoryLog(clock=settings.get("clock"))
    if name.startswith(_SQLITE):
        name = name.removeprefix(_SQLITE)
    elif isinstance(url, str) and _SCHEME.match(name):
        raise ConfigError(
            f"log: {name.partition(':')[0]}: is not known here. A log is sqlite:///path, a plain path, or memory:"
        )
    if not name:
        raise ConfigError("log: a path is missing. A log is sqlite:///path, a plain path, or memory:")
    return SqliteLog(Path(name).expanduser(), **settings)


def open_configured(settings: Settings) -> EventLog:
    """The log that the settings name; without a name, `log.db` in the user's data directory.

    Raises:
        As `open_log`.
    """
    url = settings.log or str(platformdirs.user_data_path("runcast") / "log.db")
    return open_log(url, queue_bytes=settings.append_queue_bytes, poll_ms=settings.foreign_poll_ms)
