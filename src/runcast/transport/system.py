"""Whether the server is well: `/health`, `/api/status`, `/metrics`."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from runcast.core.event import Cursor
from runcast.errors import NoFirehose, RuncastError
from runcast.live.bus import Bus
from runcast.transport.access import access_of
from runcast.transport.permission import KNOWN, OBSERVE, PUBLIC, allowed
from runcast.transport.prometheus import CONTENT_TYPE, metrics_text
from runcast.transport.rest import json_response
from runcast.transport.route import RequestRoute

SOME_STREAM = "system:health"
"""It need not exist."""


def create_system_router(bus: Bus, version: str) -> APIRouter:
    """Routes for load balancers, monitoring, and people who look whether it runs."""
    router = APIRouter(tags=["system"], route_class=RequestRoute)
    started = time.monotonic()

    async def health(_: Request) -> Response:
        try:
            await _head(bus)
        except RuncastError as error:
            return json_response({"status": "failing", "detail": str(error)}, HTTPStatus.SERVICE_UNAVAILABLE)
        return json_response({"status": "ok"})

    async def status(request: Request) -> Response:
        head = await _head(bus)
        live = bus.live_statistics()
        answer: dict[str, Any] = {
            "status": "ok",
            "version": version,
            "uptime_seconds": round(time.monotonic() - started, 3),
            "log_epoch": bus.log_epoch(),
        }
        if access_of(request.scope).may_observe():
            answer |= {
                "log": bus.log.url,
                "position": head and head.offset,
                "connected_clients": live.connections,
            }
        return json_response(answer)

    async def metrics(_: Request) -> Response:
        return Response(metrics_text(bus), media_type=CONTENT_TYPE)

    router.get("/health", summary="200 if the log can be read, else 503")(allowed(PUBLIC, health))
    router.get("/api/status", summary="What runs here")(allowed(KNOWN, status))
    router.get("/metrics", summary="Metrics for Prometheus")(allowed(OBSERVE, metrics))
    return router


async def _head(bus: Bus) -> Cursor | None:
    """The place after everything; None in a log that has no one order, of which some stream was looked for instead.

    Raises:
        LogError: the log cannot be read.
    """
    try:
        return await bus.head()
    except NoFirehose:
        await bus.info(SOME_STREAM)
        return None
