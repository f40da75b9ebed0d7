"""Plans over HTTP: start them, look at them, give them commands."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, get_args

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from runcast.core.event import MAX_ID_CHARS
from runcast.core.filters import EVERYTHING
from runcast.core.scope import Scope
from runcast.feeds.plans.answered import answered
from runcast.feeds.plans.commands import CommandRefused, GiveCommand
from runcast.feeds.plans.events import KIND, plan_stream
from runcast.feeds.plans.streaming_routes import plan_of
from runcast.kinds.plan_commands import MAX_COMMAND_ID_CHARS, MAX_WORDS_CHARS
from runcast.kinds.plan_definition import PlanDefinition, StepDefinition
from runcast.kinds.plan_document import plan_line
from runcast.kinds.plan_state import PlanStatus
from runcast.kinds.plan_summary import PLAN_SUMMARY
from runcast.runners.plans.service import Plans
from runcast.transport.access import access_of
from runcast.transport.fields import Fields, read_fields
from runcast.transport.params import query_of
from runcast.transport.permission import KNOWN, Handler, Permission, reads, writes
from runcast.transport.rest import json_response
from runcast.transport.route import RequestRoute
from runcast.transport.run_list import Run, RunList, page_document

MAX_BODY_BYTES: Final = 512 * 1024
NEW: Final = f"{KIND}:plan_"
"""Whoever may write to all streams that begin so may start plans without a name of their own."""
OF_PLAN: Final = PlanDefinition.__struct_fields__
OF_STEP: Final = ("id", *StepDefinition.__struct_fields__)
READ: Final = reads(plan_of)
WRITE: Final = writes(plan_of)


def command_giver(plans: Plans) -> GiveCommand:
    """How commands get to the runners of plans, whichever process they are in."""

    async def give(plan_id: str, command: str, *, by: str, **arguments: Any) -> dict[str, Any]:
        outcome = await plans.command(plan_id, command, by=by, **arguments)
        if outcome.status == "refused":
            raise CommandRefused(outcome.reason)
        told: dict[str, Any] = msgspec.to_builtins(outcome)
        return {name: value for name, value in told.items() if value is not None}

    return give


def create_plans_router(plans: Plans) -> APIRouter:
    """The routes under `/api/v1/plans`, over the service."""
    router = APIRouter(prefix="/api/v1/plans", tags=["plans"], route_class=RequestRoute)
    handlers = _Plans(plans)

    def guarded(permission: Permission, handler: Handler) -> Handler:
        return answered(plans.bus.refused, permission, handler)

    router.post("", summary="Start a plan", status_code=HTTPStatus.ACCEPTED)(guarded(KNOWN, handlers.start))
    router.get("", summary="The plans there are, the latest first")(guarded(KNOWN, handlers.index))
    router.get("/{plan_id}", summary="What a plan has come to")(guarded(READ, handlers.show))
    for command in ("pause", "resume", "cancel"):
        router.post(f"/{{plan_id}}/{command}", summary=f"{command.capitalize()} a plan")(
            guarded(WRITE, handlers.on_plan(command))
        )
    for command in ("retry", "skip"):
        router.post(f"/{{plan_id}}/steps/{{step_id}}/{command}", summary=f"{command.capitalize()} a step")(
            guarded(WRITE, handlers.on_step(f"{command}_step"))
        )
    router.post("/{plan_id}/steps", summary="Add a step to a plan")(guarded(WRITE, handlers.add_step))
    router.delete("/{plan_id}/steps/{step_id}", summary="Remove a step that has not begun")(
        guarded(WRITE, handlers.on_step("remove_step"))
    )
    router.put("/{plan_id}/order", summary="Say which ready steps begin first")(
        guarded(WRITE, handlers.reorder)
    )
    router.put("/{plan_id}/steps/{step_id}/depends_on", summary="Say what a step waits for")(
        guarded(WRITE, handlers.depend)
    )
    router.post("/{plan_id}/review/{gate}", summary="Answer the review that a quality gate asks for")(
        guarded(WRITE, handlers.review)
    )
    return router


class _Plans:
    """The handlers. Each raises `RuncastError`, which is answered as a problem."""

    def __init__(self, plans: Plans) -> None:
        self._plans = plans
        self._give = command_giver(plans)
        self._list = RunList(plans.bus, KIND, PLAN_SUMMARY, get_args(PlanStatus))

    async def start(self, request: Request) -> Response:
        """Answered when the plan is on disk: whatever happens to this process, it will be run."""
        access = access_of(request.scope)
        access.known()
        fields = await read_fields(request, MAX_BODY_BYTES)
        fields.only(*OF_PLAN)
        wanted = fields.text_or_none("plan_id", MAX_ID_CHARS)
        access.check_write([NEW if wanted is None else plan_stream(wanted)])
        plan_id = await self._plans.start(fields.as_given(*OF_PLAN), by=access.known().sub)
        return json_response(await self._plans.document(plan_id), HTTPStatus.ACCEPTED)

    async def index(self, request: Request) -> Response:
        access = access_of(request.scope)
        access.visible(Scope.firehose(KIND), EVERYTHING)  # whoever may see no plan gets no list
        page = await self._list.page(query_of(request), access.grants.may_read)
        return json_response(page_document(page, "plans", _line))

    async def show(self, request: Request) -> Response:
        return json_response(await self._plans.document(_plan_id(request)))

    def on_plan(self, command: str) -> Handler:
        """A handler that gives a command to the whole plan; the body may have a `reason`."""

        async def handle(request: Request) -> Response:
            fields = await read_fields(request, MAX_BODY_BYTES, optional=True)
            return await self._command(request, command, fields)

        return handle

    def on_step(self, command: str) -> Handler:
        """A handler that gives a command about the step that the path names."""

        async def handle(request: Request) -> Response:
            fields = await read_fields(request, MAX_BODY_BYTES, optional=True)
            return await self._command(request, command, fields, step_id=request.path_params["step_id"])

        return handle

    async def add_step(self, request: Request) -> Response:
        """The body is the step's definition."""
        fields = await read_fields(request, MAX_BODY_BYTES)
        return await self._command(request, "add_step", fields, *OF_STEP, step=fields.as_given(*OF_STEP))

    async def reorder(self, request: Request) -> Response:
        fields = await read_fields(request, MAX_BODY_BYTES)
        return await self._command(request, "reorder", fields, "order", **fields.as_given("order"))

    async def depend(self, request: Request) -> Response:
        fields = await read_fields(request, MAX_BODY_BYTES)
        given = {"step_id": request.path_params["step_id"], **fields.as_given("depends_on")}
        return await self._command(request, "set_depends_on", fields, "depends_on", **given)

    async def review(self, request: Request) -> Response:
        fields = await read_fields(request, MAX_BODY_BYTES)
        given = {"gate": request.path_params["gate"], "approved": fields.truth("approved")}
        given["comment"] = fields.text_or_none("comment", MAX_WORDS_CHARS)
        return await self._command(request, "review", fields, "approved", "comment", **given)

    async def _command(
        self, request: Request, command: str, fields: Fields, *known: str, **arguments: Any
    ) -> Response:
        """Give it and tell the outcome: 200 if it is carried out, 202 if no runner has answered in time."""
        fields.only("reason", "command_id", *known)
        outcome = await self._give(
            _plan_id(request),
            command,
            by=access_of(request.scope).known().sub,
            command_id=fields.text_or_none("command_id", MAX_COMMAND_ID_CHARS),
            reason=fields.text_or_none("reason", MAX_WORDS_CHARS),
            **arguments,
        )
        status = HTTPStatus.OK if outcome["status"] == "done" else HTTPStatus.ACCEPTED
        return json_response({"plan_id": _plan_id(request), **outcome}, status)


def _plan_id(request: Request) -> str:
    return plan_of(request).partition(":")[2]


def _line(run: Run[Any]) -> dict[str, Any]:
    return plan_line(run.info.stream.partition(":")[2], run.state)
