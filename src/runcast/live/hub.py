"""Streams to cohorts: what is committed goes to whoever watches it here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from runcast.chance import CHANCE
from runcast.core.closing import SERVICE_RESTART, TRY_AGAIN_LATER
from runcast.core.event import Cursor, epoch_belongs, parse_cursor
from runcast.core.page import Page, Record
from runcast.core.scope import Scope
from runcast.core.subscription import Subscription
from runcast.core.tail import Tail
from runcast.errors import InvalidCursor, Restarting, TooMany
from runcast.live.catch_up import CatchUp
from runcast.live.cohort import Cohort, Wish
from runcast.live.connection import Connection
from runcast.live.iterator import Bells
from runcast.live.pages import SharedPages
from runcast.live.sink import Sink
from runcast.live.subscriber import Subscriber
from runcast.live.topic import Topic
from runcast.live.traffic import Traffic

logger = logging.getLogger("runcast.live")

PRESSURE_CHECK_S = 2.0
MIN_BUFFER_BYTES = 4 * 1024
DRAIN_AT_ONCE = 50
"""Up to so many clients are told of a restart at once; more are spread."""
RESTART_REASON = "the server restarts; reconnect and go on from your cursor"

START = "start"
NOW = "now"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the hub needs of the settings."""

    batch_window_s: float = 0.05
    catch_up_readers: int = 4
    page_cache_bytes: int = 16 * 1024 * 1024
    stalled_after_s: float = 60.0
    max_connections: int = 20_000
    max_clients_per_scope: int = 1_000
    client_buffer_bytes: int = 256 * 1024
    total_buffer_bytes: int = 256 * 1024 * 1024


class LiveStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How many clients a process has and how they fare."""

    connections: int = 0
    blocked: int = 0
    stalled: int = 0
    catching_up: int = 0
    topics: int = 0


class Place(msgspec.Struct, frozen=True):
    """Where a scope's newest part is, as the log tells it: its head, as of a position of the whole log."""

    head: Cursor
    position: int
    over: bool = False


class Source(Protocol):
    """What the hub reads from; the bus is one, over its log."""

    def log_epoch(self) -> str:
        """The identity of the log."""
        ...

    async def place(self, scope: Scope) -> Place:
        """Where the scope's newest part is."""
        ...

    async def page(self, scope: Scope, after: Cursor | None, limit: int, until: int) -> Page:
        """The next events of the scope, none with a position over `until`."""
        ...


class Hub:
    """All topics with subscribers in this process. Everything happens in one event loop.

    Create it inside the loop; `run` serves readers that catch up and must be running for them.
    """

    def __init__(self, source: Source, limits: Limits, now_us: Callable[[], int]) -> None:
        self._source = source
        self._limits = limits
        self._now_us = now_us
        self._loop = asyncio.get_running_loop()
        self._topics: dict[str, Topic] = {}
        self._opening: dict[str, list[Record]] = {}
        self._opened: dict[str, asyncio.Future[None]] = {}
        pages = SharedPages(source.page, source.log_epoch, limits.page_cache_bytes)
        self._catch_up = CatchUp(pages, limits.catch_up_readers, self._loop)
        self._blocked: set[Connection] = set()
        self._waiting: dict[Connection, tuple[float, int]] = {}
        self._stalled = 0
        self.connections: set[Connection] = set()
        self.bells = Bells()
        self.taps: dict[str, set[Callable[[list[Record]], None]]] = {}
        """By the name of a scope, who is told of its records as they are announced, and must return soon."""
        self.is_draining = False
        self.traffic = Traffic(self._loop.time())
        self._traffic_by_kind: dict[str, Traffic] = {}

    async def run(self) -> None:
        """Serve readers and look after clients that take nothing, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._catch_up.run())
            group.create_task(self._watch_pressure())

    def buffer_limit_bytes(self) -> int:
        """How much may wait for one more client: its share of what may wait for all of them."""
        share = self._limits.total_buffer_bytes // (len(self.connections) + 1)
        return min(self._limits.client_buffer_bytes, max(share, MIN_BUFFER_BYTES))

    def drain(self, over_s: float) -> None:
        """Tell all clients to reconnect, spread over `over_s` seconds so that not all come back at once."""
        self.is_draining = True
        connections = list(self.connections)
        CHANCE.shuffle(connections)
        step_s = over_s / len(connections) if len(connections) > DRAIN_AT_ONCE else 0.0
        for index, connection in enumerate(connections):
            self._loop.call_later(index * step_s, connection.sink.close, SERVICE_RESTART, RESTART_REASON)

    def connect(self, sink: Sink, on_end: Callable[[Subscriber], None]) -> Connection:
        """Begin with a client. Tell the connection of pressure and of its end; `on_end` as in `Connection`.

        Raises:
            TooMany: the process has as many clients as allowed.
            Restarting: it takes no new ones any more.
        """
        if self.is_draining:
            raise Restarting
        if len(self.connections) >= self._limits.max_connections:
            raise TooMany(f"This server has its {self._limits.max_connections} clients; try again later.")
        connection = Connection(sink, on_end, self._pressure_changed)
        self.connections.add(connection)
        return connection

    async def subscribe(self, connection: Connection, scope: Scope, wish: Wish, after: str) -> Subscriber:
        """Let `connection` read `scope` from `after` on: `start`, `now`, or a cursor.

        Cancellation-safe: nothing is left behind.

        Raises:
            InvalidCursor: `after` is none of those, or a cursor of something else.
            TooMany: the scope has as many clients in this process as allowed.
            LogError: the log could not be read.
        """
        cursor = None if after in {START, NOW} else read_cursor(scope, after)
        topic = await self._open(scope)
        if len(topic.subscribers) >= self._limits.max_clients_per_scope:
            raise TooMany(
                f"{scope} has its {self._limits.max_clients_per_scope} clients here; try again later."
            )
        cohort = topic.cohort(wish)
        machine = Subscription(cohort.flushed, is_checked=True) if after == NOW else Subscription(cursor)
        subscriber = Subscriber(connection, topic, cohort, machine, self._catch_up.add)
        topic.attach(subscriber)
        connection.subscribers.append(subscriber)
        if connection.is_closed:
            connection.closed()
        subscriber.read_on()
        return subscriber

    def announce(self, records: list[Record]) -> None:
        """Take what was committed, in order of positions."""
        for name, concerned in self._sort(records).items():
            self.bells.ring(name)
            for tap in tuple(self.taps.get(name, ())):  # one may go while it is told
                tap(concerned)
            if name in self._topics:
                self._topics[name].announce(concerned)
            elif name in self._opening:
                self._opening[name].extend(concerned)

    def _sort(self, records: list[Record]) -> dict[str, list[Record]]:
        """The records by the names of the scopes that somebody here wants to hear of: streams, then firehoses."""
        topics, opening, bells, taps = self._topics, self._opening, self.bells, self.taps
        of_streams: dict[str, list[Record]] = {}
        of_kinds: dict[str, list[Record]] = {}
        for record in records:
            stream = record.stream
            if stream in of_streams:
                of_streams[stream].append(record)
            elif stream in topics or stream in opening or stream in taps or stream in bells:
                of_streams[stream] = [record]
            kind = stream[: stream.index(":")]
            if kind in of_kinds:
                of_kinds[kind].append(record)
            else:
                of_kinds[kind] = [record]
        firehoses = {"*:*": records, **{f"{kind}:*": concerned for kind, concerned in of_kinds.items()}}
        of_streams |= {
            name: concerned
            for name, concerned in firehoses.items()
            if name in topics or name in opening or name in taps or name in bells
        }
        return of_streams

    def topic(self, scope: Scope) -> Topic | None:
        """The topic of a scope that somebody here subscribes to."""
        return self._topics.get(str(scope))

    def topics(self) -> list[Topic]:
        """All topics with subscribers here."""
        return list(self._topics.values())

    def traffic_of(self, kind: str) -> Traffic:
        """What was delivered of one kind; the firehose of all kinds is the kind of no name."""
        return self._traffic_by_kind.setdefault(kind, Traffic(self._loop.time(), self.traffic))

    def statistics(self) -> LiveStatistics:
        """How many clients there are and how they fare."""
        return LiveStatistics(
            connections=len(self.connections),
            blocked=len(self._blocked),
            stalled=self._stalled,
            catching_up=self._catch_up.waiting(),
            topics=len(self._topics),
        )

    async def _open(self, scope: Scope) -> Topic:
        """The topic of `scope`; a new one begins where the log says, and misses nothing that comes meanwhile."""
        name = str(scope)
        while name not in self._topics:
            if name in self._opened:
                await asyncio.wait([self._opened[name]])
                continue
            self._opened[name] = self._loop.create_future()
            self._opening[name] = []
            try:
                place = await self._source.place(scope)
                topic = self._topics[name] = self._make_topic(scope, place)
                topic.announce(self._opening[name])
            finally:
                self._opened.pop(name).set_result(None)
                del self._opening[name]
        return self._topics[name]

    def _make_topic(self, scope: Scope, place: Place) -> Topic:
        tail = Tail(scope, place.head, place.position, self._source.log_epoch())
        kind = scope.stream.partition(":")[0] or scope.kind
        traffic = Traffic(self._loop.time(), self.traffic_of(kind))
        return Topic(
            tail, over=place.over, traffic=traffic, make_cohort=self._make_cohort, on_empty=self._forget
        )

    def _make_cohort(self, topic: Topic, wish: Wish) -> Cohort:
        return Cohort(
            wish,
            topic.tail,
            window_s=self._limits.batch_window_s,
            traffic=topic.traffic,
            loop=self._loop,
            now_us=self._now_us,
            moved=topic.wake,
        )

    def _forget(self, topic: Topic) -> None:
        del self._topics[str(topic.tail.scope)]

    def _pressure_changed(self, connection: Connection) -> None:
        if connection.is_blocked:
            self._blocked.add(connection)
        else:
            self._blocked.discard(connection)
        if connection.is_closed:
            self.connections.discard(connection)

    async def _watch_pressure(self) -> None:
        while True:
            await asyncio.sleep(PRESSURE_CHECK_S)
            try:
                self._close_stalled()
            except Exception:  # a task's root: the next look may fare better
                logger.exception("looking for stalled clients failed")

    def _close_stalled(self) -> None:
        """Close clients that have taken nothing for too long, blocked or not: the same bytes wait for them."""
        now, before = self._loop.time(), self._waiting
        self._waiting = {}
        for connection in list(self.connections):
            waits = connection.sink.buffered_bytes()
            if not waits:
                continue
            since, waited = before.get(connection, (now, waits))
            if waits != waited:
                since = now
            if now - since >= self._limits.stalled_after_s:
                self._stalled += 1
                connection.sink.close(TRY_AGAIN_LATER, f"took nothing for {now - since:.0f} s")
            else:
                self._waiting[connection] = (since, waits)


def read_cursor(scope: Scope, text: str) -> Cursor:
    """Read a cursor that must be one of `scope`.

    Raises:
        InvalidCursor: it is none, or belongs to something else.
    """
    cursor = parse_cursor(text)
    if not epoch_belongs(cursor.epoch, scope.stream or "*"):
        raise InvalidCursor(f"after: this cursor belongs to something else than {scope}.", field="after")
    return cursor
