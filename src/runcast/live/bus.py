"""The one object that users hold, and the only door to the log: publish, read, subscribe, folds, processors."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Self, TypeVar

from runcast.config import Settings
from runcast.core.event import Cursor, Event, NewEvent, check_kind, split_stream
from runcast.core.filters import EVERYTHING, EventSubscriptionFilter
from runcast.core.page import PAGE_MAX_EVENTS, Page, Record
from runcast.core.scope import Scope
from runcast.errors import Busy, LogClosed, TooLarge
from runcast.kinds.base import Fold, Kind, Publish, accept
from runcast.live.figures import Figures
from runcast.live.folds import advance
from runcast.live.hub import NOW, START, Hub, Limits, LiveStatistics, Place, read_cursor
from runcast.live.iterator import iterate
from runcast.live.janitor import keep_clean
from runcast.live.processors import Processors
from runcast.live.topic import Topic
from runcast.live.traffic import Delivered
from runcast.log.base import Appended, EventLog, Lease, StreamInfo

logger = logging.getLogger("runcast.live")

READ_THREADS = 4

T = TypeVar("T")
S = TypeVar("S")


def wall_clock_us() -> int:
    """Now, in microseconds since the Unix epoch."""
    return time.time_ns() // 1000


class Bus:
    """A log with its kinds, and live delivery from it in one event loop.

    Starts lazily in the loop that first uses it; `async with bus:` starts and closes it. `publish_soon` may be
    called from any thread; everything else belongs to the loop.
    """

    def __init__(
        self,
        log: EventLog,
        kinds: Iterable[Kind] = (),
        settings: Settings | None = None,
        *,
        now_us: Callable[[], int] = wall_clock_us,
    ) -> None:
        self.log = log
        self.settings = settings or Settings()
        self.kinds: dict[str, Kind] = {kind.name: kind for kind in kinds}
        self.processors = Processors()
        self.refused: Counter[str] = Counter()
        """How often clients were refused something, by the error's code."""
        self.figures: list[Figures] = []
        """What others have to tell in the metrics."""
        self.now_us = now_us
        self._closed = False
        self._told_bytes = 0  # in the log's thread
        self._heard_bytes = 0  # in the loop's
        self._hub: Hub | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._group: asyncio.Future[asyncio.TaskGroup]
        self._unwatch: Callable[[], None] = lambda: None
        self._threads = ThreadPoolExecutor(READ_THREADS, "runcast-read") if log.blocking else None

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def hub(self) -> Hub:
        """Live delivery, started in the running loop if it was not yet; outside of a loop as it is."""
        with suppress(RuntimeError):  # no loop is running in this thread
            asyncio.get_running_loop()
            return self.start()
        if self._hub is None:
            raise RuntimeError("live delivery begins in a running event loop")
        return self._hub

    def start(self) -> Hub:
        """Begin to watch the log in the running loop. Idempotent within one loop; anew in another one."""
        loop = asyncio.get_running_loop()
        if self._hub is None or self._loop is not loop:
            self._unwatch()
            self._loop = loop
            hub = self._hub = Hub(self, _limits(self.settings), self.now_us)
            self._group = loop.create_future()
            self._main = loop.create_task(self._run(hub), name="runcast-bus")
            self._main.add_done_callback(_report)

            def hear(records: list[Record], size_bytes: int) -> None:
                self._heard_bytes += size_bytes
                hub.announce(records)

            def on_commit(records: list[Record]) -> None:
                size_bytes = sum(record.size_bytes for record in records if isinstance(record, Event))
                self._told_bytes += size_bytes
                with suppress(RuntimeError):  # the loop was closed without closing the bus
                    loop.call_soon_threadsafe(hear, records, size_bytes)

            self._unwatch = self.log.watch(on_commit)
        return self._hub

    async def close(self) -> None:
        """Stop live delivery, then close the log, which stores what is queued. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._unwatch()
        if self._hub is not None:
            self._hub.bells.ring_all()
        if self._main is not None and self._loop is asyncio.get_running_loop():
            self._main.cancel()
            await asyncio.wait([self._main])
        self._main = self._hub = None
        if self._threads is None:
            self.log.close()
        else:
            await asyncio.get_running_loop().run_in_executor(self._threads, self.log.close)
            self._threads.shutdown(wait=False)

    # Publishing

    def add_kind(self, kind: Kind) -> None:
        """Know a kind of stream, in place of one of the same name."""
        self.kinds[kind.name] = kind

    async def publish(
        self,
        stream: str,
        type: str,  # noqa: A002 - the event's own word
        data: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the event's own word
        time: str | int | None = None,
        lease: Lease | None = None,
    ) -> Appended | None:
        """Publish one event; returned means stored on disk. None if a processor dropped it.

        `id` makes a repetition harmless. `time` is RFC 3339 or microseconds, now by default. When it is
        cancelled while it waits, the event may be stored or not.

        Raises:
            InvalidEvent, InvalidStreamName, TooLarge: nothing was stored.
            LogError: nothing was stored; `retryable` says whether to try again.
        """
        event = Publish(stream=stream, type=type, data=dict(data or {}), id=id, time=time)
        appended = await self.publish_all([event], lease=lease)
        return appended[0] if appended else None

    async def publish_all(self, events: Sequence[Publish], *, lease: Lease | None = None) -> list[Appended]:
        """Publish several events in order, all or none; without those that a processor dropped.

        Raises:
            As `publish`; also TooLarge for more events than `batch_max_events`.
        """
        new = self.accept(events)
        if not new:
            return []
        return await asyncio.wrap_future(self.log.append_soon(new, lease=lease))

    def publish_soon(
        self, events: Sequence[Publish], *, lease: Lease | None = None
    ) -> Future[list[Appended]]:
        """Like `publish_all`, from any thread and without waiting: the future has the outcome.

        Raises:
            InvalidEvent, InvalidStreamName, TooLarge, Busy: at once; nothing was stored.
        """
        new = self.accept(events)
        if new:
            return self.log.append_soon(new, lease=lease)
        nothing: Future[list[Appended]] = Future()
        nothing.set_result([])
        return nothing

    def accept(self, events: Sequence[Publish]) -> list[NewEvent]:
        """What every event passes on its way in: processors, then the rules of its kind.

        Raises:
            InvalidEvent, InvalidStreamName, TooLarge: one of them cannot be stored, so none is.
            Busy: live delivery is too far behind what is stored.
        """
        settings, now_us = self.settings, self.now_us()
        if self._told_bytes - self._heard_bytes > settings.append_queue_bytes:
            raise Busy(
                "The event loop of this process is too far behind; nothing was stored. Try again in a moment."
            )
        if len(events) > settings.batch_max_events:
            raise TooLarge(
                f"events: {len(events)} at once; the limit is {settings.batch_max_events}.", field="events"
            )
        kept = self.processors.apply_all(events)
        return [accept(self.kind(event.stream), event, now_us, settings.event_max_bytes) for event in kept]

    def kind(self, stream: str) -> Kind:
        """The rules of a stream's kind; a kind that nobody has told of has the general ones.

        Raises:
            InvalidStreamName: `stream` is not `kind:id`.
        """
        name, _ = split_stream(stream)
        return self.kinds.get(name) or Kind(name=name)

    # Reading

    async def read(
        self,
        stream: str,
        after: Cursor | None = None,
        *,
        limit: int = PAGE_MAX_EVENTS,
        until: int | None = None,
    ) -> Page:
        """The next events of a stream; see `EventLog.read`. Cancellation-safe."""
        return await self.call(self.log.read, stream, after, limit=limit, until=until)

    async def read_all(
        self,
        kind: str = "",
        after: Cursor | None = None,
        *,
        limit: int = PAGE_MAX_EVENTS,
        until: int | None = None,
    ) -> Page:
        """The next events of all streams, or of a kind; see `EventLog.read_all`. Cancellation-safe."""
        return await self.call(self.log.read_all, kind or None, after, limit=limit, until=until)

    async def head(self) -> Cursor:
        """The place after everything that is committed. Cancellation-safe."""
        return await self.call(self.log.head)

    async def info(self, stream: str) -> StreamInfo:
        """Where a stream begins and ends; its epoch is empty if there is none. Cancellation-safe."""
        split_stream(stream)
        return await self.call(self.log.info, stream)

    async def streams(self, kind: str = "", after: str = "", limit: int = 100) -> list[StreamInfo]:
        """The streams there are, by name; see `EventLog.streams`. Cancellation-safe."""
        return await self.call(self.log.streams, check_kind(kind) if kind else None, after, limit)

    async def recent(self, kind: str = "", before: int | None = None, limit: int = 100) -> list[StreamInfo]:
        """The streams there are, the latest first; see `EventLog.recent`. Cancellation-safe."""
        return await self.call(self.log.recent, check_kind(kind) if kind else None, before, limit)

    async def end(self, stream: str) -> StreamInfo:
        """Seal the current run; see `EventLog.end`."""
        return await self.call(self.log.end, stream)

    async def clear(self, stream: str) -> StreamInfo:
        """Forget a stream's events; see `EventLog.clear`."""
        return await self.call(self.log.clear, stream)

    async def trim(self, stream: str, *, keep: int) -> StreamInfo:
        """Forget a stream's oldest events; see `EventLog.trim`. The folds of its kind are stored first."""
        for fold in self.kind(stream).folds.values():
            await advance(self, stream, fold, keep=True)
        return await self.call(self.log.trim, stream, keep=keep)

    async def fold(self, stream: str, fold: Fold[S]) -> S:
        """The fold's state after all that is committed, from its newest snapshot on. Cancellation-safe."""
        return await advance(self, stream, fold)

    async def subscribe(
        self,
        scope: Scope | str,
        *,
        after: str = START,
        filter: EventSubscriptionFilter = EVERYTHING,  # noqa: A002 - the field's own word
    ) -> AsyncIterator[Event]:
        """Events as they come, in order and without a gap: from `start`, from `now`, or after a cursor.

        The iteration ends with the run of the stream. Leaving it early is always safe.

        Raises:
            InvalidCursor: `after` is none of those.
            StreamGap, StreamReset: something cannot be had any more; both carry the cursor to go on from.
            LogError: the log could not be read.
        """
        wanted = Scope.of_stream(scope) if isinstance(scope, str) else scope
        if after in {START, NOW}:
            cursor = (await self.place(wanted)).head if after == NOW else None
        else:
            cursor = read_cursor(wanted, after)
        async for event in iterate(self, wanted, cursor, filter):
            yield event

    # Looking in from outside

    def topics(self) -> list[Topic]:
        """All scopes that are watched here. Needs no running loop."""
        return self._hub.topics() if self._hub else []

    def topic(self, scope: Scope) -> Topic | None:
        """One scope, if it is watched here. Needs no running loop."""
        return self._hub.topic(scope) if self._hub else None

    def live_statistics(self) -> LiveStatistics:
        """How many clients there are and how they fare. Needs no running loop."""
        return self._hub.statistics() if self._hub else LiveStatistics()

    def traffic(self, kind: str | None = None) -> Delivered:
        """What was delivered since the start, of one kind or in all. Needs no running loop."""
        if self._hub is None:
            return Delivered(0, 0)
        return (self._hub.traffic if kind is None else self._hub.traffic_of(kind)).total()

    async def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let `work` run until it ends or the bus closes. A failure is logged and harms nothing else."""
        self.start()
        group = await self._group
        group.create_task(_guarded(work))

    # What the hub reads from

    def log_epoch(self) -> str:
        """The identity of the log: the epoch of firehose cursors."""
        return self.log.epoch

    async def place(self, scope: Scope) -> Place:
        """Where a scope's newest part is."""
        if scope.stream:
            info = await self.call(self.log.info, scope.stream)
            return Place(info.cursor, info.position, over=info.ended)
        head = await self.head()
        return Place(head, head.offset)

    async def page(
        self, scope: Scope, after: Cursor | None, limit: int = PAGE_MAX_EVENTS, until: int | None = None
    ) -> Page:
        """The next events of a scope; see `EventLog.read`."""
        if scope.stream:
            return await self.read(scope.stream, after, limit=limit, until=until)
        return await self.read_all(scope.kind, after, limit=limit, until=until)

    async def call(self, method: Callable[..., T], *args: object, **kwargs: object) -> T:
        """Call the log without blocking the loop."""
        if self._closed:
            raise LogClosed
        if self._threads is None:
            return method(*args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: method(*args, **kwargs)
        )

    async def _run(self, hub: Hub) -> None:
        async with asyncio.TaskGroup() as group:
            self._group.set_result(group)
            group.create_task(hub.run())
            group.create_task(keep_clean(self))


def _report(main: asyncio.Task[None]) -> None:
    if not main.cancelled() and main.exception() is not None:
        logger.critical("live delivery has ended; restart the process", exc_info=main.exception())


async def _guarded(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:  # a task's root
        logger.exception("a task of the bus failed")


def _limits(settings: Settings) -> Limits:
    return Limits(
        batch_window_s=settings.batch_window_ms / 1000,
        catch_up_readers=settings.catch_up_readers,
        page_cache_bytes=settings.page_cache_bytes,
        stalled_after_s=settings.stalled_after_s,
        max_connections=settings.max_connections,
        max_clients_per_scope=settings.max_clients_per_stream,
        client_buffer_bytes=settings.client_buffer_bytes,
        total_buffer_bytes=settings.total_buffer_bytes,
    )
