"""Where all that was committed is read from, in order, for the watchers."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from runcast.errors import LogError
from runcast.log.base import Record
from runcast.log.redis import reads
from runcast.log.redis.rows import FirehosePage
from runcast.log.redis.server import Server

Place = int | tuple[int, ...]
"""How far the watchers were told: a position, or one of each partition where these share none."""


class Stretch(NamedTuple):
    """What the firehose has after a position, in order; all up to `reach` is in it, and `more` may follow."""

    records: list[Record]
    reach: Place
    more: bool
    generation: int


class Firehose(Protocol):
    """Where all that was committed is read from."""

    def newest(self) -> tuple[Place, int]:
        """The place after everything, and the log's generation."""
        ...

    def after(self, place: Any) -> Stretch:
        """What comes next after a place that came from here."""
        ...

    def covers(self, place: Any, position: int) -> bool:
        """Whether what is at `position` was told certainly when all up to `place` was."""
        ...


class SingleFirehose:
    """The firehose of a log with one partition."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def newest(self) -> tuple[Place, int]:
        """See `Firehose`."""
        facts = reads.read_firehose(self._server, 0, "", reads.LARGEST).facts
        return facts.position, facts.generation

    def after(self, place: Any) -> Stretch:
        """See `Firehose`."""
        page = reads.read_firehose(self._server, 0, "", place, changes=True, wait_s=0)
        facts = page.facts
        return Stretch(page.records(), max(place, facts.reach), bool(facts.more), facts.generation)

    def covers(self, place: Any, position: int) -> bool:
        """See `Firehose`."""
        return position <= place


class Apart:
    """Partitions that share no positions: what is told is in order within each of them, and nobody waits for another."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._generations: list[int] = []

    def newest(self) -> tuple[Place, int]:
        """See `Firehose`."""
        facts = [self._read(partition, reads.LARGEST).facts for partition in range(self._server.partitions)]
        self._generations = [one.generation for one in facts]
        return tuple(one.position for one in facts), sum(self._generations)

    def after(self, place: Any) -> Stretch:
        """See `Firehose`. A partition that does not answer keeps back no other."""
        pages: list[FirehosePage | None] = []
        failure: LogError | None = None
        for partition, told in enumerate(place):
            try:
                pages.append(self._read(partition, told, changes=True))
            except LogError as error:
                failure = error
                pages.append(None)
        if failure is not None and not any(page and page.parts for page in pages):
            raise failure
        for partition, page in enumerate(pages):
            if page is not None:
                self._generations[partition] = page.facts.generation
        reach = tuple(
            max(told, page.facts.reach) if page else told for told, page in zip(place, pages, strict=True)
        )
        records = [record for page in pages if page for record in page.records()]
        more = failure is not None or any(page.facts.more for page in pages if page)
        return Stretch(records, reach, more, sum(self._generations))

    def covers(self, place: Any, position: int) -> bool:
        """See `Firehose`. Whose position it is cannot be seen from it."""
        return False

    def _read(self, partition: int, after: int, *, changes: bool = False) -> FirehosePage:
        return reads.read_firehose(self._server, partition, "", after, changes=changes, wait_s=0)
