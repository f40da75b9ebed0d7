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
from runcast.live.cohort import Cohort, Encoding
from runcast.live.subscriber import Subscriber

FIREHOSE_STRIDE = 1_024
"""Firehose pages end at multiples of this, so that readers meet at the same places."""

ReadPage = Callable[[Scope, Cursor | None, int, int], Awaitable[Page]]
"""Read a scope after a cursor: at most so many events, none with a position over `until`."""

Key = tuple[object, ...]


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """A page without its events, and the one write that carries them."""

    page: Page
    chunk: Chunk


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
        key, until = self._key(subscriber), subscriber.cohort.position
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        while (reading := self._reading.get((*key, until))) is not None:
            await asyncio.wait([reading])
            if not reading.cancelled():
                return reading.result()
        reading = self._reading[*key, until] = asyncio.get_running_loop().create_future()
        try:
            prepared = await self._prepare(subscriber, until)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                reading.cancel()
            else:
                reading.set_exception(error)
                reading.exception()  # seen, even if nobody else waits for it
            raise
        finally:
            del self._reading[*key, until]
        reading.set_result(prepared)
        self._keep(key, prepared)
        return prepared

    def recent(self, subscriber: Subscriber, run: Sequence[Event]) -> tuple[Chunk, Cursor]:
        """The write that carries `run`, which the ring had after the reader's place, and the place after it.

        For a cohort that is paced, one message of it.
        """
        cohort, cursor = subscriber.cohort, subscriber.machine.cursor
        key = (subscriber.topic.generation, cohort.wish.key, cursor, cohort.flushed)
        if self._last_recent[0] != key:
            tail = subscriber.topic.tail
            pieces = cohort.select(Encoding([(event, tail.place(event)) for event in run]))
            limit = cohort.wish.batch_size if cohort.wish.interval_s else len(pieces)
            place = cohort.flushed if len(pieces) <= limit else pieces[limit - 1].place
            self._last_recent = (key, cohort.chunk(pieces[:limit]), place)
        return self._last_recent[1:]

    def _key(self, subscriber: Subscriber) -> Key:
        return (subscriber.topic.generation, subscriber.cohort.wish.key, subscriber.machine.cursor)

    async def _prepare(self, subscriber: Subscriber, until: int) -> Prepared:
        cohort, scope = subscriber.cohort, subscriber.topic.tail.scope
        cursor = subscriber.machine.cursor
        limit, until = _boundary(scope, cursor, until)
        if cohort.wish.interval_s:
            limit = min(limit, cohort.wish.batch_size)
        page = await self._read(scope, cursor, limit, until)
        return Prepared(msgspec.structs.replace(page, events=[]), self._chunk(cohort, scope, page))

    def _chunk(self, cohort: Cohort, scope: Scope, page: Page) -> Chunk:
        epoch = self._log_epoch()
        return cohort.chunk(cohort.select(Encoding([(e, scope.cursor(e, epoch)) for e in page.events])))

    def _keep(self, key: Key, prepared: Prepared) -> None:
        """Keep a page that cannot grow any more."""
        page = prepared.page
        if page.complete or page.over or page.last == page.first:
            return
        self._kept[key] = prepared
        self._bytes += prepared.chunk.size_bytes
        while self._bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.chunk.size_bytes


def _boundary(scope: Scope, cursor: Cursor | None, until: int) -> tuple[int, int]:
    """How many events and up to which position the page after `cursor` should reach at most."""
    offset = cursor.offset if cursor is not None else 0
    if scope.stream:
        return PAGE_MAX_EVENTS - offset % PAGE_MAX_EVENTS, until
    return PAGE_MAX_EVENTS, min(until, (offset // FIREHOSE_STRIDE + 1) * FIREHOSE_STRIDE)
