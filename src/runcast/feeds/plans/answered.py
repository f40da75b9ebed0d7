"""Handlers that answer an error of ours as a problem by themselves, in an app of somebody's own, too."""

from __future__ import annotations

from collections import Counter
from functools import wraps

from starlette.requests import Request
from starlette.responses import Response

from runcast.errors import RuncastError
from runcast.transport.permission import Handler, Permission, allowed
from runcast.transport.problem import problem


def answered(refused: Counter[str], permission: Permission, handler: Handler) -> Handler:
    """The handler for those who have the permission; what it raises is answered, and counted in `refused`."""
    checked = allowed(permission, handler)

    @wraps(checked)
    async def answer(request: Request) -> Response:
        try:
            return await checked(request)
        except RuncastError as error:
            refused[error.code] += 1
            return problem(error)

    return answer
