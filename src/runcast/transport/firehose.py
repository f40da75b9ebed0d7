"""The firehose over HTTP: all events there are, or all of one kind of stream, in the order of their commits."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from runcast.core.scope import Scope
from runcast.live.bus import Bus
from runcast.live.hub import NOW
from runcast.transport.events import events_page
from runcast.transport.native import NativeCodec, native_event
from runcast.transport.params import Query, filter_param, query_of, text_param
from runcast.transport.permission import KNOWN, allowed
from runcast.transport.route import RequestRoute
from runcast.transport.sse import EventStream


def create_firehose_router(bus: Bus) -> APIRouter:
    """The routes under `/api/v1/firehose`, over `bus`. Each takes `kind`; without it, streams of all kinds."""
    router = APIRouter(prefix="/api/v1/firehose", tags=["firehose"], route_class=RequestRoute)
    firehose = _Firehose(bus)
    router.get("/events", summary="A page of the events of all streams")(allowed(KNOWN, firehose.events))
    router.get("/sse", summary="Watch all streams as server-sent events")(allowed(KNOWN, firehose.sse))
    return router


class _Firehose:
    """The handlers. Each raises `RuncastError`, which the app answers as a problem."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def events(self, request: Request) -> Response:
        return await events_page(self._bus, request, _scope(query_of(request)), native_event)

    async def sse(self, request: Request) -> Response:
        query = query_of(request)
        after = request.headers.get("last-event-id") or text_param(query, "after", NOW)
        return EventStream(self._bus, _scope(query), after, NativeCodec(), filter_param(query))


def _scope(query: Query) -> Scope:
    return Scope.firehose(text_param(query, "kind", ""))
