"""The session feed's routes: its sockets, and REST as documented."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import WebSocketRoute

from runcast.core.event import stream_name
from runcast.core.filters import EVERYTHING
from runcast.core.scope import Scope
from runcast.errors import StreamNotFound
from runcast.feeds.sessions.listing import (
    KIND,
    describe,
    describe_summary,
    list_sessions,
    session_id,
)
from runcast.feeds.sessions.metrics import global_metrics
from runcast.feeds.sessions.socket import session_socket
from runcast.kinds.session import encode_document, from_document
from runcast.kinds.session_bottlenecks import bottlenecks
from runcast.kinds.session_summary import SUMMARY
from runcast.kinds.session_totals import TOTALS, totals_document
from runcast.live.bus import Bus
from runcast.live.folds import State, advance_all
from runcast.transport.access import access_of
from runcast.transport.body import decode_mappings, read_body
from runcast.transport.events import events_page
from runcast.transport.params import query_of
from runcast.transport.permission import KNOWN, OBSERVE, allowed, reads, writes
from runcast.transport.rest import json_response, receipt
from runcast.transport.route import RequestRoute


def _stream(request: Request) -> str:
    return stream_name(KIND, request.path_params["session_id"])


READ: Final = reads(_stream)
WRITE: Final = writes(_stream)


def create_sessions_router(bus: Bus) -> APIRouter:
    """The whole feed over `bus`, for a FastAPI app of one's own. The bus must know the kind `SESSION`."""
    router = APIRouter(tags=["sessions"], route_class=RequestRoute)
    sessions = _Sessions(bus)
    socket = session_socket(bus)
    # `:path`: an id with a slash is answered like any other that cannot be, not by a handshake that fails
    router.routes.append(WebSocketRoute("/ws/events/{session_id:path}", socket, name="session_events"))
    router.routes.append(WebSocketRoute("/ws/events", socket, name="all_session_events"))
    router.get("/api/sessions", summary="The sessions there are")(allowed(KNOWN, sessions.index))
    router.get("/api/sessions/{session_id}", summary="A session's totals")(allowed(READ, sessions.totals))
    router.get("/api/sessions/{session_id}/events", summary="A page of a session's events")(
        allowed(READ, sessions.events)
    )
    router.post("/api/sessions/{session_id}/events", summary="Publish events of a session")(
        allowed(WRITE, sessions.publish)
    )
    router.get("/api/sessions/{session_id}/bottlenecks", summary="What slows a session down")(
        allowed(READ, sessions.bottlenecks)
    )
    router.get("/api/events", summary="A page of the events of all sessions")(
        allowed(KNOWN, sessions.all_events)
    )
    router.get("/api/websocket-metrics", summary="Clients, and what was sent to them")(
        allowed(OBSERVE, sessions.metrics)
    )
    return router


class _Sessions:
    """The handlers. Each raises `RuncastError`, which the app answers as a problem."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def index(self, request: Request) -> Response:
        access = access_of(request.scope)
        access.visible(Scope.firehose(KIND), EVERYTHING)  # whoever may see no session gets no list
        return json_response(await list_sessions(self._bus, query_of(request), access.grants.may_read))

    async def totals(self, request: Request) -> Response:
        stream = _stream(request)
        info = await self._bus.info(stream)
        if not info.epoch:
            raise StreamNotFound(f"There is no session {session_id(info)}.")
        summary, totals = await advance_all(self._bus, stream, [SUMMARY, TOTALS])
        return json_response(
            {
                **describe(self._bus, info),
                **describe_summary(info, State(summary, 0)),
                "totals": totals_document(totals),
                "timeline": totals.timeline.document(by_api=totals.by_api),
            }
        )

    async def bottlenecks(self, request: Request) -> Response:
        stream = _stream(request)
        info = await self._bus.info(stream)
        if not info.epoch:
            raise StreamNotFound(f"There is no session {session_id(info)}.")
        totals = await self._bus.fold(stream, TOTALS)
        report = bottlenecks(totals, self._bus.now_us(), over=info.ended)
        return json_response({"session_id": session_id(info), **report})

    async def events(self, request: Request) -> Response:
        scope = Scope.of_stream(_stream(request))
        named = {"session_id": request.path_params["session_id"]}
        return await events_page(self._bus, request, scope, encode_document, named)

    async def all_events(self, request: Request) -> Response:
        return await events_page(self._bus, request, Scope.firehose(KIND), encode_document)

    async def publish(self, request: Request) -> Response:
        stream = _stream(request)
        body = await read_body(request, self._bus.settings.request_max_bytes)
        values = decode_mappings(body, request.headers.get("content-type", ""))
        named: str = request.path_params["session_id"]
        appended = await self._bus.publish_all([from_document(named, value) for value in values])
        return json_response(receipt(stream, appended))

    async def metrics(self, request: Request) -> Response:
        del request
        return json_response(global_metrics(self._bus))
