"""Agents that were registered: who offers to work, kept in the system's stream, so it survives a restart."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from runcast.core.event import format_time, stream_name
from runcast.errors import AgentNotFound, InvalidInput, InvalidStreamName, TooMany
from runcast.kinds.system import (
    AGENT_DEREGISTERED,
    AGENT_REGISTERED,
    EVENTS,
    MAX_AGENTS,
    SYSTEM_STATE,
    Agent,
)
from runcast.kinds.workflow_fields import MAX_NAME_CHARS
from runcast.live.bus import Bus
from runcast.transport.access import access_of
from runcast.transport.fields import read_fields
from runcast.transport.rest import json_response

MAX_BODY_BYTES: Final = 64 * 1024


class Agents:
    """The handlers. Each raises `RuncastError`, which the app answers as a problem."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def register(self, request: Request) -> Response:
        """Answered when it is on disk. Whoever registers again under the same id replaces what was there."""
        fields = await read_fields(request, MAX_BODY_BYTES)
        fields.only("agent_id", "agent_type", "name", "capabilities", "metadata")
        agent_id = _checked(fields.text("agent_id", 1, 200))
        fields.text("agent_type", 1, MAX_NAME_CHARS)
        agents = (await self._bus.fold(EVENTS, SYSTEM_STATE)).agents
        if len(agents) >= MAX_AGENTS and agent_id not in agents:
            raise TooMany(f"There are {MAX_AGENTS} agents, which is the limit; deregister one first.")
        given = fields.as_given("agent_id", "agent_type", "name", "capabilities", "metadata")
        await self._bus.publish(
            EVENTS, AGENT_REGISTERED, {**given, "by": access_of(request.scope).known().sub}
        )
        agents = (await self._bus.fold(EVENTS, SYSTEM_STATE)).agents
        if agent_id not in agents:  # another request was quicker
            raise AgentNotFound(f"The agent {agent_id} was deregistered at once.")
        return json_response(_describe(agents[agent_id]), HTTPStatus.CREATED)

    async def index(self, request: Request) -> Response:
        """All, the oldest registration first."""
        del request
        agents = (await self._bus.fold(EVENTS, SYSTEM_STATE)).agents
        return json_response(
            {"agents": [_describe(agent) for agent in agents.values()], "total": len(agents)}
        )

    async def deregister(self, request: Request) -> Response:
        """Answered when it is on disk."""
        agent_id: str = request.path_params["agent_id"]
        if agent_id not in (await self._bus.fold(EVENTS, SYSTEM_STATE)).agents:
            raise AgentNotFound(f"There is no agent {agent_id[:200]}.")
        by = access_of(request.scope).known().sub
        await self._bus.publish(EVENTS, AGENT_DEREGISTERED, {"agent_id": agent_id, "by": by})
        return json_response({"agent_id": agent_id, "status": "deregistered"})


def _checked(agent_id: str) -> str:
    """An id that fits into the path of an address."""
    try:
        stream_name("agent", agent_id)
    except InvalidStreamName as error:
        said = str(error).partition(": ")[2]
        raise InvalidInput(f"agent_id: {said}", field="agent_id") from None
    return agent_id


def _describe(agent: Agent) -> dict[str, Any]:
    return {
        "agent_id": agent.agent_id,
        "agent_type": agent.agent_type,
        "name": agent.name,
        "capabilities": agent.capabilities,
        "metadata": agent.metadata,
        "registered_at": format_time(agent.registered),
    }
