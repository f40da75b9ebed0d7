"""A hub on a memory log with the test in control of what it hears, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tests.support.virtual import run_virtual
from tests.support.watcher import PlainCodec, PlainFraming, Watcher

from runcast.core.event import Cursor, NewEvent
from runcast.core.filters import EVERYTHING, EventSubscriptionFilter
from runcast.core.page import Page, Record
from runcast.core.scope import Scope
from runcast.live.cohort import Wish
from runcast.live.hub import Hub, Limits, Place
from runcast.live.subscriber import Subscriber
from runcast.log.memory import MemoryLog

STREAM = "session:stage"


class Stage:
    """The hub reads the log through this object, which counts and can fail."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.log = MemoryLog()
        self.heard: list[list[Record]] = []
        self.log.watch(self.heard.append)
        self.pages_read: list[tuple[Scope, Cursor | None]] = []
        self.failure: Exception | None = None
        self.hub = Hub(self, limits or Limits(), lambda: 0)
        self.running = asyncio.get_running_loop().create_task(self.hub.run())
        self.count = 0

    # what the hub reads from

    def log_epoch(self) -> str:
        return self.log.epoch

    async def place(self, scope: Scope) -> Place:
        await asyncio.sleep(0)
        if scope.stream:
            info = self.log.info(scope.stream)
            return Place(info.cursor, info.position, over=info.ended)
        head = self.log.head()
        return Place(head, head.offset)

    async def page(self, scope: Scope, after: Cursor | None, limit: int, until: int) -> Page:
        self.pages_read.append((scope, after))
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        if scope.stream:
            return self.log.read(scope.stream, after, limit=limit, until=until)
        return self.log.read_all(scope.kind or None, after, limit=limit, until=until)

    # what the test does

    def publish(
        self, count: int = 1, *, stream: str = STREAM, data: bytes = b"{}", **fields: Any
    ) -> list[str]:
        """Commit events and let the hub hear of them; returns their ids."""
        ids = self.commit(count, stream=stream, data=data, **fields)
        self.announce()
        return ids

    def commit(
        self, count: int = 1, *, stream: str = STREAM, data: bytes = b"{}", **fields: Any
    ) -> list[str]:
        """Commit events that the hub has not heard of yet."""
        ids = [f"e{self.count + index + 1}" for index in range(count)]
        self.count += count
        fields.setdefault("type", "a")
        self.log.append(
            [NewEvent(stream=stream, data=data, time=0, id=event_id, **fields) for event_id in ids]
        )
        return ids

    def announce(self) -> None:
        """Let the hub hear of all that is committed."""
        heard, self.heard[:] = list(self.heard), []
        for records in heard:
            self.hub.announce(records)

    async def watch(
        self,
        after: str = "now",
        *,
        scope: Scope | None = None,
        wanted: EventSubscriptionFilter = EVERYTHING,
        batch_size: int = 50,
        interval_s: float = 0.0,
        limit_bytes: int = 1_000_000,
        watcher: Watcher | None = None,
        ends_with: Iterable[str] = (),
    ) -> Watcher:
        """A new client that is subscribed, and live if there is nothing to catch up with."""
        watcher = watcher or Watcher(limit_bytes)
        watcher.connection = self.hub.connect(watcher, self._ended)
        wish = Wish(
            PlainCodec(batch_size),
            PlainFraming(),
            wanted,
            batch_size,
            interval_s,
            ends_with=frozenset(ends_with),
        )
        await self.hub.subscribe(watcher.connection, scope or Scope.of_stream(STREAM), wish, after)
        await self.turns()
        return watcher

    async def turns(self, count: int = 20) -> None:
        """Some turns of the loop, in which no time passes."""
        for _ in range(count):
            await asyncio.sleep(0)

    async def close(self) -> None:
        self.running.cancel()
        await asyncio.wait([self.running])

    def _ended(self, subscriber: Subscriber) -> None:
        subscriber.connection.sink.close(1000, "ended")


def on_stage(test: Callable[[Stage], Awaitable[None]], limits: Limits | None = None) -> None:
    """Run a test on a stage, on a virtual clock."""

    async def play() -> None:
        stage = Stage(limits)
        try:
            await test(stage)
        finally:
            await stage.close()

    run_virtual(play())
