"""The knowledge base over HTTP: documents are added, listed, searched and removed."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from runcast.core.event import format_time
from runcast.errors import InvalidInput
from runcast.kinds.system import EVENTS
from runcast.live.bus import Bus
from runcast.runners.knowledge import Document, Ingested, KnowledgeBase
from runcast.transport.body import read_body
from runcast.transport.params import integer_param, query_of, text_param
from runcast.transport.permission import allowed, reads, writes
from runcast.transport.rest import json_response
from runcast.transport.route import RequestRoute

logger = logging.getLogger("runcast.knowledge")

STREAM: Final = "system:knowledge"
"""What whoever reads or changes the knowledge base must be granted."""
INGESTED: Final = "knowledge_ingested"
REMOVED: Final = "knowledge_removed"
JSON: Final = "application/json"
THREADS: Final = 2
"""So many requests read or store at once; others wait, for reading a document may take a processor and much memory."""
MAX_RESULTS: Final = 50
DEFAULT_RESULTS: Final = 5

READ: Final = reads(lambda request: STREAM)
WRITE: Final = writes(lambda request: STREAM)

T = TypeVar("T")


class _Upload(msgspec.Struct, forbid_unknown_fields=True):
    """A document as JSON: its text in `content`, or any bytes in `content_base64`."""

    name: str
    content: str | None = None
    content_base64: str | None = None
    media_type: str = ""


def create_knowledge_router(bus: Bus, knowledge: KnowledgeBase) -> APIRouter:
    """The routes under `/api/v1/knowledge`, for whoever may read or write the stream `system:knowledge`.

    The knowledge base is its owner's to close. What is answered to have been added is on disk, and then told on the
    stream `system:events`.
    """
    router = APIRouter(prefix="/api/v1/knowledge", tags=["knowledge"], route_class=RequestRoute)
    routes = _Knowledge(bus, knowledge)
    router.get("/documents", summary="The documents in the knowledge base")(allowed(READ, routes.index))
    router.post("/documents", summary="Add a document, or replace the one of this name")(
        allowed(WRITE, routes.add)
    )
    # `:path`: names of documents have slashes
    router.delete("/documents/{name:path}", summary="Remove a document")(allowed(WRITE, routes.remove))
    router.get("/search", summary="The passages that fit a question best")(allowed(READ, routes.search))
    return router


class _Knowledge:
    """The handlers. Each raises `RuncastError`, which the app answers as a problem."""

    def __init__(self, bus: Bus, knowledge: KnowledgeBase) -> None:
        self._bus = bus
        self._knowledge = knowledge
        # Pools begin no thread before it is used. A document may take long to read: who searches does not wait for it.
        self._threads = ThreadPoolExecutor(THREADS, "runcast-knowledge")
        self._readers = ThreadPoolExecutor(THREADS, "runcast-documents")

    async def index(self, request: Request) -> Response:
        del request
        documents = await self._call(self._knowledge.documents)
        return json_response({"documents": [describe(document) for document in documents]})

    async def add(self, request: Request) -> Response:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        body = await read_body(request, self._bus.settings.request_max_bytes)
        if content_type == JSON:
            ingested = await self._call(lambda: self._add_upload(body), self._readers)
        else:
            name = text_param(query_of(request), "name", "")
            ingested = await self._call(lambda: self._knowledge.add(body, name, content_type), self._readers)
        await self._bus.publish(EVENTS, INGESTED, ingested_data(ingested))
        return json_response(ingested, HTTPStatus.OK if ingested.unchanged else HTTPStatus.CREATED)

    async def remove(self, request: Request) -> Response:
        name: str = request.path_params["name"]
        await self._call(lambda: self._knowledge.remove(name))
        await self._bus.publish(EVENTS, REMOVED, {"document": name})
        return json_response({"document": name, "removed": True})

    async def search(self, request: Request) -> Response:
        query = query_of(request)
        asked = text_param(query, "q", "")
        if not asked.strip():
            raise InvalidInput("q: a question or some words are expected.", field="q")
        limit = integer_param(query, "limit", DEFAULT_RESULTS, 1, MAX_RESULTS)
        found = await self._call(lambda: self._knowledge.search(asked, limit))
        return json_response({"query": asked, "passages": found})

    def _add_upload(self, body: bytes) -> Ingested:
        upload = _decode(body)
        if (upload.content is None) == (upload.content_base64 is None):
            raise InvalidInput("content: either content or content_base64 is expected.", field="content")
        if upload.content is not None:
            data = upload.content.encode()
        else:
            try:
                data = base64.b64decode(upload.content_base64 or "", validate=True)
            except (binascii.Error, ValueError):
                raise InvalidInput("content_base64: not valid base64.", field="content_base64") from None
        return self._knowledge.add(data, upload.name, upload.media_type)

    async def _call(self, work: Callable[[], T], threads: ThreadPoolExecutor | None = None) -> T:
        """Do something in a thread: the loop has others to serve."""
        return await asyncio.get_running_loop().run_in_executor(threads or self._threads, work)


def ingested_data(ingested: Ingested) -> dict[str, Any]:
    """The data of the event about a document that was added."""
    return {
        "document": ingested.document,
        "chunks": ingested.chunks,
        "bytes": ingested.bytes,
        "unchanged": ingested.unchanged,
    }


def describe(document: Document) -> dict[str, Any]:
    """A document in a list. Where its file is on the server's disk is nobody's business."""
    fields: dict[str, Any] = msgspec.structs.asdict(document)
    del fields["path"]
    return {**fields, "added": format_time(round(fields.pop("added_s") * 1e6))}


def _decode(body: bytes) -> _Upload:
    try:
        return msgspec.json.decode(body, type=_Upload)
    except UnicodeDecodeError:
        raise InvalidInput("body: not valid UTF-8.", field="body") from None
    except msgspec.ValidationError as error:
        raise InvalidInput(f"body: {error}.", field="body") from None
    except (msgspec.DecodeError, RecursionError):
        raise InvalidInput(
            'body: a JSON object such as {"name": "notes.md", "content": "…"} is expected.', field="body"
        ) from None
