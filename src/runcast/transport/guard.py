"""Who may ask at all, before it is known who that is.

An open server believes whoever reaches it. So it must be sure that only this machine does: the Host header is a
loopback name (else a web page could reach it through a name of its own that it lets point here), nothing was
forwarded (a proxy in front means that the world is), and a browser's page is one of ours or an allowed one.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import Scope

from runcast.errors import Forbidden, InvalidInput

_FORWARDED = frozenset(
    {
        b"cdn-loop",
        b"cf-connecting-ip",
        b"forwarded",
        b"true-client-ip",
        b"via",
        b"x-client-ip",
        b"x-envoy-external-address",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-forwarded-server",
        b"x-real-ip",
    }
)
_LOOKED_AT = _FORWARDED | {b"host", b"origin", b"content-type", b"content-length", b"transfer-encoding"}
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+))(?::[0-9]*)?")
_HOW = " (RUNCAST_LOCKED=true, see docs/security.md)."
MAX_SHOWN = 100
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
BODY_TYPES = (
    "application/json",
    "application/x-ndjson",
    "application/x-protobuf",
    # documents
    "application/octet-stream",
    "application/pdf",
    "text/html",
    "text/markdown",
)
"""What a body may be: none of these can be sent by a page of another origin without being asked about first."""


class UnsupportedType(InvalidInput):
    """A write says what it sends: a page of another origin cannot, without being asked about first (CORS)."""

    code = "unsupported_type"
    message = "Content-Type: application/json or application/x-ndjson is expected."


class Guard:
    """What is checked of every request before it is known who sends it.

    Args:
        allowed_origins: of pages, beside the server's own.
        is_open: the server believes whoever reaches it, so that must be this machine.
    """

    def __init__(self, allowed_origins: Iterable[str], *, is_open: bool) -> None:
        self._allowed = frozenset(allowed_origins)
        self._is_open = is_open

    def check(self, scope: Scope) -> None:
        """Let a request pass.

        Raises:
            Forbidden: it comes from where it must not.
            UnsupportedType: it writes, and does not say what.
        """
        told = [(name, value.decode("latin-1")) for name, value in scope["headers"] if name in _LOOKED_AT]
        headers = dict(told)
        if len(headers) != len(told) and not _are_once(name for name, _ in told):
            raise Forbidden("Host and Origin: each may be given once.")
        if self._is_open:
            _check_is_local(scope, headers)
        origin, host = headers.get(b"origin"), headers.get(b"host", "")
        writes = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if writes and origin is not None and not self._knows(origin, host):
            raise Forbidden(
                f"Origin: pages of {origin[:MAX_SHOWN]!r} may not connect or write here; RUNCAST_ALLOWED_ORIGINS lists "
                "those that may, beside the server's own."
            )
        sends = scope["type"] == "http" and scope["method"] not in SAFE_METHODS and _has_body(headers)
        if sends and not headers.get(b"content-type", "").startswith(BODY_TYPES):
            raise UnsupportedType

    def is_of_allowed(self, scope: Scope) -> bool:
        """Whether a page sends this whose origin is in the settings' list."""
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        return len(origins) == 1 and origins[0] in self._allowed

    def _knows(self, origin: str, host: str) -> bool:
        return origin in self._allowed or _authority(origin) == host.lower()


def _check_is_local(scope: Scope, headers: Mapping[bytes, str]) -> None:
    if not is_loopback(host_name(headers.get(b"host", ""))):
        raise Forbidden(
            "Host: this server is open to this machine only, under a name such as http://localhost. To be reached by "
            f"another one it must be locked{_HOW}"
        )
    forwarded = _FORWARDED.intersection(headers)
    if forwarded:
        raise Forbidden(
            f"{min(forwarded).decode().title()}: this server is open, and must not stand behind a proxy; there it must "
            f"be locked{_HOW}"
        )
    client = scope.get("client")
    if client is not None and not _is_here(client[0]):
        raise Forbidden(
            "This server is open to this machine only, and the request comes from another one; for that it must be "
            f"locked{_HOW}"
        )


def _are_once(names: Iterable[bytes]) -> bool:
    counted = Counter(names)
    return counted[b"host"] <= 1 and counted[b"origin"] <= 1


def host_name(host: str) -> str:
    """A Host header without its port, empty if it is none; case does not matter (RFC 3986 §3.2.2)."""
    match = _HOST.fullmatch(host)
    return (match[1] or match[2]).lower() if match else ""


@lru_cache(maxsize=64)
def is_loopback(name: str) -> bool:
    """Whether a host name always means this machine (RFC 6761 §6.3; 127.0.0.0/8; ::1)."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _authority(origin: str) -> str | None:
    """Host and port of an Origin header; None for one that has none, such as `null`."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


@lru_cache(maxsize=1_024)
def _is_here(address: str) -> bool:
    """Whether a peer is on this machine; one without an address (a local socket, a test's client) is."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return True
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


def _has_body(headers: Mapping[bytes, str]) -> bool:
    return headers.get(b"content-length", "0") != "0" or b"transfer-encoding" in headers
