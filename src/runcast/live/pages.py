"""Pages of the log, encoded once for all readers at the same place."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from runcast.core.event import Cursor, Event
from runcast.core.page import PAGE_MAX_EVENTS, Page
from runcast.core.scope import Scope
from runcast.live.codec import Chunk
from runcast.live.cohort import Encoding
from runcast.live.subscriber import Subscriber

FIREHOSE_STRIDE = 1_024
"""Firehose pages end at multiples of this, so that readers meet at the same places."""

ReadPage = Callable[[Scope, Cursor | None, int, int], Awaitable[Page]]
"""Read a scope after a cursor: at most so many events, none with a position over `until`."""

Key = tuple[object, ...]


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """A page without its events, and the one write that carries them.

    `is_final`: it ends at a boundary or is full, so it is the same whatever comes later. Another one reaches
    as far as was announced, and would reach further after the next event.
    """

    page: Page
    chunk: Chunk
    is_final: bool

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        return self.chunk.size_bytes + 1_000


class SharedPages:
    """Reads, filters and encodes a stretch once, however many readers ask for it.

    Pages end at common boundaries, so that readers which began at different places soon share theirs. Bounded
    in bytes; the least recently used go first.
    """

    def __init__(self, read: ReadPage, log_epoch: Callable[[], str], max_bytes: int) -> None:
        self._read = read
        self._log_epoch = log_epoch
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[Key, Prepared] = OrderedDict()
        self._reading: dict[Key, asyncio.Future[Prepared]] = {}
        self._last_recent: tuple[Key, Chunk, Cursor] = ((), Chunk((), 0, 0), Cursor("", 0))

    async def get(self, subscriber: Subscriber) -> Prepared:
        """The next page for `subscriber`, up to where its cohort stands.

        Cancellation-safe: another reader that waits for the same page reads it by itself then.

        Raises:
            LogError: the log could not be read.
        """
        newest = (*_key(subscriber), subscriber.cohort.position)
        while True:
            kept = self._find(_key(subscriber)) or self._find(newest)
            if kept is not None:
                return kept
            reading = self._reading.get(newest)
            if reading is None:
                return await self._read_for_all(subscriber, newest)
            await asyncio.wait([reading])
            if not reading.cancelled():
                return reading.result()

    def recent(self, subscriber: Subscriber, run: Sequence[Event]) -> tuple[Chunk, Cursor]:
        """The write that carries `run`, which the ring had after the reader's place, and the place after it.

        For a cohort that is paced, one message of it.
        """
        cohort, cursor = subscriber.cohort, subscriber.machine.cursor
        key = (subscriber.topic.generation, cohort.wish.key, cursor, cohort.flushed)
        if self._last_recent[0] != key:
            tail = subscriber.topic.tail
            pieces = cohort.select(Encoding([(event, tail.place(event)) for event in run]))
            limit = cohort.wish.at_once(pieces)
            place = cohort.flushed if len(pieces) <= limit else pieces[limit - 1].place
            self._last_recent = (key, cohort.chunk(pieces[:limit]), place)
        return self._last_recent[1:]

    async def _read_for_all(self, subscriber: Subscriber, newest: Key) -> Prepared:
        reading = self._reading[newest] = asyncio.get_running_loop().create_future()
        try:
            prepared = await self._prepare(subscriber)
        except asyncio.CancelledError:
            reading.cancel()
            raise
        except Exception as error:
            reading.set_exception(error)
            reading.exception()  # seen, even if nobody else waits for it
            raise
        finally:
            del self._reading[newest]
        reading.set_result(prepared)
        self._keep(newest[:-1] if prepared.is_final else newest, prepared)
        return prepared

    async def _prepare(self, subscriber: Subscriber) -> Prepared:
        cohort, scope = subscriber.cohort, subscriber.topic.tail.scope
        announced = cohort.position
        limit, until = _boundary(scope, subscriber.machine.cursor, announced)
        page = await self._read(scope, subscriber.machine.cursor, limit, until)
        if cohort.wish.ends_in(page.events):
            page = msgspec.structs.replace(page, over=True)
        epoch = self._log_epoch()
        pieces = cohort.select(Encoding([(event, scope.cursor(event, epoch)) for event in page.events]))
        taken = pieces[: cohort.wish.at_once(pieces)]
        is_final = until < announced or not page.complete or len(taken) < len(pieces)
        if len(taken) < len(pieces):  # a paced client gets one message, and goes on after it
            place = taken[-1].place
            page = msgspec.structs.replace(page, last=place.offset, tag=place.tag, over=False)
        return Prepared(msgspec.structs.replace(page, events=[]), cohort.chunk(taken), is_final)

    def _find(self, key: Key) -> Prepared | None:
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    def _keep(self, key: Key, prepared: Prepared) -> None:
        replaced = self._kept.pop(key, None)  # two may have read it at once, each as far as it knew
        self._bytes -= replaced.size_bytes if replaced else 0
        self._kept[key] = prepared
        self._bytes += prepared.size_bytes
        while self._bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.size_bytes


def _key(subscriber: Subscriber) -> Key:
    return (subscriber.topic.generation, subscriber.cohort.wish.key, subscriber.machine.cursor)


def _boundary(scope: Scope, cursor: Cursor | None, until: int) -> tuple[int, int]:
    """How many events and up to which position the page after `cursor` should reach at most."""
    offset = cursor.offset if cursor is not None else 0
    if scope.stream:
        return PAGE_MAX_EVENTS - offset % PAGE_MAX_EVENTS, until
    return PAGE_MAX_EVENTS, min(until, (offset // FIREHOSE_STRIDE + 1) * FIREHOSE_STRIDE)
