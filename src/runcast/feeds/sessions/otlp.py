"""OTLP/HTTP: what agents export as telemetry, as events of their sessions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from runcast.errors import Forbidden, InvalidInput, RuncastError, TooLarge
from runcast.kinds.base import Publish
from runcast.live.bus import Bus
from runcast.sources.otlp import answer, decode, logs, spans
from runcast.sources.otlp.answer import Code
from runcast.sources.otlp.decode import Malformed, MissingExtra
from runcast.sources.publishing import publish_each
from runcast.transport.access import Access, access_of
from runcast.transport.body import check_values, read_body
from runcast.transport.permission import KNOWN, allowed
from runcast.transport.problem import RETRY_AFTER_S, status_of
from runcast.transport.route import RequestRoute

logger = logging.getLogger("runcast.otlp")

IGNORED: Final = "otlp_ignored"
"""Under this name the bus counts what tells of no session: an application's other logs and spans."""

THREADS: Final = 2
"""So many requests are read at once; others wait, for reading one may take a processor and much memory."""

_Reader = Callable[[bytes, str], Iterator[Any]]
_Mapping = Callable[[Any], list[Publish]]


def create_otlp_router(bus: Bus) -> APIRouter:
    """The routes of an OTLP/HTTP receiver over `bus`, which must know the kind `SESSION`.

    JSON and protobuf (with the extra `runcast[otlp]`), plain or gzip. A request is answered when its events are
    on disk; one that is repeated adds nothing. Metrics are accepted and not kept, because an exporter with one
    endpoint for everything sends them, too.
    """
    router = APIRouter(tags=["telemetry"], route_class=RequestRoute)
    receiver = _Receiver(bus)
    router.post("/v1/logs", summary="OTLP: log records of agents, as session events")(
        allowed(KNOWN, receiver.logs)
    )
    router.post("/v1/traces", summary="OTLP: spans of agents, as session events")(
        allowed(KNOWN, receiver.traces)
    )
    router.post("/v1/metrics", summary="OTLP: accepted and not kept")(allowed(KNOWN, receiver.metrics))
    return router


class _Taken(msgspec.Struct):
    """What became of a request's records."""

    events: list[list[Publish]] = []
    """By record, without those that tell of nothing."""
    rejected: int = 0
    reason: str = ""
    """Why the first one was rejected."""
    ignored: int = 0

    def reject(self, reason: str) -> None:
        self.rejected += 1
        self.reason = self.reason or reason


class _Receiver:
    """The handlers. Errors are answered as OTLP has them, not as problems."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._threads = ThreadPoolExecutor(THREADS, "runcast-otlp")  # begins none before it is used

    async def logs(self, request: Request) -> Response:
        return await self._receive(request, "logs", decode.read_logs, logs.publishes)

    async def traces(self, request: Request) -> Response:
        return await self._receive(request, "traces", decode.read_spans, spans.publishes)

    async def metrics(self, request: Request) -> Response:
        return await self._receive(request, "metrics", lambda body, content_type: iter(()), lambda record: [])

    async def _receive(self, request: Request, signal: str, read: _Reader, tell: _Mapping) -> Response:
        content_type = _content_type(request)
        try:
            if content_type not in {decode.JSON, decode.PROTOBUF}:
                raise _WrongType
            body = await read_body(request, self._bus.settings.request_max_bytes)
            encoding = request.headers.get("content-encoding", "")
            limit = self._bus.settings.request_max_bytes
            unpack = partial(_unpack, body, encoding, limit, content_type)
            taken = await asyncio.get_running_loop().run_in_executor(
                self._threads, _take, lambda: read(unpack(), content_type), tell
            )
            _reject_forbidden(taken, access_of(request.scope))
            await self._publish(taken)
        except RuncastError as error:
            self._bus.refused[error.code] += 1
            return _failed(error, content_type)
        self._count(taken)
        told = answer.success(content_type, signal, taken.rejected, taken.reason)
        return Response(told, HTTPStatus.OK, media_type=content_type)

    async def _publish(self, taken: _Taken) -> None:
        """Store each record's events, or reject it, if it is one that no session can have.

        Raises:
            LogError: the log cannot; what was stored of the request is stored, and may be sent again.
        """
        for flaw in await publish_each(self._bus, taken.events):
            if flaw is not None:
                taken.reject(str(flaw))

    def _count(self, taken: _Taken) -> None:
        if taken.rejected:
            self._bus.refused["otlp_rejected"] += taken.rejected
            logger.warning("%d records of telemetry were rejected: %s", taken.rejected, taken.reason)
        if taken.ignored:
            self._bus.refused[IGNORED] += taken.ignored


class _WrongType(InvalidInput):
    code = "unsupported_type"
    message = f"Content-Type: {decode.JSON} or {decode.PROTOBUF} is expected."


def _take(read: Callable[[], Iterator[Any]], tell: _Mapping) -> _Taken:
    """Read a request's records and make events of them. Runs in a thread: it may be megabytes."""
    taken = _Taken()
    for record in read():
        if isinstance(record, Malformed):
            taken.reject(record.reason)
            continue
        try:
            events = tell(record)
        except InvalidInput as error:
            taken.reject(str(error))
            continue
        if events:
            taken.events.append(events)
        else:
            taken.ignored += 1
    return taken


def _reject_forbidden(taken: _Taken, access: Access) -> None:
    """A record of a session to which whoever sends it may not write is rejected alone."""
    kept: list[list[Publish]] = []
    for events in taken.events:
        try:
            access.check_write(event.stream for event in events)
        except Forbidden as error:
            taken.reject(str(error))
        else:
            kept.append(events)
    taken.events = kept


def _unpack(body: bytes, encoding: str, limit_bytes: int, content_type: str) -> bytes:
    """A body as it was before it was packed."""
    unpacked = decode.unpack(body, encoding, limit_bytes)
    if content_type == decode.JSON:
        check_values([unpacked])
    return unpacked


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _failed(error: RuncastError, content_type: str) -> Response:
    """An error as OTLP has it: a google.rpc.Status, and a status that says whether to send it again."""
    status, code = _status(error)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if error.retryable else None
    answered = decode.PROTOBUF if content_type == decode.PROTOBUF else decode.JSON
    if isinstance(error, MissingExtra):
        logger.warning("%s", error)
    return Response(answer.failure(answered, code, str(error)), status, headers, answered)


def _status(error: RuncastError) -> tuple[HTTPStatus, Code]:
    if error.retryable:  # exporters send again after 429, 502, 503 and 504 only
        return HTTPStatus.SERVICE_UNAVAILABLE, Code.UNAVAILABLE
    if isinstance(error, MissingExtra | _WrongType):
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, Code.INVALID_ARGUMENT
    if isinstance(error, TooLarge):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, Code.RESOURCE_EXHAUSTED
    if isinstance(error, InvalidInput):
        return HTTPStatus.BAD_REQUEST, Code.INVALID_ARGUMENT
    return status_of(error), Code.INTERNAL
