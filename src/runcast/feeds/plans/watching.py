"""The plans that one client is subscribed to: each from its start to its end, and then its next run."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import NamedTuple

from runcast.core.event import ANY_TAG, Cursor
from runcast.core.filters import EventFilter
from runcast.core.scope import Scope
from runcast.errors import LogClosed, LogError, RuncastError, TooMany
from runcast.feeds.plans.events import KIND, plan_stream
from runcast.feeds.plans.wire import PlanCodec, error_message
from runcast.live.bus import Bus
from runcast.live.codec import Framing
from runcast.live.cohort import Wish
from runcast.live.connection import Connection
from runcast.live.hub import START
from runcast.live.subscriber import Subscriber

logger = logging.getLogger("runcast.plans")

RETRY_S = 1.0
MAX_PAGES = 8
"""Of events of all plans, looked through for the beginning of the next run."""


class Watch:
    """One plan of one client. `subscriber` is None while the run that it read is over and no other has begun."""

    __slots__ = ("plan_id", "scope", "subscriber", "waiting", "wish")

    def __init__(self, plan_id: str, scope: Scope, wish: Wish) -> None:
        self.plan_id = plan_id
        self.scope = scope
        self.wish = wish
        self.subscriber: Subscriber | None = None
        self.waiting: asyncio.Task[None] | None = None


class Ended(NamedTuple):
    """A run that was told to its end, and a position of the log right after it, if that is known."""

    epoch: str
    position: int | None


class Watching:
    """The subscriptions of one connection, at most `max_subscriptions`. Everything belongs to the event loop."""

    def __init__(self, bus: Bus, connection: Connection, framing: Framing, next_runs: NextRuns) -> None:
        self.plans: dict[str, Watch] = {}
        self._bus = bus
        self._connection = connection
        self._framing = framing
        self._next_runs = next_runs

    async def subscribe(self, plan_id: str, visible: EventFilter, after: str = START) -> bool:
        """Send the plan's events after a cursor (or from `start`, or `now`) and then live; False if it is done already.

        Cancellation-safe: nothing is left behind.

        Raises:
            InvalidStreamName, InvalidCursor: the plan or the place cannot be.
            TooMany: this client, or the plan, has all that it may have.
            LogError: the log could not be read.
        """
        scope = Scope.of_stream(plan_stream(plan_id))
        if plan_id in self.plans:
            return False
        settings = self._bus.settings
        if len(self.plans) >= settings.max_subscriptions:
            raise TooMany(
                f"{settings.max_subscriptions} plans are subscribed to here, which is the limit; "
                "unsubscribe from one first."
            )
        await self._next_runs.start()
        wish = Wish(PlanCodec(plan_id), self._framing, visible, settings.batch_size)
        watch = self.plans.setdefault(plan_id, Watch(plan_id, scope, wish))
        if watch.wish is not wish:
            return False  # meanwhile somebody else has
        try:
            await self.join(watch, after)
        except BaseException:
            self._forget(watch)
            raise
        return True

    def unsubscribe(self, plan_id: str) -> bool:
        """Send nothing more of a plan; False if it was not subscribed to."""
        watch = self.plans.get(plan_id)
        if watch is None:
            return False
        self._forget(watch)
        return True

    def leave(self) -> None:
        """Unsubscribe from all. Idempotent."""
        for watch in list(self.plans.values()):
            self._forget(watch)

    def ended(self, subscriber: Subscriber) -> None:
        """The run that `subscriber` has read is over and told: wait for the next one."""
        watch = next((one for one in self.plans.values() if one.subscriber is subscriber), None)
        self._detach(subscriber)
        cursor, tail = subscriber.machine.cursor, subscriber.topic.tail
        if watch is not None and cursor is not None:
            watch.subscriber = None
            was_last = tail.cursor.epoch == cursor.epoch
            ended = Ended(cursor.epoch, tail.position if was_last else None)
            self._next_runs.add(self, watch, ended)

    async def join(self, watch: Watch, after: str) -> None:
        """Subscribe to the current run; raises as `subscribe`."""
        subscriber = await self._bus.hub.subscribe(self._connection, watch.scope, watch.wish, after)
        if self.is_wanted(watch):
            watch.subscriber = subscriber
        else:
            self._detach(subscriber)  # unsubscribed meanwhile

    def is_wanted(self, watch: Watch) -> bool:
        """Whether this is still a subscription."""
        return self.plans.get(watch.plan_id) is watch

    def give_up(self, watch: Watch, error: RuncastError) -> None:
        """The next run cannot be subscribed to: say so."""
        self._forget(watch)
        message = error_message(error, self._bus.now_us(), watch.plan_id)
        self._connection.sink.write(self._framing.frame([message], 0))

    def _forget(self, watch: Watch) -> None:
        if self.is_wanted(watch):
            del self.plans[watch.plan_id]
        if watch.waiting is not None:
            watch.waiting.cancel()
        if watch.subscriber is not None:
            self._detach(watch.subscriber)
            watch.subscriber = None

    def _detach(self, subscriber: Subscriber) -> None:
        subscriber.detach()
        if subscriber in self._connection.subscribers:
            self._connection.subscribers.remove(subscriber)


class NextRuns:
    """Takes those who have read a run to its end to the next run of the same plan, when there is one.

    One task of the bus's, with a child for each that waits. Starts lazily, and anew in another loop.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._loop: asyncio.AbstractEventLoop | None = None
        self._came = asyncio.Event()
        self._queue: deque[tuple[Watching, Watch, Ended]] = deque()

    async def start(self) -> None:
        """Begin, if that was not done in this loop. Cancellation-safe."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._came = loop, asyncio.Event()
            self._queue.clear()
            await self._bus.spawn(self._run())

    def add(self, watching: Watching, watch: Watch, ended: Ended) -> None:
        """Wait for the run after the one that has ended."""
        self._queue.append((watching, watch, ended))
        self._came.set()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                await self._came.wait()
                self._came.clear()
                while self._queue:
                    watching, watch, ended = self._queue.popleft()
                    if watching.is_wanted(watch):
                        watch.waiting = group.create_task(self._guarded(watching, watch, ended))

    async def _guarded(self, watching: Watching, watch: Watch, ended: Ended) -> None:
        try:
            after = await self._wait(watch, ended)
            watch.waiting = None
            await watching.join(watch, after)
        except LogClosed:
            pass  # the server ends
        except RuncastError as error:
            watch.waiting = None
            watching.give_up(watch, error)
        except Exception:  # a task's root: it must not end the others
            logger.exception("the next run of %s cannot be followed", watch.scope)

    async def _wait(self, watch: Watch, ended: Ended) -> str:
        """The place where the next run begins, when there is one."""
        with self._bus.hub.bells.hang(watch.scope) as bell:
            while True:
                bell.clear()
                try:
                    if (await self._bus.info(watch.scope.stream)).epoch != ended.epoch:
                        return await self._find_next(watch.scope.stream, ended)
                except LogClosed:
                    raise
                except LogError as error:
                    logger.warning("whether %s has another run cannot be seen now: %s", watch.scope, error)
                    await asyncio.sleep(RETRY_S)
                else:
                    await bell.wait()

    async def _find_next(self, stream: str, ended: Ended) -> str:
        """Where the run right after the one that has ended begins; the current one, if that is too far to look for.

        There may have been several since: a plan that does little is over in a moment.
        """
        if ended.position is None:
            return START
        cursor = Cursor(self._bus.log_epoch(), ended.position, ANY_TAG)
        for _ in range(MAX_PAGES):
            page = await self._bus.read_all(KIND, cursor)
            for event in page.events:
                if event.stream == stream and event.epoch != ended.epoch:
                    return str(Cursor(event.epoch, 0))
            if page.complete:
                break
            cursor = page.cursor
        return START
