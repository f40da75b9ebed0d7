"""Several partitions as one log: positions are reserved, and the firehose is joined in their order.

A position is *settled* when it is used, or never will be. Between its reservation and its use lies the time of one script
call; if a position is still not used after `PATIENCE_S`, its writer may have died, and every partition is told to
use nothing up to there any more. So what is told up to a settled position is complete and in order for ever.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable
from typing import Any

from runcast.core.event import Cursor, Event, id_tag
from runcast.core.resume import Run, resume
from runcast.log.base import PAGE_MAX_EVENTS, Page, Record
from runcast.log.redis.firehose import Stretch
from runcast.log.redis.reads import ENOUGH_BYTES, LARGEST, firehose_page
from runcast.log.redis.rows import FirehosePage, decode_firehose
from runcast.log.redis.server import Argument, Server

PATIENCE_S = 0.05
REMEMBER_S = 1.0
LOOK_S = 0.002
"""How long it waits between two looks for a position that is not used yet."""


class Partitions:
    """The firehose of a log with several partitions; any thread may use it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._settled = 0
        self._settled_at = 0.0

    # --- positions ---------------------------------------------------------------------------

    def reserve(self, count: int, now: int) -> int:
        """The first of `count` positions that nobody else gets.

        Raises:
            LogError: as any call.
        """
        return int(self._server.call("reserve", 0, now, count))

    def settle(self, wait_s: float | None = None) -> int:
        """The last position that is settled, after waiting for what is just being used; more than was known before.

        Raises:
            LogError: as any call.
        """
        settled, reserved = self._counters(0, wait_s)
        while settled < reserved:
            settled = self._wait_for(settled, reserved, wait_s)
            settled, _ = self._counters(settled, wait_s)
        return settled

    def _counters(self, settled: int, wait_s: float | None) -> tuple[int, int]:
        found = self._server.call("settle", 0, "settled", settled, wait_s=wait_s)
        return int(found[0]), int(found[1])

    def _wait_for(self, after: int, reserved: int, wait_s: float | None) -> int:
        """How far all is settled after a position; as far as `reserved`, or as one page of each partition reaches."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            pages = self._read("", after, reserved, PAGE_MAX_EVENTS, changes=True, wait_s=wait_s)
            reach = min(reserved, _reach(pages))
            without_hole = _without_hole(after, reach, pages)
            if without_hole >= reach:
                return reach
            if time.monotonic() > deadline:
                self._fence(reserved, wait_s)
                pages = self._read("", after, reserved, PAGE_MAX_EVENTS, changes=True, wait_s=wait_s)
                return min(reserved, _reach(pages))
            time.sleep(LOOK_S)

    def _fence(self, position: int, wait_s: float | None) -> None:
        everywhere = dict.fromkeys(range(self._server.partitions), ("fence", position))
        self._server.patiently(lambda: _all(self._server.call_all("settle", everywhere)), wait_s)

    # --- the firehose ------------------------------------------------------------------------

    def newest(self, wait_s: float | None = None) -> tuple[int, int]:
        """See `firehose.Firehose`."""
        settled = self.settle(wait_s)
        pages = self._read("", LARGEST, LARGEST, 1, changes=True, wait_s=wait_s)
        return _last(settled, pages), sum(page.facts.generation for page in pages)

    def covers(self, place: int, position: int) -> bool:
        """See `firehose.Firehose`."""
        return position <= place

    def after(self, place: int) -> Stretch:
        """See `firehose.Firehose`. Waits a little for positions that are just being used."""
        deadline = time.monotonic() + PATIENCE_S
        fenced = 0
        while True:
            pages = self._read("", place, LARGEST, PAGE_MAX_EVENTS, changes=True, wait_s=0)
            reach = min(_reach(pages), max(_last_used(page) for page in pages))
            complete = max(_without_hole(place, reach, pages), min(fenced, reach))
            if complete > place or reach <= place:
                break
            if time.monotonic() > deadline:
                self._fence(reach, 0)
                fenced = reach
            else:
                time.sleep(LOOK_S)
        records = [record for record in _merged(pages) if record.position <= complete]
        more = complete > place and (any(page.facts.more for page in pages) or complete < reach)
        self._remember(complete)
        return Stretch(records, max(place, complete), more, sum(page.facts.generation for page in pages))

    def _remember(self, position: int) -> None:
        """Let others know from time to time how far all is settled, so that they need not find out."""
        if position > self._settled and time.monotonic() - self._settled_at > REMEMBER_S:
            self._counters(position, 0)
            self._settled, self._settled_at = position, time.monotonic()

    def head(self) -> Cursor:
        """See `EventLog.head`."""
        settled = self.settle()
        position = _last(settled, self._read("", LARGEST, LARGEST, 1, changes=False))
        pages = self._read("", position, position, 1, changes=False)
        return Cursor(
            self._server.epoch, position, next((id_tag(p.facts.id) for p in pages if p.facts.id), 0)
        )

    def read_all(self, kind: str | None, after: Cursor | None, limit: int, until: int) -> Page:
        """See `EventLog.read_all`."""
        settled = self.settle()
        settled = _last(settled, self._read("", LARGEST, LARGEST, 1, changes=False))
        log = Run(self._server.epoch, 1, settled)
        named = after is not None and after.epoch == self._server.epoch
        offset = after.offset if after and named else 0
        head = min(until, settled)
        pages = self._read(kind or "", offset, head, limit + 1, changes=False)
        tag = next((id_tag(page.facts.id) for page in pages if page.facts.id), None)
        start = resume(after, log if named else None, log, tag if after and after.tag else None)
        if start.after != offset:
            pages = self._read(kind or "", start.after, head, limit + 1, changes=False)
        reach = min(head, _reach(pages))
        events = [one for one in _merged(pages) if isinstance(one, Event) and one.position <= reach]
        return firehose_page(start, after, events[: limit + 1], reach=reach, head=head, limit=limit)

    def _read(
        self, kind: str, after: int, until: int, limit: int, *, changes: bool, wait_s: float | None = None
    ) -> list[FirehosePage]:
        arguments: tuple[Argument, ...] = (
            kind,
            min(after, LARGEST),
            min(until, LARGEST),
            limit,
            ENOUGH_BYTES,
            int(changes),
        )
        everywhere = dict.fromkeys(range(self._server.partitions), arguments)
        answers = self._server.patiently(lambda: _all(self._server.call_all("firehose", everywhere)), wait_s)
        return [decode_firehose(answer) for answer in answers]


def _all(answers: dict[int, Any]) -> list[Any]:
    for answer in answers.values():
        if isinstance(answer, Exception):
            raise answer
    return list(answers.values())


def _reach(pages: Iterable[FirehosePage]) -> int:
    """How far all of the pages have everything there is."""
    return min((page.facts.reach for page in pages if page.facts.more), default=LARGEST)


def _last(settled: int, pages: Iterable[FirehosePage]) -> int:
    """The last position that was used, as far as all is settled."""
    return min(settled, max(page.facts.position for page in pages))


def _last_used(page: FirehosePage) -> int:
    return max((first + count - 1 for first, count in _ranges([page])), default=0)


def _without_hole(after: int, reach: int, pages: Iterable[FirehosePage]) -> int:
    """The last position up to which all after `after` are used."""
    for first, count in sorted(_ranges(pages)):
        if first > after + 1:
            break
        after = max(after, first + count - 1)
    return min(after, reach)


def _ranges(pages: Iterable[FirehosePage]) -> Iterable[tuple[int, int]]:
    for page in pages:
        used = page.facts.used
        yield from zip(used[::2], used[1::2], strict=True)


def _merged(pages: Iterable[FirehosePage]) -> list[Record]:
    return list(heapq.merge(*(page.records() for page in pages), key=lambda record: record.position))
