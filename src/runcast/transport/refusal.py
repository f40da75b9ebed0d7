"""How the gate refuses, in the form that whoever asks can read: a problem, a page, or a WebSocket's last message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from runcast.core.closing import POLICY_VIOLATION, TRY_AGAIN_LATER
from runcast.errors import InvalidInput, RuncastError, Unauthenticated
from runcast.transport.guard import UnsupportedType
from runcast.transport.problem import problem, status_of

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} – Runcast</title>
<h1>{title}</h1>
<p>{sentence}</p>
<p><a href="/">Go to the start page</a></p>
</html>
"""
_PAGE_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

Words = Callable[[RuncastError], bytes]
"""An error as the clients of one feed read it: the text of a message of its WebSockets."""


async def refuse(
    error: RuncastError, scope: Scope, receive: Receive, send: Send, words: Mapping[str, Words]
) -> None:
    """Answer a request or a handshake by `error`; `words` are feeds' own, by how their WebSockets' paths begin."""
    if scope["type"] == "websocket":
        await _refuse_socket(error, _frame(error, _path(scope), words), receive, send)
    elif _is_for_eyes(scope):
        await _page(error)(scope, receive, send)
    else:
        await problem(error, _status(error))(scope, receive, send)


async def _refuse_socket(error: RuncastError, frame: bytes, receive: Receive, send: Send) -> None:
    """It is accepted first: a browser is not told why a handshake failed."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": frame.decode()})
    code = TRY_AGAIN_LATER if error.retryable else POLICY_VIOLATION
    await send({"type": "websocket.close", "code": code, "reason": error.code})


def _frame(error: RuncastError, path: str, words: Mapping[str, Words]) -> bytes:
    for beginning, word in words.items():
        if path.startswith(beginning):
            return word(error)
    frame: dict[str, Any] = {
        "type": "error",
        "count": 0,
        "events": [],
        "code": error.code,
        "message": str(error),
        "retryable": error.retryable,
    }
    if isinstance(error, InvalidInput) and error.field:
        frame["field"] = error.field
    return msgspec.json.encode(frame)


def _path(scope: Scope) -> str:
    return scope["path"].removeprefix(scope.get("root_path", ""))


def _page(error: RuncastError) -> Response:
    """For somebody who has followed a link."""
    status = _status(error) or status_of(error)
    text = _PAGE.format(title=escape(status.phrase), sentence=escape(str(error)))
    asks = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthenticated) else {}
    return Response(text, status.value, {**_PAGE_HEADERS, **asks}, "text/html; charset=utf-8")


def _is_for_eyes(scope: Scope) -> bool:
    """Whether a browser is to show the answer by itself (Fetch Metadata §2.2)."""
    return scope["method"] == "GET" and (b"sec-fetch-mode", b"navigate") in scope["headers"]


def _status(error: RuncastError) -> HTTPStatus | None:
    return HTTPStatus.UNSUPPORTED_MEDIA_TYPE if isinstance(error, UnsupportedType) else None
