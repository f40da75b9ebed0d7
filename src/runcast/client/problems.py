"""From a server's answer to one of our exceptions: problem details (RFC 9457) with a stable code."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import httpx2
import msgspec

from runcast.errors import (
    Discontinued,
    InvalidInput,
    Refused,
    RuncastError,
    ServerError,
    Unreachable,
)

MEDIA_TYPE = "application/problem+json"
_GATEWAY = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})


class _Problem(msgspec.Struct):
    detail: str = ""
    code: str = ""
    field: str | None = None


def error_of(response: httpx2.Response) -> RuncastError:
    """What a response that is no success says, as the exception that the server itself would have raised.

    Its body must have been read. Who answers without a problem of ours is no Runcast, or stands before one.
    """
    try:
        problem = msgspec.json.decode(response.content, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = _Problem()
    if not problem.code or not response.headers.get("content-type", "").startswith(MEDIA_TYPE):
        return _foreign(response)
    return _of_code(problem, response.status_code)


def unreachable(url: str, error: httpx2.TransportError) -> Unreachable:
    """Nobody answered; says what to do."""
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return Unreachable(f"Nobody answers at {url}. Start a server there with `runcast serve`.")
    if isinstance(error, httpx2.TimeoutException):
        return Unreachable(f"{url} did not answer in time.")
    return Unreachable(f"The connection to {url} broke ({str(error) or type(error).__name__}).")


def _foreign(response: httpx2.Response) -> RuncastError:
    url = str(response.request.url.copy_with(path="/", query=None))
    if response.status_code in _GATEWAY:
        return Unreachable(f"{url} answers {response.status_code}: the server behind it cannot be reached.")
    return ServerError(
        f"{url} answers {response.status_code}, but not as a Runcast server does. Is the address right?"
    )


def _of_code(problem: _Problem, status: int) -> RuncastError:
    kind = _BY_CODE.get(problem.code)
    if kind is None:
        kind = Refused if 400 <= status < 500 else ServerError
    message = problem.detail or kind.message
    if issubclass(kind, InvalidInput):
        return kind(message, field=problem.field)
    return kind(message)


def _children(parent: type[RuncastError]) -> list[type[RuncastError]]:
    return [found for child in parent.__subclasses__() for found in (child, *_children(child))]


_BY_CODE: dict[str, Any] = {
    kind.code: kind
    for kind in reversed(_children(RuncastError))  # a child with its parent's code is told as that parent
    # these carry a cursor, and are told in a stream, never as an answer
    if not issubclass(kind, Discontinued)
}
