"""What a failover, or a restart, has lost of what was told already."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable

from runcast.core.event import ANY_TAG, Cursor, Event, id_tag
from runcast.core.page import Change, Control, Record
from runcast.log.redis import reads
from runcast.log.redis.firehose import Place
from runcast.log.redis.server import Server

_logger = logging.getLogger("runcast.log")

STREAMS_MAX = 2_000
"""So many streams are looked at: those of which something was told last."""


class Losses:
    """Remembers the last told event of each stream, and looks for it in a log that goes on elsewhere."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._told: OrderedDict[str, Cursor] = OrderedDict()
        self.looks = self.streams_lost = 0
        """How often a log went on elsewhere, and in how many streams that has lost something."""

    def remember(self, records: Iterable[Record]) -> None:
        """These were told."""
        for record in records:
            if isinstance(record, Event):
                self._told[record.stream] = Cursor(record.epoch, record.seq, id_tag(record.id))
                self._told.move_to_end(record.stream)
            elif record.change is not Change.TRIM:  # cleared, or ended and maybe removed: gone, and not lost
                self._told.pop(record.stream, None)
        while len(self._told) > STREAMS_MAX:
            self._told.popitem(last=False)

    def look(self, told: Place) -> list[Record]:
        """What to tell of the streams whose last told event is not there any more, where all up to `told` was told.

        An event that was lost, and stored again since, is told again: so its first telling counts as lost.

        Raises:
            LogError: the log could not be read.
        """
        lost = {
            stream: position
            for stream, cursor in self._told.items()
            if self._is_lost(stream, cursor, position := self._position(stream, told))
        }
        self.looks += 1
        self.streams_lost += len(lost)
        for stream in lost:
            del self._told[stream]
        if lost:
            _logger.error(
                "Redis has lost events that were acknowledged, in %d streams, for example %s: another server has "
                "taken over, or it was restarted. Their readers begin anew.",
                len(lost),
                next(iter(lost)),
            )
        return [self._control(stream, position) for stream, position in lost.items()]

    def _position(self, stream: str, told: Place) -> int:
        return told if isinstance(told, int) else told[self._server.partition_of(stream)]

    def _is_lost(self, stream: str, cursor: Cursor, position: int) -> bool:
        page = reads.read(self._server, stream, cursor, 1, position)
        return page.reset is not None or page.head < cursor.offset

    def _control(self, stream: str, position: int) -> Control:
        """The stream as it is without what came after `position`, which is told of next."""
        page = reads.read(self._server, stream, None, 1, position)
        before = Cursor(page.epoch, max(page.head - 1, 0), ANY_TAG)
        newest = reads.read(self._server, stream, before, 1, position).events if page.head else []
        tag = id_tag(newest[0].id) if newest else 0
        return Control(stream, page.epoch, position, Change.LOST, page.head + 1, tag)
