"""The workflow feed's routes: its socket, and REST as documented. All that is told is a fold over the stream."""

from __future__ import annotations

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
from runcast.feeds.workflows.socket import workflow_socket
from runcast.kinds.workflow import NAME, workflow_id_of, workflow_stream
from runcast.kinds.workflow_fields import (
    MAX_NAME_CHARS,
    MAX_SENTENCE_CHARS,
    MAX_STEPS,
    MAX_TASK_CHARS,
    STATUSES,
)
from runcast.kinds.workflow_state import WORKFLOW_STATE, WorkflowState, to_document
from runcast.kinds.workflow_summary import WORKFLOW_SUMMARY
from runcast.live.bus import Bus
from runcast.runners.workflows.service import Workflows
from runcast.transport.access import access_of
from runcast.transport.fields import read_fields
from runcast.transport.params import query_of
from runcast.transport.permission import KNOWN, allowed, reads, writes
from runcast.transport.rest import json_response
from runcast.transport.route import RequestRoute
from runcast.transport.run_list import Run, RunList, page_document

MAX_BODY_BYTES: Final = 256 * 1024
NEW: Final = workflow_stream("wf_")
"""Whoever may write to all streams that begin so may start workflows."""


def _stream(request: Request) -> str:
    return stream_name(NAME, request.path_params["workflow_id"])


READ: Final = reads(_stream)
WRITE: Final = writes(_stream)


def create_workflows_router(bus: Bus, service: Workflows) -> APIRouter:
    """The whole feed over `bus`, for a FastAPI app of one's own. The bus must know the kind `WORKFLOW`."""
    router = APIRouter(tags=["workflows"], route_class=RequestRoute)
    workflows = _Workflows(bus, service)
    # `:path`: an id with a slash is answered like any other that cannot be, not by a handshake that fails
    router.routes.append(
        WebSocketRoute(
            "/api/v1/ws/workflows/{workflow_id:path}", workflow_socket(bus), name="workflow_events"
        )
    )
    router.post("/api/v1/workflows", summary="Start a workflow", status_code=HTTPStatus.ACCEPTED)(
        allowed(KNOWN, workflows.start)
    )
    router.get("/api/v1/workflows", summary="The workflows there are, the latest first")(
        allowed(KNOWN, workflows.index)
    )
    router.get("/api/v1/workflows/{workflow_id}", summary="What a workflow has come to")(
        allowed(READ, workflows.show)
    )
    router.post("/api/v1/workflows/{workflow_id}/cancel", summary="Cancel a workflow")(
        allowed(WRITE, workflows.cancel)
    )
    return router


class _Workflows:
    """The handlers. Each raises `RuncastError`, which the app answers as a problem."""

    def __init__(self, bus: Bus, service: Workflows) -> None:
        self._bus = bus
        self._service = service
        self._list = RunList(bus, NAME, WORKFLOW_SUMMARY, STATUSES)

    async def start(self, request: Request) -> Response:
        """Answered when the workflow is on disk: whatever happens to this process, it will be run."""
        access = access_of(request.scope)
        access.check_write([NEW])
        fields = await read_fields(request, MAX_BODY_BYTES)
        fields.only("task", "max_steps", "parent_workflow_id", "workflow")
        task = fields.text("task", 1, MAX_TASK_CHARS)
        max_steps = fields.integer_or_none("max_steps", 1, MAX_STEPS)
        parent = fields.text_or_none("parent_workflow_id", MAX_NAME_CHARS)
        name = fields.text_or_none("workflow", MAX_NAME_CHARS)
        if parent is not None:
            _check_parent(request, parent)
        workflow_id = await self._service.start(
            task,
            **({} if name is None else {"workflow": name}),
            max_steps=max_steps,
            parent_workflow_id=parent,
            by=access.known().sub,
        )
        state = await self._bus.fold(workflow_stream(workflow_id), WORKFLOW_STATE)
        return json_response(to_document(state, workflow_id), HTTPStatus.ACCEPTED)

    async def index(self, request: Request) -> Response:
        access = access_of(request.scope)
        access.visible(Scope.firehose(NAME), EVERYTHING)  # whoever may see no workflow gets no list
        page = await self._list.page(query_of(request), access.grants.may_read)
        return json_response(page_document(page, "workflows", _describe))

    async def show(self, request: Request) -> Response:
        stream = _stream(request)
        return json_response(to_document(await self._state(stream), workflow_id_of(stream)))

    async def cancel(self, request: Request) -> Response:
        """Answered when the command is on disk. Repeating it changes nothing; one that is over cannot be cancelled."""
        stream = _stream(request)
        workflow_id = workflow_id_of(stream)
        fields = await read_fields(request, MAX_BODY_BYTES, optional=True)
        fields.only("reason")
        reason = fields.text_or_none("reason", MAX_SENTENCE_CHARS)
        state = await self._state(stream)
        if state.is_over and state.status != "cancelled":
            raise Conflict(f"The workflow {workflow_id} is {state.status} already.")
        if not state.is_over:
            await self._service.cancel(workflow_id, by=access_of(request.scope).known().sub, reason=reason)
        return json_response(to_document(await self._state(stream), workflow_id), HTTPStatus.ACCEPTED)

    async def _state(self, stream: str) -> WorkflowState:
        """The state after all that is committed; raises `StreamNotFound`."""
        state = await self._bus.fold(stream, WORKFLOW_STATE)
        if not state.is_known:
            raise StreamNotFound(f"There is no workflow {workflow_id_of(stream)}.")
        return state


def _check_parent(request: Request, workflow_id: str) -> None:
    """Whoever asks must be allowed to read the parent: its synthesis is handed on."""
    try:
        stream = stream_name(NAME, workflow_id)
    except InvalidStreamName:
        raise InvalidInput(
            "parent_workflow_id: no workflow can be called so.", field="parent_workflow_id"
        ) from None
    access_of(request.scope).check_read(stream)


def _describe(run: Run[WorkflowState]) -> dict[str, Any]:
    return to_document(run.state, workflow_id_of(run.info.stream))
