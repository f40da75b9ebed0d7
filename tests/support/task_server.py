"""The task feed, with its runner, in a FastAPI app of one's own; as a process: `python -m tests.support.task_server`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from runcast.auth.setup import make_authenticator
from runcast.auth.store import AuthStore
from runcast.config import Settings
from runcast.errors import RuncastError
from runcast.feeds.tasks.routes import SOCKETS, create_tasks_router
from runcast.feeds.tasks.wire import TaskFrames
from runcast.kinds.base import Publish
from runcast.kinds.task import TASK, from_frame
from runcast.live.bus import Bus
from runcast.live.keeper import keep_snapshots
from runcast.log.open import open_configured
from runcast.log.place import auth_file
from runcast.runners.host import RunnerHost
from runcast.runners.loading import load_modules
from runcast.runners.tasks.service import Tasks
from runcast.sources.redis_pubsub import RedisSource
from runcast.transport.gate import Gate
from runcast.transport.holders import Holders
from runcast.transport.problem import answer_with
from runcast.transport.rest import create_streams_router
from tests.support.clients import open_ws, rest_of
from tests.support.server import AppServer


class TaskApp:
    """Everything that an app needs for tasks.

    Args:
        runs: whether this process sees to tasks itself.
    """

    def __init__(self, settings: Settings, *, runs: bool = True) -> None:
        load_modules(settings.load)
        self.bus = Bus(open_configured(settings), [TASK], settings)
        self.service = Tasks(self.bus)
        self.source: RedisSource | None = None
        self._runs = runs
        self.app = FastAPI(
            routes=[
                *create_streams_router(self.bus, {"task": lambda _: TaskFrames()}).routes,
                *create_tasks_router(self.bus, self.service).routes,
            ],
            lifespan=self._lifespan,
        )
        self.app.add_api_route("/health", lambda: {"status": "ok"})
        self.app.add_exception_handler(RuncastError, answer_with(self.bus.refused))
        self.store: AuthStore | None = None
        if settings.is_locked:
            self._lock(settings)

    def _lock(self, settings: Settings) -> None:
        """Let everybody be asked who they are, as `create_app` does."""
        self.store = AuthStore(auth_file(Path(settings.log)))
        authenticator = make_authenticator(settings, self.store)
        self.keys = authenticator.keys
        self.app.add_middleware(
            Gate,
            authenticator=authenticator,
            holders=Holders(authenticator, settings, self.bus.spawn),
            allowed_origins=settings.allowed_origins,
            refused=self.bus.refused,
            words={SOCKETS: lambda error: TaskFrames().error(error, self.bus.now_us()).payload},
        )

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncGenerator[None]:
        bus = self.bus
        async with bus, asyncio.TaskGroup() as group:
            works = [keep_snapshots(bus, "task")]
            if self._runs:
                limits = {"task": self.service.most_at_once}
                works.append(RunnerHost(bus, [self.service], limits).run())
            if bus.settings.redis_url:
                self.source = RedisSource(bus, bus.settings.redis_url)
                works.append(self.source.run())
            tasks = [group.create_task(work) for work in works]
            yield
            await self.service.close()
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task


class TaskServer(AppServer):
    """The app in a thread of this process."""

    def __init__(
        self, log: str | Path = "memory:", *, protocol: str = "fast", runs: bool = True, **settings: Any
    ) -> None:
        self.made = TaskApp(Settings(log=str(log), **settings), runs=runs)
        self.bus, self.service = self.made.bus, self.made.service
        super().__init__(self.made.app, protocol=protocol)

    @property
    def source(self) -> RedisSource:
        assert self.made.source is not None
        return self.made.source

    def task(self, task_id: str, **query: Any) -> str:
        """The documented URL of a task's socket."""
        return self.ws(f"/ws/agent-progress/{task_id}", **query)

    def publish(self, task_id: str, *frames: dict[str, Any]) -> None:
        """Publish documented messages to a task."""
        self.publish_all([from_frame(task_id, frame) for frame in frames])

    def publish_all(self, events: list[Publish]) -> None:
        self.run(self.bus.publish_all(events))

    def story(self, task_id: str, **query: Any) -> list[dict[str, Any]]:
        """All frames of a task until its end, which must be a good one; without heartbeats."""
        with open_ws(self.task(task_id, **query)) as ws:
            frames, code, reason = rest_of(ws)
        assert code == 1000, (code, reason, frames)
        return [frame for frame in frames if not frame.get("heartbeat")]

    def begin(self, task_type: str, **fields: Any) -> dict[str, Any]:
        """Post a task, which must be taken; returns its document."""
        answer = self.http.post("/api/v1/tasks", json={"type": task_type, **fields})
        assert answer.status_code == 202, answer.text
        return answer.json()


def main() -> None:
    settings = Settings.from_env(os.environ)
    uvicorn.run(TaskApp(settings).app, port=int(sys.argv[1]), log_level="warning")


if __name__ == "__main__":
    main()
