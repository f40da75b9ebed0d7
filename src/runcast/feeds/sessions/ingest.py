"""Where Claude Code's http hooks are posted: `POST /ingest/claude-code`."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from runcast.live.bus import Bus
from runcast.sources.claude_code.hooks import decode_hook, publishes_of
from runcast.transport.access import access_of
from runcast.transport.body import read_body
from runcast.transport.permission import KNOWN, allowed
from runcast.transport.rest import json_response
from runcast.transport.route import RequestRoute


def create_ingest_router(bus: Bus) -> APIRouter:
    """The route over `bus`, for a FastAPI app of one's own. The bus must know the kind `SESSION`."""
    router = APIRouter(tags=["sources"], route_class=RequestRoute)
    ingest = _Ingest(bus)
    router.post("/ingest/claude-code", summary="What a hook of Claude Code tells")(
        allowed(KNOWN, ingest.claude_code)
    )
    return router


class _Ingest:
    """The handlers. Each raises `RuncastError`, which the app answers as a problem."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def claude_code(self, request: Request) -> Response:
        """Answered after the commit, by an empty object: Claude Code acts on what a hook answers."""
        body = await read_body(request, self._bus.settings.request_max_bytes)
        events = publishes_of(decode_hook(body), self._bus.now_us())
        access_of(request.scope).check_write(event.stream for event in events)
        await self._bus.publish_all(events)
        return json_response({})
