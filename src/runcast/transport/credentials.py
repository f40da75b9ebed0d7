"""What a request shows of who sends it, and where: found, and taken out of the URL before anybody logs that."""

from __future__ import annotations

from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl, urlencode

from starlette.types import Scope

COOKIE: Final = "runcast"
SECRET_PARAMS: Final = ("token", "api_key", "ticket")
_MARKS: Final = tuple(f"{name}=".encode() for name in SECRET_PARAMS)

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
            cookie = _cookie(value.decode("latin-1")) or cookie
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


def _cookie(header: str) -> str | None:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel else None


def set_cookie(secret: str, *, secure: bool, max_age_s: float) -> bytes:
    """The value of a `Set-Cookie` header: for this site's own pages only, and out of the reach of scripts."""
    parts = [
        f"{COOKIE}={secret}",
        "Path=/",
        "HttpOnly",
        "SameSite=Strict",
        f"Max-Age={max(0, int(max_age_s))}",
    ]
    return "; ".join([*parts, *(["Secure"] if secure else [])]).encode()
