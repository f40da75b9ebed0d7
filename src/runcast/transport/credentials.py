"""What a request shows of who sends it, and where: found, and taken out of the URL before anybody logs that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl, urlencode

from starlette.types import Scope

COOKIE: Final = "runcast"
HOST_COOKIE: Final = "__Host-runcast"
"""Its name where the connection is secure: a browser takes such a one from this host only, so that no neighbour of
its domain, nor a page that came unencrypted, can put one of its own in its place (RFC 6265bis §4.1.3.2)."""
SECRET_PARAMS: Final = ("token", "api_key", "ticket")
_MARKS: Final = tuple(f"{name}=".encode() for name in SECRET_PARAMS)

SHOWN: Final = "runcast.shown"
"""In the scope of a request that was let in without a look at it: what it shows, for who asks by themselves."""

Headers = Iterable[tuple[bytes, bytes]]


class Shown(NamedTuple):
    """A secret and what it is: a token or key, a ticket, or a cookie."""

    kind: Literal["secret", "ticket", "cookie"]
    secret: str


def take_credentials(scope: Scope) -> Shown | None:
    """What the request shows, the strongest first; None if nothing.

    Looked at: `Authorization: Bearer`, `X-API-Key`, the query's `token`, `api_key` and `ticket`, and our cookie. The
    query's are taken out of `scope`, so that no access log has them.
    """
    in_query = _take_from_query(scope)
    headers: Headers = scope["headers"]
    cookie = None
    for name, value in headers:
        if name == b"authorization":
            scheme, _, secret = value.decode("latin-1").partition(" ")
            if scheme.lower() == "bearer" and secret.strip():
                return Shown("secret", secret.strip())
        elif name == b"x-api-key" and value:
            return Shown("secret", value.decode("latin-1").strip())
        elif name == b"cookie":
            cookie = cookie or _cookie(value.decode("latin-1"), cookie_name(scope))
    return in_query or (Shown("cookie", cookie) if cookie else None)


def _take_from_query(scope: Scope) -> Shown | None:
    query: bytes = scope.get("query_string", b"")
    if not any(mark in query for mark in _MARKS):
        return None
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    found = {name: value for name, value in pairs if name in SECRET_PARAMS and value}
    rest = [(name, value) for name, value in pairs if name not in SECRET_PARAMS]
    scope["query_string"] = urlencode(rest).encode()
    if "ticket" in found:
        return Shown("ticket", found["ticket"])
    secret = found.get("token") or found.get("api_key")
    return Shown("secret", secret) if secret else None


def is_secure(scope: Scope) -> bool:
    """Whether the request came encrypted, to us or to a proxy that is trusted."""
    return scope.get("scheme") in {"https", "wss"}


def cookie_name(scope: Scope) -> str:
    """What our cookie is called on this connection; one of the other name does not count."""
    return HOST_COOKIE if is_secure(scope) else COOKIE


def _cookie(header: str, wanted: str) -> str | None:
    """The first of this name (RFC 6265 §5.4); cookies of others, however odd, are no matter."""
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        if name == wanted and value:
            return value
    return None


def set_cookie(secret: str, *, secure: bool, max_age_s: float) -> bytes:
    """The value of a `Set-Cookie` header: for this site's own pages only, and out of the reach of scripts."""
    parts = [
        f"{HOST_COOKIE if secure else COOKIE}={secret}",
        "Path=/",
        "HttpOnly",
        "SameSite=Strict",
        f"Max-Age={max(0, int(max_age_s))}",
    ]
    return "; ".join([*parts, *(["Secure"] if secure else [])]).encode()
