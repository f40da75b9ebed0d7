"""The task feed's routes: its socket, and REST. All that is told is a fold over the stream."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import WebSocketRoute

from runcast.core.event import stream_name
from runcast.core.filters import EVERYTHING
from runcast.core.scope import Scope
from runcast.errors import Conflict, InvalidInput, InvalidStreamName, StreamNotFound
from runcast.feeds.tasks.socket import task_socket
from runcast.kinds.task import NAME, task_id_of, task_stream
from runcast.kinds.task_state import STATUSES, TASK_STATE, TaskState, to_document
from runcast.live.bus import Bus
from runcast.runners.tasks.service import Tasks
from runcast.transport.access import access_of
from runcast.transport.fields import read_fields
from runcast.transport.params import query_of
from runcast.transport.permission import KNOWN, allowed, reads, writes
from runcast.transport.rest import json_response
from runcast.transport.route import RequestRoute
from runcast.transport.run_list import Run, RunList, page_document

MAX_BODY_BYTES: Final = 256 * 1024
MAX_NAME_CHARS: Final = 200
MAX_REASON_CHARS: Final = 2_000
SOCKETS: Final = "/ws/agent-progress/"
"""How the paths of tasks' WebSockets begin."""


def _stream(request: Request) -> str:
    return stream_name(NAME, request.path_params["task_id"])


READ: Final = reads(_stream)
WRITE: Final = writes(_stream)


def create_tasks_router(bus: Bus, service: Tasks) -> APIRouter:
    """The whole feed over `bus`, for a FastAPI app of one's own. The bus must know the kind `TASK`."""
    router = APIRouter(tags=["tasks"], route_class=RequestRoute)
    tasks = _Tasks(bus, service)
    # `:path`: an id with a slash is answered like any other that cannot be, not by a handshake that fails
    router.routes.append(WebSocketRoute(SOCKETS + "{task_id:path}", task_socket(bus), name="task_progress"))
    router.post("/api/v1/tasks", summary="Start a task", status_code=HTTPStatus.ACCEPTED)(
        allowed(KNOWN, tasks.start)
    )
    router.get("/api/v1/tasks", summary="The tasks there are, the latest first")(allowed(KNOWN, tasks.index))
    router.get("/api/v1/tasks/{task_id}", summary="What a task has come to")(allowed(READ, tasks.show))
    router.post("/api/v1/tasks/{task_id}/cancel", summary="Cancel a task", status_code=HTTPStatus.ACCEPTED)(
        allowed(WRITE, tasks.cancel)
    )
    return router


class _Tasks:
    """The handlers. Each raises `RuncastError`, which the app answers as a problem."""

    def __init__(self, bus: Bus, service: Tasks) -> None:
        self._bus = bus
        self._service = service
        self._list = RunList(bus, NAME, TASK_STATE, STATUSES)

    async def start(self, request: Request) -> Response:
        """Answered when the task is on disk: whatever happens to this process, it will be run.

        All fields but `type` and `task_id` are the task's parameters.
        """
        access = access_of(request.scope)
        fields = await read_fields(request, MAX_BODY_BYTES)
        task_type = fields.text("type", 1, MAX_NAME_CHARS)
        task_id = fields.text_or_none("task_id", MAX_NAME_CHARS) or str(uuid.uuid4())
        access.check_write([_named(task_id)])
        params = fields.others("type", "task_id")
        await self._service.start(task_type, params, task_id=task_id, by=access.known().sub)
        state = await self._bus.fold(task_stream(task_id), TASK_STATE)
        document = {**to_document(state, task_id), "ws_url": _ws_url(request, task_id)}
        return json_response(document, HTTPStatus.ACCEPTED)

    async def index(self, request: Request) -> Response:
        access = access_of(request.scope)
        access.visible(Scope.firehose(NAME), EVERYTHING)  # whoever may see no task gets no list
        page = await self._list.page(query_of(request), access.grants.may_read)
        return json_response(page_document(page, "tasks", _describe))

    async def show(self, request: Request) -> Response:
        """Of a task that tells nothing to us there is nothing: 404."""
        stream = _stream(request)
        state = await self._bus.fold(stream, TASK_STATE)
        if not state.is_known:
            raise StreamNotFound(f"There is no task {task_id_of(stream)}.")
        return json_response(to_document(state, task_id_of(stream)))

    async def cancel(self, request: Request) -> Response:
        """Answered when the command is on disk. Repeating it changes nothing; one that is over cannot be cancelled."""
        stream = _stream(request)
        task_id = task_id_of(stream)
        fields = await read_fields(request, MAX_BODY_BYTES, optional=True)
        fields.only("reason")
        reason = fields.text_or_none("reason", MAX_REASON_CHARS)
        by = access_of(request.scope).known().sub
        is_told = await self._service.cancel(task_id, by=by, reason=reason)
        state = await self._bus.fold(stream, TASK_STATE)
        if not is_told and state.status != "cancelled":
            raise Conflict(f"The task {task_id} is {state.status} already.")
        return json_response(to_document(state, task_id), HTTPStatus.ACCEPTED)


def _named(task_id: str) -> str:
    try:
        return stream_name(NAME, task_id)
    except InvalidStreamName as error:
        raise InvalidInput(str(error), field="task_id") from None


def _ws_url(request: Request, task_id: str) -> str:
    """The address of the task's socket, on the host that was asked."""
    scheme = "wss" if request.url.scheme == "https" else "ws"
    return f"{scheme}://{request.url.netloc}{SOCKETS}{task_id}"


def _describe(run: Run[TaskState]) -> dict[str, Any]:
    return to_document(run.state, task_id_of(run.info.stream))
