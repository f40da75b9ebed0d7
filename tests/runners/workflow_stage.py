"""A stage for workflows: a bus with a host, a model that streams what the test says, and ways to wait for events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from runcast.config import Settings
from runcast.core.event import Event
from runcast.kinds.workflow import WORKFLOW, workflow_stream
from runcast.live.bus import Bus
from runcast.log.memory import MemoryLog
from runcast.log.sqlite import SqliteLog
from runcast.runners.host import RunnerHost
from runcast.runners.knowledge.values import Passage
from runcast.runners.model import Delta, Message, Usage
from runcast.runners.workflows.approvals import LINGER_S
from runcast.runners.workflows.service import Workflows

WAIT_S = 20.0
TERMINALS = WORKFLOW.terminals


class StreamingModel:
    """Answers with `pieces`, one after another; each waits until `gate` is open."""

    name = "test/streaming"

    def __init__(self, pieces: Sequence[str] = ("It ", "is ", "so.")) -> None:
        self.pieces = list(pieces)
        self.asked: list[list[Message]] = []
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = 0

    async def stream(
        self, messages: Sequence[Message], *, max_tokens: int | None = None
    ) -> AsyncIterator[Delta | Usage]:
        del max_tokens
        self.asked.append(list(messages))
        try:
            for piece in self.pieces:
                yield Delta(piece)
                await asyncio.sleep(0)
                await self.gate.wait()
            if self.failure:
                raise self.failure
            yield Usage(input_tokens=7, output_tokens=3, model=self.name, latency_s=0.01, estimated=False)
        finally:
            self.closed += 1

    async def close(self) -> None:
        pass


class Shelf:
    """Something to search in."""

    def __init__(self, *texts: str) -> None:
        self.passages = [
            Passage(text=text, source=f"s{n}.md", heading="", number=1, score=1.0)
            for n, text in enumerate(texts)
        ]

    def search(self, query: str, limit: int = 5) -> Sequence[Passage]:
        del query
        return self.passages[:limit]


class Gate:
    """Where an agent's synchronous code waits for the test."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.reached = threading.Event()

    def wait(self) -> None:
        self.reached.set()
        assert self._open.wait(WAIT_S)

    def open(self) -> None:
        self._open.set()

    async def until_reached(self) -> None:
        await asyncio.to_thread(self.reached.wait, WAIT_S)


class Stage:
    """A bus, its workflows, and a host that can be stopped."""

    def __init__(
        self,
        path: Path | None,
        model: StreamingModel,
        shelf: Shelf,
        linger_s: float = LINGER_S,
        **settings: Any,
    ) -> None:
        self.settings = Settings(**{"health_interval_s": 100.0, "runner_lease_s": 2.0, **settings})
        log = SqliteLog(path, busy_deadline_s=0.2) if path else MemoryLog()
        self.bus = Bus(log, [WORKFLOW], self.settings)
        self.model = model
        self.workflows = Workflows(self.bus, model, shelf, linger_s=linger_s)
        self.host = RunnerHost(self.bus, [self.workflows])
        self._task: asyncio.Task[None] | None = None

    def run(self) -> None:
        self._task = asyncio.create_task(self.host.run())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def start(self, workflow: str, task: str = "Explain", **fields: Any) -> str:
        return await self.workflows.start(task, workflow=workflow, **fields)

    async def events(self, workflow_id: str) -> list[Event]:
        """All events until the terminal one, as they come."""
        return await self.until(workflow_id, lambda event: event.type in TERMINALS)

    async def until(self, workflow_id: str, condition: Callable[[Event], bool]) -> list[Event]:
        """All events up to the first that fits."""
        events: list[Event] = []
        async for event in self.bus.subscribe(workflow_stream(workflow_id)):
            events.append(event)
            if condition(event):
                break
        return events

    async def stored(self, workflow_id: str) -> list[Event]:
        """All that is in the log now."""
        events: list[Event] = []
        cursor = None
        while True:
            page = await self.bus.read(workflow_stream(workflow_id), cursor)
            events += page.events
            if page.complete:
                return events
            cursor = page.cursor


def data(event: Event) -> dict[str, Any]:
    return msgspec.json.decode(event.data)


def types(events: Sequence[Event], *left_out: str) -> list[str]:
    return [event.type for event in events if event.type not in left_out]


def of_type(events: Sequence[Event], *wanted: str) -> list[dict[str, Any]]:
    return [data(event) for event in events if event.type in wanted]


@asynccontextmanager
async def staged(
    path: Path | None = None,
    model: StreamingModel | None = None,
    shelf: Shelf | None = None,
    *,
    runs: bool = True,
    **settings: Any,
) -> AsyncGenerator[Stage]:
    stage = Stage(path, model or StreamingModel(), shelf or Shelf(), **settings)
    stage.bus.start()
    if runs:
        stage.run()
    try:
        yield stage
    finally:
        await stage.stop()
        await stage.bus.close()


def play(test: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(WAIT_S):
            await test()

    asyncio.run(run())
