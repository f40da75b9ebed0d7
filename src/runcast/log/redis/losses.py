"""What a failover, or a restart, has lost of what was told already."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable

from runcast.core.event import Cursor, Event, id_tag
from runcast.core.page import Record
from runcast.log.redis import reads
from runcast.log.redis.server import Server

_logger = logging.getLogger("runcast.log")

STREAMS_MAX = 10_000
"""So many streams are looked at: those of which something was told last."""


class Losses:
    """Remembers the last told event of each stream, and looks for it in a log that goes on elsewhere."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._told: OrderedDict[str, Cursor] = OrderedDict()

    def remember(self, records: Iterable[Record]) -> None:
        """These were told."""
        for record in records:
            if isinstance(record, Event):
                self._told[record.stream] = Cursor(record.epoch, record.seq, id_tag(record.id))
                self._told.move_to_end(record.stream)
        while len(self._told) > STREAMS_MAX:
            self._told.popitem(last=False)

    def look(self) -> list[str]:
        """The streams whose last told event is not there any more; also said in the process' log.

        Raises:
            LogError: the log could not be read.
        """
        lost = [
            stream
            for stream, cursor in self._told.items()
            if reads.read(self._server, stream, cursor, 1, reads.LARGEST).reset
        ]
        for stream in lost:
            del self._told[stream]
        if lost:
            _logger.error(
                "Redis has lost events that were acknowledged, in %d streams, for example %s: another server has "
                "taken over, or it was restarted. Their readers begin anew.",
                len(lost),
                lost[0],
            )
        return lost
