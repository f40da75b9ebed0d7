"""Routes whose handlers take the request as it is."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response


class RequestRoute(APIRoute):
    """A route in the OpenAPI document whose endpoint is `async (Request) -> Response`, called without detours.

    Our handlers check their input themselves, by msgspec; injecting and validating it would cost a publish
    a quarter of its time.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint itself (FastAPI, "Custom Request and APIRoute class")."""
        return self.endpoint
