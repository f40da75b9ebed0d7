"""Readers that are behind: a few at a time, a page each, until they join their cohort."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from runcast.core.closing import INTERNAL_ERROR, TRY_AGAIN_LATER
from runcast.core.subscription import End, State
from runcast.errors import LogCorrupt, RuncastError
from runcast.live.codec import Chunk
from runcast.live.pages import Prepared, SharedPages
from runcast.live.subscriber import Subscriber

logger = logging.getLogger("runcast.live")

RETRY_S = 1.0
"""Before a reader tries again for which the log could not be read."""


class CatchUp:
    """A queue of readers and the few workers that serve it, in turn, so that live traffic has precedence.

    A reader is in the queue at most once. After its page it goes to the end of the queue again, unless it has
    joined, is blocked, has ended, or has nothing to read: then whoever changes that puts it back.
    """

    def __init__(self, pages: SharedPages, workers: int, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pages = pages
        self._workers = workers
        self._queue: deque[Subscriber] = deque()
        self._filled = asyncio.Event()

    def add(self, subscriber: Subscriber) -> None:
        """Serve this reader soon, or as soon as its pace allows. Does nothing for one that waits already."""
        if not subscriber.queued:
            subscriber.queued = True
            if subscriber.not_before > self._loop.time():
                self._loop.call_at(subscriber.not_before, self._requeue, subscriber)
            else:
                self._queue.append(subscriber)
                self._filled.set()

    def waiting(self) -> int:
        """How many readers are in the queue."""
        return len(self._queue)

    async def run(self) -> None:
        """Serve readers until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            while not self._queue:
                self._filled.clear()
                await self._filled.wait()
            subscriber = self._queue.popleft()
            self._go_on(subscriber, await self._try(subscriber))
            await asyncio.sleep(0)  # live traffic first

    async def _try(self, subscriber: Subscriber) -> float:
        """Serve one reader; nothing that goes wrong with it may harm the others."""
        try:
            return await self._serve(subscriber)
        except LogCorrupt as error:  # waiting does not mend it
            logger.error("a reader of %s is let go: %s", subscriber.topic.tail.scope, error)  # noqa: TRY400
            self._let_go(subscriber, TRY_AGAIN_LATER, error.code)
            return 0.0
        except RuncastError as error:
            logger.warning("a reader of %s waits: %s", subscriber.topic.tail.scope, error)
            return RETRY_S
        except Exception:  # a reader's root: a flaw of ours ends this one client, which may come again
            logger.exception("a reader of %s failed", subscriber.topic.tail.scope)
            self._let_go(subscriber, INTERNAL_ERROR, "internal error")
            return 0.0

    def _let_go(self, subscriber: Subscriber, code: int, reason: str) -> None:
        subscriber.connection.sink.close(code, reason)
        subscriber.detach()

    async def _serve(self, subscriber: Subscriber) -> float:
        """Take a reader one step further; returns after how many seconds it should be served again."""
        if not subscriber.wants_to_read or self._join(subscriber):
            return 0.0
        interval_s = subscriber.cohort.wish.interval_s
        if self._take_recent(subscriber):
            return interval_s
        seen = subscriber.topic.tail.position
        prepared = await self._pages.get(subscriber)
        if not subscriber.wants_to_read:
            return 0.0
        got_further = self._take(subscriber, prepared) or self._join(subscriber)
        if not got_further and subscriber.topic.tail.position == seen:
            subscriber.topic.park(subscriber)
        return interval_s if prepared.chunk.events else 0.0

    def _join(self, subscriber: Subscriber) -> bool:
        """Become live if the reader stands exactly where its cohort does."""
        machine, cohort, topic = subscriber.machine, subscriber.cohort, subscriber.topic
        if topic.over:
            return False
        if machine.can_join(topic.tail.cursor) and not cohort.wish.interval_s:
            cohort.drain()  # it knows what is only pending for the others
        if not machine.can_join(cohort.flushed):
            return False
        cohort.join(subscriber)
        return True

    def _take_recent(self, subscriber: Subscriber) -> bool:
        """Close the last stretch from the ring, and join at once unless it is paced; False if it takes the log."""
        machine, cohort, topic = subscriber.machine, subscriber.cohort, subscriber.topic
        recent = (
            None
            if machine.cursor is None or not machine.is_checked
            else topic.tail.between(machine.cursor, cohort.flushed)
        )
        if recent is None or topic.over or cohort.wish.ends_in(recent):
            return False
        chunk, place = self._pages.recent(subscriber, recent)
        self._write(subscriber, chunk)
        machine.receive_recent(place)
        if not cohort.wish.interval_s and subscriber.wants_to_read:
            self._join(subscriber)
        return True

    def _take(self, subscriber: Subscriber, prepared: Prepared) -> bool:
        """Give a reader its page; False if that brought it no further."""
        machine, before = subscriber.machine, subscriber.machine.cursor
        for notice in machine.receive_page(prepared.page):
            self._write(subscriber, subscriber.cohort.word(notice))
        self._write(subscriber, prepared.chunk)
        if machine.state is State.ENDED and machine.cursor is not None:
            self._write(subscriber, subscriber.cohort.word(End(machine.cursor)))
            subscriber.connection.ended(subscriber)
            return True
        return machine.cursor != before

    def _write(self, subscriber: Subscriber, chunk: Chunk) -> None:
        if chunk.size_bytes:
            subscriber.connection.sink.write(chunk)
            subscriber.cohort.count(chunk)

    def _go_on(self, subscriber: Subscriber, pause_s: float) -> None:
        if pause_s > 0:  # it stays marked as queued meanwhile
            self._loop.call_later(pause_s, self._requeue, subscriber)
        else:
            self._requeue(subscriber)

    def _requeue(self, subscriber: Subscriber) -> None:
        subscriber.queued = False
        if subscriber.wants_to_read and not subscriber.topic.is_parked(subscriber):
            self.add(subscriber)
