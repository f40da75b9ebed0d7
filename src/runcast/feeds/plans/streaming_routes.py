"""The documented routes of the plan feed: its WebSocket, who watches, and what a plan has told."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import WebSocketRoute

from runcast.core.scope import Scope
from runcast.feeds.plans.answered import answered
from runcast.feeds.plans.commands import GiveCommand
from runcast.feeds.plans.events import plan_stream
from runcast.feeds.plans.manager import StreamingManager
from runcast.feeds.plans.socket import create_plan_socket
from runcast.kinds.plan import encode_frame
from runcast.transport.access import access_of
from runcast.transport.events import events_page
from runcast.transport.permission import OBSERVE, reads
from runcast.transport.rest import json_response
from runcast.transport.route import RequestRoute

PREFIX: Final = "/api/v1/streaming"


def plan_of(request: Request) -> str:
    """The stream of the plan that the path names.

    Raises:
        InvalidStreamName: no plan can be called so.
    """
    return plan_stream(request.path_params["plan_id"])


def create_streaming_router(
    manager: StreamingManager, *, give_command: GiveCommand | None = None
) -> APIRouter:
    """The WebSocket and the routes under `/api/v1/streaming`, to include in any app.

    Its clients are among those of `manager`. Without `give_command` they only watch.
    """
    router = APIRouter(prefix=PREFIX, tags=["plans"], route_class=RequestRoute)
    streaming = _Streaming(manager)
    # `:path`: an id with a slash is answered like any other that cannot be, not by a handshake that fails
    socket = create_plan_socket(manager.connected, give_command)
    router.routes.append(WebSocketRoute(f"{PREFIX}/ws/{{client_id:path}}", socket, name="plans"))
    refused = manager.bus.refused
    router.get("/clients", summary="Who watches plans here")(answered(refused, OBSERVE, streaming.clients))
    router.get("/plans/{plan_id}/subscribers", summary="How many watch a plan here")(
        answered(refused, reads(plan_of), streaming.subscribers)
    )
    router.get("/plans/{plan_id}/history", summary="A page of a plan's events")(
        answered(refused, reads(plan_of), streaming.history)
    )
    return router


class _Streaming:
    """The handlers. Each raises `RuncastError`, which is answered as a problem."""

    def __init__(self, manager: StreamingManager) -> None:
        self._manager = manager

    async def clients(self, request: Request) -> Response:
        del request
        described = [self._manager.describe(client) for client in self._manager.connected.all()]
        connections = [
            {
                "client_id": one.client_id,
                "subscribed_plans": sorted(one.subscribed_plans),
                "connected_at": one.connected_at,
                "last_ping": one.last_ping,
            }
            for one in described
        ]
        names = [one.client_id for one in described]
        return json_response({"client_count": len(names), "clients": names, "connections": connections})

    async def subscribers(self, request: Request) -> Response:
        plan_id = plan_of(request).partition(":")[2]
        watchers = self._manager.connected.watchers(plan_id)
        answer: dict[str, Any] = {"plan_id": plan_id, "subscriber_count": len(watchers)}
        if access_of(request.scope).may_observe():
            answer["clients"] = [client.client_id for client in watchers]
        return json_response(answer)

    async def history(self, request: Request) -> Response:
        stream = plan_of(request)
        bus = self._manager.bus
        info = await bus.info(stream)
        fields = {"plan_id": stream.partition(":")[2], "event_count": info.head}
        if not info.epoch:  # nothing was told of it yet, which a client may well ask for
            return json_response({"events": [], **fields, "count": 0, "cursor": "start", "complete": True})
        return await events_page(bus, request, Scope.of_stream(stream), encode_frame, fields)
