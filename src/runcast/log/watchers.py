"""Who wants to hear of commits, and telling them so that none can harm the log."""

from __future__ import annotations

import logging
from collections.abc import Callable

from runcast.log.base import Record

_logger = logging.getLogger("runcast.log")

Callback = Callable[[list[Record]], None]


class Watchers:
    """The callbacks of one log. May be changed by any thread while another one tells them something."""

    def __init__(self) -> None:
        self._callbacks: dict[object, Callback] = {}

    def __bool__(self) -> bool:
        return bool(self._callbacks)

    def add(self, callback: Callback) -> Callable[[], None]:
        """Tell `callback` from now on. Returns what ends it, without waiting for a call that is under way."""
        ticket = object()
        self._callbacks[ticket] = callback

        def remove() -> None:
            self._callbacks.pop(ticket, None)

        return remove

    def tell(self, records: list[Record]) -> None:
        """Call each callback. What one raises is logged: the commit stands, whatever a watcher makes of it."""
        for callback in list(self._callbacks.values()):
            try:
                callback(records)
            except Exception:
                _logger.exception("A watcher of the log failed.")
