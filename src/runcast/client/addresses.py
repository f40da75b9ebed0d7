"""Where things are on a server: the paths of streams and firehoses, and what an address must look like."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from runcast.core.event import check_kind, split_stream, stream_name
from runcast.errors import ConfigError


def address(name: str) -> tuple[str, dict[str, str]]:
    """The path of a stream, or of a firehose (`kind:*`, `*`), and the query that belongs to it.

    Raises:
        InvalidStreamName: it is neither.
    """
    if not is_firehose(name):
        return stream_path(name), {}
    kind = name.removesuffix("*").removesuffix(":").removeprefix("*")
    return "/api/v1/firehose", {"kind": check_kind(kind)} if kind else {}


def is_firehose(name: str) -> bool:
    """Whether a name means many streams: all (`*`), or all of a kind (`session:*`)."""
    return name in {"*", "*:*"} or name.endswith(":*")


def stream_path(stream: str) -> str:
    """The path of one stream.

    Raises:
        InvalidStreamName: it is not `kind:id`.
    """
    split_stream(stream)
    return f"/api/v1/streams/{quote(stream, safe='')}"


def session_path(session_id: str) -> str:
    """The path of a session in the session feed.

    Raises:
        InvalidStreamName: no session can be called so.
    """
    stream_name("session", session_id)
    return f"/api/sessions/{quote(session_id, safe='')}"


def checked_url(url: str) -> str:
    """The address of a server, without a slash at its end.

    Raises:
        ConfigError: it is none.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ConfigError(f"url: {url!r} is no address of a server; one is http://localhost:8000.")
    return url.rstrip("/")


def is_local(url: str) -> bool:
    """Whether an address means this machine by its name alone."""
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.endswith(".localhost") or host.startswith("127.")
