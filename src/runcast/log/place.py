"""Where a log lies: from its name to its file. Imports next to nothing, for processes that have no time."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from runcast.errors import ConfigError

_SQLITE = "sqlite:///"
REDIS_SCHEMES = frozenset(
    {"redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster", "unix"}
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # two characters at least: C: is a drive


def log_file(url: str | os.PathLike[str]) -> Path | None:
    """The file of the log that `url` names, or None for `memory:`; without a name, the default log's.

    Args:
        url: `sqlite:///relative/path`, `sqlite:////absolute/path`, a plain path, `memory:`, or nothing.

    Raises:
        ConfigError: `url` names no log.
    """
    name = os.fspath(url)
    if not name:
        return data_folder() / "log.db"
    if name == "memory:":
        return None
    if name.startswith(_SQLITE):
        name = name.removeprefix(_SQLITE)
    elif isinstance(url, str) and _SCHEME.match(name):
        raise ConfigError(
            f"log: {name.partition(':')[0]}: is not known here. A log is sqlite:///path, a plain path, or memory:"
        )
    if not name:
        raise ConfigError("log: a path is missing. A log is sqlite:///path, a plain path, or memory:")
    return Path(name).expanduser()


def is_redis(url: str | os.PathLike[str]) -> bool:
    """Whether `url` names a log on Redis."""
    scheme, colon, _ = os.fspath(url).partition("://")
    return bool(colon) and scheme in REDIS_SCHEMES


def for_others(given: str, url: str) -> str:
    """By what another process finds the same log.

    What the settings call it if that is a Redis, for `url` has no credentials and no options; else its `url`, which has
    the absolute path.

    Args:
        given: `Settings.log`.
        url: `EventLog.url` of the log that was opened by that name.
    """
    return given if is_redis(given) and is_redis(url) else url


def beside(url: str | os.PathLike[str]) -> Path | None:
    """The name beside which is kept what belongs to a log and lies elsewhere: users, knowledge, attachments.

    A log's file; for one on Redis a name in the user's data, made from its address without credentials and options;
    None for `memory:`.

    Raises:
        ConfigError: `url` names no log.
    """
    if not is_redis(url):
        return log_file(url)
    import hashlib  # noqa: PLC0415 - a hook, which needs no Redis, has no time for it

    place, _, query = os.fspath(url).partition("?")
    scheme, _, address = place.partition("://")
    name = next((part for part in query.split("&") if part.startswith("name=")), "name=runcast")
    address = address.rpartition("@")[2] + ("" if name == "name=runcast" else f"?{name}")
    digest = hashlib.sha256(f"{scheme}://{address}".encode()).hexdigest()[:12]
    return data_folder() / f"redis-{digest}"


def spool_folder(path: Path) -> Path:
    """Where events wait that could not be stored in the log at `path` at once (`sources.spool`)."""
    return path.with_name(f"{path.name}.spool")


def auth_file(path: Path) -> Path:
    """Where keys and users are, of those who may use the log at `path` (`runcast.auth`)."""
    return path.with_name(f"{path.name}.auth")


def data_folder() -> Path:
    """The folder of ours in the user's data. It is not made here.

    On Linux it is found by the XDG Base Directory Specification without further imports, as platformdirs would.
    """
    data, home = os.environ.get("XDG_DATA_HOME", ""), os.environ.get("HOME", "")
    if sys.platform == "linux" and "/" in (data[:1], home[:1]) and "ANDROID_ROOT" not in os.environ:
        return (Path(data) if data.startswith("/") else Path(home, ".local", "share")) / "runcast"
    import platformdirs  # noqa: PLC0415 - it takes 20 ms

    return platformdirs.user_data_path("runcast")
