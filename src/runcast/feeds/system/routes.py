"""The system feed's routes: its socket, its status, registered agents, and the approvals that people are asked for."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.routing import WebSocketRoute

from runcast.feeds.system.agents import Agents
from runcast.feeds.system.approvals import Approvals
from runcast.feeds.system.nodes import Nodes
from runcast.feeds.system.presence import Presence
from runcast.feeds.system.socket import nodes_socket, system_socket
from runcast.feeds.system.status import Documents, Named, Status
from runcast.kinds.system import EVENTS
from runcast.kinds.system_nodes import NODES
from runcast.live.bus import Bus
from runcast.transport.permission import KNOWN, allowed, reads, writes
from runcast.transport.route import RequestRoute


def _events(_: Request) -> str:
    return EVENTS


def _nodes(_: Request) -> str:
    return NODES


READ = reads(_events)
WRITE = writes(_events)


def create_system_feed_router(
    bus: Bus, model: Named, knowledge: Documents | None = None, presence: Presence | None = None
) -> APIRouter:
    """The whole feed over `bus`, for a FastAPI app of one's own.

    The bus must know the kinds `SYSTEM` and `WORKFLOW`. Let `tell_system` run beside it: that tells in the system's
    stream what happens in workflows. `model` answers in the workflows, from what `knowledge` has. `presence` is
    this node, if its `run` goes on beside it, too.
    """
    router = APIRouter(prefix="/api/v1", tags=["system"], route_class=RequestRoute)
    status, agents, approvals = Status(bus, model, knowledge), Agents(bus), Approvals(bus)
    router.routes.append(WebSocketRoute("/api/v1/ws/system/events", system_socket(bus), name="system_events"))
    router.routes.append(WebSocketRoute("/api/v1/ws/system/nodes", nodes_socket(bus), name="system_nodes"))
    router.get("/nodes", summary="The nodes of this log, and what they are at")(
        allowed(reads(_nodes), Nodes(bus, presence).index)
    )
    router.post("/system/start", summary="Start the system; optional")(allowed(WRITE, status.start))
    router.get("/system/status", summary="What the system is at")(allowed(KNOWN, status.show))
    router.post("/agents", summary="Register an agent", status_code=HTTPStatus.CREATED)(
        allowed(WRITE, agents.register)
    )
    router.get("/agents", summary="The registered agents")(allowed(READ, agents.index))
    router.delete("/agents/{agent_id}", summary="Deregister an agent")(allowed(WRITE, agents.deregister))
    router.get("/approvals", summary="What people are asked")(allowed(KNOWN, approvals.index))
    router.post("/approvals/{approval_id}", summary="Answer what is asked")(allowed(KNOWN, approvals.resolve))
    return router
