"""What a route asks of whoever calls it. Every route states it, where it is declared; a test holds that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from runcast.transport.access import Access, access_of

Handler = Callable[[Request], Awaitable[Response]]
StreamOf = Callable[[Request], str]

STATED: Final = "permission"
"""The attribute of an endpoint, a socket's among them, in which its permission stands."""


@dataclass(frozen=True, slots=True)
class Permission:
    """A name for people and documents, and the check, which raises `Unauthenticated` or `Forbidden`."""

    name: str
    check: Callable[[Access, Request], object]


PUBLIC: Final = Permission("public", lambda _access, _request: None)
"""Anybody, known or not."""

KNOWN: Final = Permission("known", lambda access, _: access.known())
"""Whoever is known; the handler shows only what they may see, and checks what they may write."""

OBSERVE: Final = Permission("observe", lambda access, _: access.check_observe())
"""Whoever may read everything."""

ADMIN: Final = Permission("admin", lambda access, _: access.check_admin())
"""Administrators."""


def reads(stream_of: StreamOf) -> Permission:
    """Whoever may read the stream that the request names."""
    return Permission("read", lambda access, request: access.check_read(stream_of(request)))


def writes(stream_of: StreamOf) -> Permission:
    """Whoever may write to the stream that the request names."""
    return Permission("write", lambda access, request: access.check_write([stream_of(request)]))


def allowed(permission: Permission, handler: Handler) -> Handler:
    """The handler, called only for those who have the permission."""

    @wraps(handler)
    async def checked(request: Request) -> Response:
        permission.check(access_of(request.scope), request)
        return await handler(request)

    setattr(checked, STATED, permission)
    return checked


def permission_of(endpoint: object) -> Permission | None:
    """What was stated for a route's endpoint; None if nothing."""
    return getattr(endpoint, STATED, None)
