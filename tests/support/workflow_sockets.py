"""The sockets of the workflow and the system feed on their own, over a bus of the test's, without a runner."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.routing import WebSocketRoute

from runcast.config import Settings
from runcast.errors import RuncastError
from runcast.feeds.system.socket import system_socket
from runcast.feeds.workflows.socket import workflow_socket
from runcast.feeds.workflows.wire import from_frame, workflow_frames
from runcast.kinds.system import SYSTEM
from runcast.kinds.workflow import WORKFLOW
from runcast.live.bus import Bus
from runcast.log.open import open_configured
from runcast.transport.problem import answer_with
from runcast.transport.rest import create_streams_router
from tests.support.server import AppServer

FRAMES: tuple[dict[str, Any], ...] = (
    {"type": "workflow_created", "task": "Explain", "workflow": "research"},
    {"type": "workflow_status", "status": "pending"},
    {"type": "workflow_status", "status": "running"},
    {"type": "agent_spawned", "agent_id": "research_001", "agent_type": "research", "spawn_time": 0.1},
    {"type": "agent_output", "agent_id": "research_001", "content": "It ", "confidence": 0.4},
    {"type": "agent_output", "agent_id": "research_001", "content": "is.", "confidence": 0.9},
    {"type": "agent_completed", "agent_id": "research_001", "content": "It is.", "confidence": 0.9},
    {"type": "synthesis_started", "agent_count": 1},
    {"type": "workflow_status", "status": "completed"},
    {
        "type": "workflow_complete",
        "synthesis": {"content": "It is.", "confidence": 0.87, "agents_synthesized": 1, "token_count": 2},
    },
)
"""The events of a whole workflow."""


class SocketServer(AppServer):
    """Serves both sockets, and the native routes.

    Args:
        settings: those of `AppServer`, and those of the bus.
    """

    def __init__(
        self,
        log: str | Path = "memory:",
        *,
        protocol: str = "fast",
        send_buffer: int | None = None,
        **settings: Any,
    ) -> None:
        made = Settings(log=str(log), **settings)
        self.bus = Bus(open_configured(made), [WORKFLOW, SYSTEM], made)
        super().__init__(self._app(), protocol=protocol, send_buffer=send_buffer)

    def workflow(self, workflow_id: str, **query: Any) -> str:
        """The documented URL of a workflow's socket."""
        return self.ws(f"/api/v1/ws/workflows/{workflow_id}", **query)

    def publish(self, workflow_id: str, *frames: dict[str, Any]) -> None:
        """Publish flat frames, all at once."""
        self.run(self.bus.publish_all([from_frame(workflow_id, frame) for frame in frames]))

    def tell(self, event_type: str, **data: Any) -> None:
        """Publish an event of the system's stream."""
        self.run(self.bus.publish("system:events", event_type, data))

    def _app(self) -> FastAPI:
        bus = self.bus

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
            async with bus:
                yield

        routes = [
            *create_streams_router(bus, {"workflow": lambda _: workflow_frames()}).routes,
            WebSocketRoute("/api/v1/ws/workflows/{workflow_id:path}", workflow_socket(bus)),
            WebSocketRoute("/api/v1/ws/system/events", system_socket(bus)),
        ]
        app = FastAPI(routes=routes, lifespan=lifespan)
        app.add_exception_handler(RuncastError, answer_with(bus.refused))
        return app
