"""The native streams over HTTP: publish, read, list, end, clear, and SSE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from runcast.core.event import format_time, split_stream
from runcast.core.filters import EVERYTHING
from runcast.core.scope import Scope
from runcast.errors import InvalidInput, StreamNotFound
from runcast.live.bus import Bus
from runcast.live.codec import Codec
from runcast.log.base import Appended, StreamInfo
from runcast.transport.access import access_of
from runcast.transport.body import decode_mappings, native_publish, read_body
from runcast.transport.events import events_page, place_after
from runcast.transport.listing import readable
from runcast.transport.native import NativeCodec, native_event
from runcast.transport.params import (
    Query,
    choice_param,
    filter_param,
    integer_param,
    query_of,
    text_param,
)
from runcast.transport.permission import KNOWN, allowed, reads, writes
from runcast.transport.route import RequestRoute
from runcast.transport.sse import EventStream

MAX_STREAMS = 1_000

FeedCodecs = Mapping[str, Callable[[int], Codec]]
"""By kind: the feed's own codec for a batch size, for `?codec=feed`."""


def checked_stream(request: Request) -> str:
    """The stream that the path names.

    Raises:
        InvalidStreamName: it is not `kind:id`.
    """
    stream: str = request.path_params["stream"]
    split_stream(stream)
    return stream


READ: Final = reads(checked_stream)
WRITE: Final = writes(checked_stream)


def create_streams_router(bus: Bus, feed_codecs: FeedCodecs | None = None) -> APIRouter:
    """The routes under `/api/v1/streams`, over `bus`."""
    router = APIRouter(prefix="/api/v1/streams", tags=["streams"], route_class=RequestRoute)
    streams = _Streams(bus, feed_codecs or {})
    router.post("/{stream}/events", summary="Publish events; answered when they are on disk")(
        allowed(WRITE, streams.publish)
    )
    router.get("", summary="The streams there are, by name")(allowed(KNOWN, streams.index))
    router.get("/{stream}", summary="Where a stream begins and ends")(allowed(READ, streams.info))
    router.delete("/{stream}", summary="Forget all events of a stream")(allowed(WRITE, streams.clear))
    router.get("/{stream}/events", summary="A page of a stream's events")(allowed(READ, streams.events))
    router.post("/{stream}/end", summary="Seal the current run of a stream")(allowed(WRITE, streams.end))
    router.get("/{stream}/sse", summary="Watch a stream as server-sent events")(allowed(READ, streams.sse))
    return router


class _Streams:
    """The handlers. Each raises `RuncastError`, which the app answers as a problem."""

    def __init__(self, bus: Bus, feed_codecs: FeedCodecs) -> None:
        self._bus = bus
        self._feed_codecs = feed_codecs

    async def index(self, request: Request) -> Response:
        query = query_of(request)
        kind, after = text_param(query, "kind", ""), text_param(query, "after", "")
        limit = integer_param(query, "limit", 100, 1, MAX_STREAMS)
        access = access_of(request.scope)
        access.visible(Scope.firehose(kind), EVERYTHING)  # whoever may see nothing of it gets no list
        found, more = await readable(
            lambda last, size: self._bus.streams(kind, last.stream if last else after, size),
            access.grants.may_read,
            limit,
        )
        rest = found[-1].stream if more else None
        return json_response({"streams": [self._describe(info) for info in found], "next": rest})

    async def info(self, request: Request) -> Response:
        info = await self._bus.info(request.path_params["stream"])
        if not info.epoch:
            raise StreamNotFound
        return json_response(self._describe(info))

    async def clear(self, request: Request) -> Response:
        stream = checked_stream(request)
        return json_response(self._describe(await self._bus.clear(stream)))

    async def end(self, request: Request) -> Response:
        stream = checked_stream(request)
        return json_response(self._describe(await self._bus.end(stream)))

    async def publish(self, request: Request) -> Response:
        stream = checked_stream(request)
        body = await read_body(request, self._bus.settings.request_max_bytes)
        values = decode_mappings(body, request.headers.get("content-type", ""))
        events = [native_publish(stream, value, index) for index, value in enumerate(values)]
        access_of(request.scope).check_publish(self._bus.kind(stream), events)
        appended = await self._bus.publish_all(events)
        return json_response(receipt(stream, appended))

    async def events(self, request: Request) -> Response:
        scope = Scope.of_stream(request.path_params["stream"])
        return await events_page(self._bus, request, scope, native_event)

    async def sse(self, request: Request) -> Response:
        query, stream = query_of(request), checked_stream(request)
        scope = Scope.of_stream(stream)
        kind, _ = split_stream(stream)
        watch_from = self._bus.kind(stream).watch_from
        resumed = request.headers.get("last-event-id")
        after = resumed or text_param(query, "after", watch_from)
        if await self._is_finished(stream, after):
            return Response(status_code=HTTPStatus.NO_CONTENT)
        return EventStream(self._bus, scope, after, self._codec(query, kind), filter_param(query))

    async def _is_finished(self, stream: str, after: str) -> bool:
        """Whether the run that is read has ended and nothing is left: SSE's word for "do not come back" is 204."""
        page = await self._bus.read(
            stream, await place_after(self._bus, Scope.of_stream(stream), after), limit=1
        )
        return page.over and not (page.events or page.reset or page.gap)

    def _codec(self, query: Query, kind: str) -> Codec:
        if choice_param(query, "codec", ("native", "feed")) == "native":
            return NativeCodec()
        if kind not in self._feed_codecs:
            raise InvalidInput(f"codec: streams of kind {kind} have no feed; use native.", field="codec")
        return self._feed_codecs[kind](self._bus.settings.batch_size)

    def _describe(self, info: StreamInfo) -> dict[str, Any]:
        topic = self._bus.hub.topic(Scope.of_stream(info.stream))
        return {
            "stream": info.stream,
            "epoch": info.epoch,
            "head": info.head,
            "oldest": info.oldest,
            "ended": info.ended,
            "cursor": str(info.cursor),
            "created": format_time(info.created),
            "updated": format_time(info.updated),
            "live_subscribers": len(topic.subscribers) if topic else 0,
        }


def receipt(stream: str, appended: list[Appended]) -> dict[str, Any]:
    """The answer to a publish: what was stored, and the cursor after it."""
    if not appended:  # every event was dropped by a processor
        return {
            "stream": stream,
            "epoch": "",
            "first_seq": 0,
            "last_seq": 0,
            "count": 0,
            "duplicates": 0,
            "cursor": "",
        }
    last = max(appended, key=lambda one: one.position)
    return {
        "stream": stream,
        "epoch": last.epoch,
        "first_seq": min(one.seq for one in appended),
        "last_seq": last.seq,
        "count": len(appended),
        "duplicates": sum(one.duplicate for one in appended),
        "cursor": str(last.cursor),
    }


def json_response(value: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """`value` as JSON."""
    return Response(msgspec.json.encode(value), status.value, media_type="application/json")
