"""ASGI middleware in front of everything: who may ask at all, and who it is that asks.

An open server believes whoever reaches it, by the rules of `transport/guard.py`. A locked one finds out who asks, from
what the request shows; whether they may do what they ask is each route's matter (`transport/permission.py`).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Collection, Iterable, Mapping
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runcast.auth.authenticator import Authenticator
from runcast.auth.passes import COOKIE_S
from runcast.auth.principal import LOCAL, Principal
from runcast.errors import Forbidden, IdentityUnavailable, RuncastError
from runcast.transport.access import KEY, OPEN, Access
from runcast.transport.address import address_of
from runcast.transport.credentials import SHOWN, is_secure, set_cookie, take_credentials
from runcast.transport.guard import Guard
from runcast.transport.holders import Holders
from runcast.transport.refusal import Words, refuse

logger = logging.getLogger("runcast.auth")

Header = tuple[bytes, bytes]

SHUT = frozenset({"http", "websocket"})
_CACHING: Final = b"cache-control"
_NO_STORE: Final = (_CACHING, b"no-store")


class Gate:
    """Lets requests in, each with its `Access`.

    Args:
        app: what is behind it.
        authenticator: who somebody is; if it is open, everybody who passes the guard is this machine.
        holders: where lasting connections are held.
        allowed_origins: of pages, beside the server's own.
        refused: counts refusals by their code.
        asking: paths of WebSockets that ask by themselves who somebody is, and may let them try again.
        words: how feeds tell their WebSockets' clients of a refusal, by how the paths begin.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticator: Authenticator,
        holders: Holders | None,
        allowed_origins: Iterable[str],
        refused: Counter[str],
        asking: Collection[str] = (),
        words: Mapping[str, Words] | None = None,
    ) -> None:
        self._app = app
        self._words = words or {}
        self._asking = frozenset(asking)
        self._authenticator = authenticator
        self._holders = holders
        self._guard = Guard(allowed_origins, is_open=authenticator.is_open)
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it in words."""
        if scope["type"] not in SHUT:
            await self._app(scope, receive, send)
            return
        try:
            self._guard.check(scope)
            principal, cookie = await self._identify(scope)
        except sqlite3.Error:
            logger.exception("the file of keys and users cannot be used")
            await self._turn_away(IdentityUnavailable(), scope, receive, send)
            return
        except RuncastError as error:
            await self._turn_away(error, scope, receive, send)
            return
        scope[KEY] = OPEN if principal is LOCAL else Access(principal, self._holders, address_of(scope))
        await self._app(scope, receive, _discreet(send, cookie))

    async def _turn_away(self, error: RuncastError, scope: Scope, receive: Receive, send: Send) -> None:
        self._refused[error.code] += 1
        await refuse(error, scope, receive, send, self._words)

    async def _identify(self, scope: Scope) -> tuple[Principal | None, bytes | None]:
        """Who asks, None if they do not say; and a cookie to set, if a ticket was used."""
        shown = take_credentials(scope)
        if self._authenticator.is_open or self._asks_itself(scope):
            scope[SHOWN] = shown
            return (LOCAL if self._authenticator.is_open else None), None
        if shown is None:
            return None, None
        match shown.kind:
            case "secret":
                return await self._authenticator.by_secret(shown.secret), None
            case "cookie":
                return await asyncio.to_thread(self._authenticator.by_cookie, shown.secret), None
            case "ticket":
                self._check_ticket_s_way(scope)
                principal, cookie = await asyncio.to_thread(self._authenticator.redeem, shown.secret)
                return principal, set_cookie(cookie, secure=is_secure(scope), max_age_s=COOKIE_S)

    def _asks_itself(self, scope: Scope) -> bool:
        return scope["type"] == "websocket" and (
            scope["path"].removeprefix(scope.get("root_path", "")) in self._asking
        )

    def _check_ticket_s_way(self, scope: Scope) -> None:
        """Use no ticket up that a page of another site has put into somebody's browser.

        It could be a ticket of its own, and whoever follows its link would go on under its name (login CSRF). Pages
        of allowed origins may, and so may whoever types or pastes an address.
        """
        if (b"sec-fetch-site", b"cross-site") in scope["headers"] and not self._guard.is_of_allowed(scope):
            raise Forbidden(
                "ticket: a link on another site cannot sign you in here, as that could be under somebody else's "
                "name. If you trust it, copy its address into the address bar; or sign in at the start page."
            )


def _discreet(send: Send, cookie: bytes | None) -> Send:
    """Sends answers on that nobody keeps, unless they say how they may be kept; with a cookie, if one is to be set.

    Every answer passes here: no coroutine of our own, and no look at more than its beginning.
    """

    def send_on(message: Message) -> Awaitable[None]:
        match message["type"]:
            case "http.response.start":
                return send({**message, "headers": _discreet_headers(message.get("headers", ()), cookie)})
            case "websocket.accept" if cookie:
                headers = [*message.get("headers", ()), (b"set-cookie", cookie)]
                return send({**message, "headers": headers})
            case _:
                return send(message)

    return send_on


def _discreet_headers(headers: Iterable[Header], cookie: bytes | None) -> list[Header]:
    if cookie:  # then not even a page that may be kept
        others = [header for header in headers if header[0] != _CACHING]
        return [*others, (b"set-cookie", cookie), _NO_STORE]
    told = list(headers)
    for name, _ in told:
        if name == _CACHING:
            return told
    told.append(_NO_STORE)
    return told
