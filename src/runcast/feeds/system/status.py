"""How the system fares: whether it runs, what it is at, and what it answers with."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from runcast.feeds.system.telling import OPEN, set_running
from runcast.kinds.system import EVENTS, READY, RUNNING, SYSTEM_STATE
from runcast.kinds.workflow import NAME
from runcast.kinds.workflow_fields import STATUSES
from runcast.kinds.workflow_state import WorkflowState
from runcast.kinds.workflow_summary import WORKFLOW_SUMMARY
from runcast.live.bus import Bus
from runcast.runners.plans.registry import ACTIONS
from runcast.runners.workflows.registry import names as workflow_names
from runcast.transport.access import access_of
from runcast.transport.fields import read_fields
from runcast.transport.rest import json_response
from runcast.transport.run_list import Run, RunList

MAX_BODY_BYTES: Final = 64 * 1024
KEEP_S: Final = 0.5
"""What was counted is told again for so long: whoever polls costs little, however many workflows there are."""


class Named(Protocol):
    """What is asked of a language model here."""

    name: str


class Documents(Protocol):
    """What is asked of a knowledge base here."""

    def count(self) -> int:
        """How many there are; blocking."""
        ...


class Status:
    """The handlers. Each raises `RuncastError`, which the app answers as a problem."""

    def __init__(self, bus: Bus, model: Named, knowledge: Documents | None) -> None:
        self._bus = bus
        self._model = model
        self._knowledge = knowledge
        self._began = time.monotonic()
        self._list = RunList(bus, NAME, WORKFLOW_SUMMARY, STATUSES)
        self._counted_at = float("-inf")
        self._open: list[Run[WorkflowState]] = []

    async def start(self, request: Request) -> Response:
        """Say that the system runs; harmless if it does. Workflows are taken without that, too."""
        (await read_fields(request, MAX_BODY_BYTES, optional=True)).only()
        await set_running(self._bus, f"started by {access_of(request.scope).known().sub}")
        return json_response({**await self._document(), "message": "The system runs."})

    async def show(self, request: Request) -> Response:
        """The status, and the numbers behind it."""
        del request
        return json_response(await self._document())

    async def _document(self) -> dict[str, Any]:
        state = await self._bus.fold(EVENTS, SYSTEM_STATE)
        workflows = [run.state for run in await self._count()]
        documents = await asyncio.to_thread(self._knowledge.count) if self._knowledge else None
        return {
            "status": RUNNING if state.status == RUNNING else READY,
            "uptime_seconds": round(time.monotonic() - self._began, 3),
            "active_workflows": len(workflows),
            "active_agents": sum(_at_work(workflow) for workflow in workflows),
            "registered_agents": len(state.agents),
            "pending_approvals": sum(len(workflow.pending_approvals) for workflow in workflows),
            "workflows": workflow_names(),
            "plan_steps": sorted(ACTIONS),
            "llm_provider": self._model.name,
            "knowledge_brain_enabled": documents is not None,
            "knowledge_documents": documents or 0,
            "connected_clients": self._bus.live_statistics().connections,
        }

    async def _count(self) -> list[Run[WorkflowState]]:
        """The workflows that are not over, on whichever process they run."""
        if time.monotonic() - self._counted_at >= KEEP_S:
            self._open = await self._list.newest(OPEN)
            self._counted_at = time.monotonic()
        return self._open


def _at_work(workflow: WorkflowState) -> int:
    return sum(agent.status == "running" for agent in workflow.agents.values())
