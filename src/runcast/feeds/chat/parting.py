"""A restart of the server waits for what a client waits for: its sink is closed when its answers are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from runcast.core.closing import SERVICE_RESTART
from runcast.live.sink import Sink

LOOK_S: Final = 0.1
"""Between two looks; so long, at least, after the end of an answer: then it is written."""


class PatientSink:
    """A `Sink` that is closed for a restart only when its client waits for nothing, or after `most_s` seconds.

    Whoever follows the documented examples does not come back: they shall have their answer, or read why not.
    """

    __slots__ = ("_is_waiting", "_most_s", "_sink", "buffered_bytes", "write")

    def __init__(self, sink: Sink, is_waiting: Callable[[], bool], most_s: float) -> None:
        self._sink = sink
        self._is_waiting = is_waiting
        self._most_s = most_s
        self.write = sink.write
        self.buffered_bytes = sink.buffered_bytes

    def close(self, code: int, reason: str) -> None:
        """See `Sink`."""
        if code == SERVICE_RESTART and self._is_waiting():
            loop = asyncio.get_running_loop()
            loop.call_later(LOOK_S, self._look, reason, loop.time() + self._most_s)
        else:
            self._sink.close(code, reason)

    def _look(self, reason: str, until_s: float) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() >= until_s:
            self._sink.close(SERVICE_RESTART, reason)
        elif self._is_waiting():
            loop.call_later(LOOK_S, self._look, reason, until_s)
        else:
            loop.call_later(LOOK_S, self._sink.close, SERVICE_RESTART, reason)
