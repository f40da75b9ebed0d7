"""The workflow and the system feed, with their runner, in a FastAPI app of one's own: without `create_app`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from runcast.config import Settings
from runcast.errors import RuncastError
from runcast.feeds.system.routes import create_system_feed_router
from runcast.feeds.system.telling import tell_system
from runcast.feeds.workflows.routes import create_workflows_router
from runcast.feeds.workflows.wire import workflow_frames
from runcast.kinds.system import SYSTEM
from runcast.kinds.workflow import WORKFLOW
from runcast.live.bus import Bus
from runcast.live.keeper import keep_snapshots
from runcast.log.open import open_configured
from runcast.runners.extractive import ExtractiveModel
from runcast.runners.host import RunnerHost
from runcast.runners.knowledge import KnowledgeBase
from runcast.runners.workflows.service import Workflows
from runcast.transport.examples import create_examples_router
from runcast.transport.pages import create_pages_router
from runcast.transport.problem import answer_with
from runcast.transport.rest import create_streams_router
from tests.support.clients import open_ws, rest_of
from tests.support.server import AppServer

FACTS = """# Tides

Tides are the rise and fall of sea levels. They are caused by the gravity of the Moon and the Sun.

# Spring tides

When the Sun, the Moon and the Earth are in line, the tide's range is at its maximum; this is the spring tide.
"""


class WorkflowServer(AppServer):
    """Everything that an app needs for workflows, over a knowledge base with a few facts.

    Args:
        log: the log's path, or memory.
        runs: whether this process runs workflows itself.
        settings: those of the bus.
    """

    def __init__(
        self, log: str | Path = "memory:", *, protocol: str = "fast", runs: bool = True, **settings: Any
    ) -> None:
        made = Settings(log=str(log), **settings)
        self.bus = Bus(open_configured(made), [WORKFLOW, SYSTEM], made)
        self.knowledge = KnowledgeBase(None)
        self.knowledge.add(FACTS.encode(), "tides.md")
        self.model = ExtractiveModel(self.knowledge)
        self.service = Workflows(self.bus, self.model, self.knowledge)
        self._runs = runs
        super().__init__(self._app(), protocol=protocol)

    def workflow(self, workflow_id: str, **query: Any) -> str:
        """The documented URL of a workflow's socket."""
        return self.ws(f"/api/v1/ws/workflows/{workflow_id}", **query)

    def start_workflow(self, task: str, **more: Any) -> dict[str, Any]:
        """Post a workflow, which must be taken; returns its document."""
        answer = self.http.post("/api/v1/workflows", json={"task": task, **more})
        assert answer.status_code == 202, answer.text
        return answer.json()

    def story(self, workflow_id: str, **query: Any) -> list[dict[str, Any]]:
        """All frames of a workflow until its end."""
        with open_ws(self.workflow(workflow_id, **query)) as ws:
            frames, code, _ = rest_of(ws)
        assert code == 1000
        return frames

    def _app(self) -> FastAPI:
        bus = self.bus

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
            async with bus, asyncio.TaskGroup() as group:
                works = [tell_system(bus), keep_snapshots(bus, "workflow")]
                if self._runs:
                    works.append(RunnerHost(bus, [self.service]).run())
                tasks = [group.create_task(work) for work in works]
                yield
                for task in tasks:
                    task.cancel()
                for task in tasks:
                    with suppress(asyncio.CancelledError):
                        await task

        app = FastAPI(
            routes=[
                *create_streams_router(bus, {"workflow": lambda _: workflow_frames()}).routes,
                *create_workflows_router(bus, self.service).routes,
                *create_system_feed_router(bus, self.model, self.knowledge).routes,
                *create_examples_router().routes,
                *create_pages_router().routes,
            ],
            lifespan=lifespan,
        )
        app.add_exception_handler(RuncastError, answer_with(bus.refused))
        return app
