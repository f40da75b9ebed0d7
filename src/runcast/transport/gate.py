"""ASGI middleware in front of everything: who may ask at all, and who it is that asks.

An open server believes whoever reaches it, by the rules of `transport/guard.py`. A locked one finds out who asks, from
what the request shows; whether they may do what they ask is each route's matter (`transport/permission.py`).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import Counter
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runcast.auth.authenticator import Authenticator
from runcast.auth.passes import COOKIE_S
from runcast.auth.principal import LOCAL, Principal
from runcast.core.closing import POLICY_VIOLATION, TRY_AGAIN_LATER
from runcast.errors import IdentityUnavailable, RuncastError
from runcast.transport.access import KEY, OPEN, Access
from runcast.transport.credentials import set_cookie, take_credentials
from runcast.transport.guard import Guard, UnsupportedType
from runcast.transport.holders import Holders
from runcast.transport.problem import problem

logger = logging.getLogger("runcast.auth")

SHUT = frozenset({"http", "websocket"})


class Gate:
    """Lets requests in, each with its `Access`.

    Args:
        app: what is behind it.
        authenticator: who somebody is; if it is open, everybody who passes the guard is this machine.
        holders: where lasting connections are held.
        allowed_origins: of pages, beside the server's own.
        refused: counts refusals by their code.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticator: Authenticator,
        holders: Holders | None,
        allowed_origins: Iterable[str],
        refused: Counter[str],
    ) -> None:
        self._app = app
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
        scope[KEY] = OPEN if principal is LOCAL else Access(principal, self._holders)
        await self._app(scope, receive, _with_cookie(send, cookie) if cookie else send)

    async def _turn_away(self, error: RuncastError, scope: Scope, receive: Receive, send: Send) -> None:
        self._refused[error.code] += 1
        await _refuse(error, scope, receive, send)

    async def _identify(self, scope: Scope) -> tuple[Principal | None, bytes | None]:
        """Who asks, None if they do not say; and a cookie to set, if a ticket was used."""
        shown = take_credentials(scope)
        if self._authenticator.is_open:
            return LOCAL, None
        if shown is None:
            return None, None
        match shown.kind:
            case "secret":
                return await self._authenticator.by_secret(shown.secret), None
            case "cookie":
                return await asyncio.to_thread(self._authenticator.by_cookie, shown.secret), None
            case "ticket":
                principal, cookie = await asyncio.to_thread(self._authenticator.redeem, shown.secret)
                secure = scope.get("scheme") in {"https", "wss"}
                return principal, set_cookie(cookie, secure=secure, max_age_s=COOKIE_S)


def _with_cookie(send: Send, cookie: bytes) -> Send:
    async def send_with_cookie(message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.accept"}:
            message = {**message, "headers": [*message.get("headers", ()), (b"set-cookie", cookie)]}
        await send(message)

    return send_with_cookie


async def _refuse(error: RuncastError, scope: Scope, receive: Receive, send: Send) -> None:
    """A WebSocket is accepted first: a browser is not told why a handshake failed."""
    if scope["type"] == "http":
        status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE if isinstance(error, UnsupportedType) else None
        await problem(error, status)(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    frame: dict[str, Any] = {
        "type": "error",
        "count": 0,
        "events": [],
        "code": error.code,
        "message": str(error),
    }
    await send({"type": "websocket.send", "text": msgspec.json.encode(frame).decode()})
    code = TRY_AGAIN_LATER if error.retryable else POLICY_VIOLATION
    await send({"type": "websocket.close", "code": code, "reason": error.code})
