"""Errors over HTTP: `application/problem+json` (RFC 9457) with our stable `code`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from runcast.errors import (
    Busy,
    Conflict,
    Forbidden,
    IdentityUnavailable,
    InvalidInput,
    LogClosed,
    LogError,
    LogFull,
    LogUnavailable,
    ModelBusy,
    ModelError,
    ModelUnreachable,
    NoFirehose,
    NotFound,
    Restarting,
    RuncastError,
    TooLarge,
    TooMany,
    Unauthenticated,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1

_STATUS: tuple[tuple[type[RuncastError], HTTPStatus], ...] = (
    # the first that fits counts
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (InvalidInput, HTTPStatus.BAD_REQUEST),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Unauthenticated, HTTPStatus.UNAUTHORIZED),
    (IdentityUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (Conflict, HTTPStatus.CONFLICT),
    (TooMany, HTTPStatus.TOO_MANY_REQUESTS),
    (Restarting, HTTPStatus.SERVICE_UNAVAILABLE),
    (Busy, HTTPStatus.SERVICE_UNAVAILABLE),
    (LogClosed, HTTPStatus.SERVICE_UNAVAILABLE),
    (LogFull, HTTPStatus.INSUFFICIENT_STORAGE),
    (LogUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (NoFirehose, HTTPStatus.CONFLICT),
    (LogError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (ModelBusy, HTTPStatus.SERVICE_UNAVAILABLE),
    (ModelUnreachable, HTTPStatus.SERVICE_UNAVAILABLE),
    (ModelError, HTTPStatus.BAD_GATEWAY),
)


def status_of(error: RuncastError) -> HTTPStatus:
    """The HTTP status that says what `error` says."""
    return next(
        (status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR
    )


def problem(error: RuncastError, status: HTTPStatus | None = None) -> Response:
    """The response for an error of ours."""
    status = status or status_of(error)
    body: dict[str, Any] = {
        "title": status.phrase,
        "status": status.value,
        "detail": str(error),
        "code": error.code,
    }
    if isinstance(error, InvalidInput) and error.field:
        body["field"] = error.field
    headers = {"Cache-Control": "no-store"}
    if error.retryable:
        after_s = error.retry_after_s if isinstance(error, TooMany | ModelBusy) else RETRY_AFTER_S
        headers["Retry-After"] = str(math.ceil(after_s))
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"  # RFC 9110 §11.6.1 wants one
    return Response(msgspec.json.encode(body), status.value, headers, MEDIA_TYPE)


def answer_with(refused: Counter[str]) -> Callable[[Request, Exception], Awaitable[Response]]:
    """The exception handler for an app: every `RuncastError` becomes a problem, counted by its code."""

    async def handle(request: Request, error: Exception) -> Response:
        del request
        known = error if isinstance(error, RuncastError) else RuncastError()
        refused[known.code] += 1
        return problem(known)

    return handle


async def handle_http(request: Request, error: Exception) -> Response:
    """The exception handler for what the framework refuses by itself: no such path, another method."""
    del request
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    body = {
        "title": status.phrase,
        "status": status.value,
        "detail": error.detail,
        "code": status.name.lower(),
    }
    return Response(msgspec.json.encode(body), status.value, error.headers, MEDIA_TYPE)
