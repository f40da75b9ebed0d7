"""The session feed's routes: its sockets, and REST as documented."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import WebSocketRoute

from runcast.core.event import format_time, stream_name
from runcast.core.scope import Scope
from runcast.errors import StreamNotFound
from runcast.feeds.sessions.metrics import global_metrics
from runcast.feeds.sessions.socket import SessionSocket
from runcast.kinds.session import encode_document, from_document
from runcast.kinds.session_totals import TOTALS
from runcast.live.bus import Bus
from runcast.log.base import StreamInfo
from runcast.transport.body import decode_mappings, read_body
from runcast.transport.params import integer_param, text_param
from runcast.transport.rest import events_page, json_response, query_of, receipt
from runcast.transport.route import RequestRoute

KIND = "session"
MAX_SESSIONS = 1_000


def create_sessions_router(bus: Bus) -> APIRouter:
    """The whole feed over `bus`, for a FastAPI app of one's own. The bus must know the kind `SESSION`."""
    router = APIRouter(tags=["sessions"], route_class=RequestRoute)
    sessions = _Sessions(bus)
    socket = SessionSocket(bus)
    # `:path`: an id with a slash is answered like any other that cannot be, not by a handshake that fails
    router.routes.append(WebSocketRoute("/ws/events/{session_id:path}", socket, name="session_events"))
    router.routes.append(WebSocketRoute("/ws/events", socket, name="all_session_events"))
    router.get("/api/sessions", summary="The sessions there are")(sessions.index)
    router.get("/api/sessions/{session_id}", summary="A session's totals")(sessions.totals)
    router.get("/api/sessions/{session_id}/events", summary="A page of a session's events")(sessions.events)
    router.post("/api/sessions/{session_id}/events", summary="Publish events of a session")(sessions.publish)
    router.get("/api/websocket-metrics", summary="Clients, and what was sent to them")(sessions.metrics)
    return router


class _Sessions:
    """The handlers. Each raises `RuncastError`, which the app answers as a problem."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def index(self, request: Request) -> Response:
        query = query_of(request)
        after, limit = text_param(query, "after", ""), integer_param(query, "limit", 100, 1, MAX_SESSIONS)
        found = await self._bus.streams(KIND, f"{KIND}:{after}" if after else "", limit)
        rest = _session_id(found[-1]) if len(found) == limit else None
        return json_response({"sessions": [self._describe(info) for info in found], "next": rest})

    async def totals(self, request: Request) -> Response:
        stream = _stream(request)
        info = await self._bus.info(stream)
        if not info.epoch:
            raise StreamNotFound(f"There is no session {_session_id(info)}.")
        totals = await self._bus.fold(stream, TOTALS)
        return json_response({**self._describe(info), "totals": msgspec.to_builtins(totals)})

    async def events(self, request: Request) -> Response:
        stream = _stream(request)
        session_id: str = request.path_params["session_id"]
        return await events_page(
            self._bus, stream, query_of(request), encode_document, {"session_id": session_id}
        )

    async def publish(self, request: Request) -> Response:
        stream = _stream(request)
        session_id: str = request.path_params["session_id"]
        body = await read_body(request, self._bus.settings.request_max_bytes)
        values = decode_mappings(body, request.headers.get("content-type", ""))
        appended = await self._bus.publish_all([from_document(session_id, value) for value in values])
        return json_response(receipt(stream, appended))

    async def metrics(self, request: Request) -> Response:
        del request
        return json_response(global_metrics(self._bus))

    def _describe(self, info: StreamInfo) -> dict[str, Any]:
        topic = self._bus.topic(Scope.of_stream(info.stream))
        return {
            "session_id": _session_id(info),
            "events": info.head,
            "started_at": format_time(info.created),
            "last_event_at": format_time(info.updated),
            "ended": info.ended,
            "connected_clients": len(topic.subscribers) if topic else 0,
            "cursor": str(info.cursor),
        }


def _stream(request: Request) -> str:
    return stream_name(KIND, request.path_params["session_id"])


def _session_id(info: StreamInfo) -> str:
    return info.stream.partition(":")[2]
