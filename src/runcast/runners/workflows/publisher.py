"""Publishing the events of one run under its lease: with patience where trying again may help."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from runcast.client.backoff import delays
from runcast.errors import LogClosed, LogError
from runcast.kinds.base import Publish
from runcast.log.base import Appended
from runcast.runners.claim import Claim

logger = logging.getLogger("runcast.workflows")

PATIENCE_S = 30.0
"""So long a full disk or a busy log is waited for, if the lease holds that long; then the run is given up here."""
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0


class Publisher:
    """The way of one run's events into its stream."""

    def __init__(self, claim: Claim) -> None:
        self.stream = claim.stream
        self._claim = claim

    def event(self, event_type: str, event_id: str | None = None, **data: Any) -> Publish:
        """An event of this run, to be published."""
        return Publish(stream=self.stream, type=event_type, data=data, id=event_id)

    async def tell(self, event_type: str, event_id: str | None = None, **data: Any) -> None:
        """Publish one event; returned means stored. Raises as `publish`."""
        await self.publish(self.event(event_type, event_id, **data))

    async def publish(self, *events: Publish) -> list[Appended]:
        """Publish, all or none; returned means stored. Cancelled while it waits, they may be stored or not.

        Raises:
            StaleToken: the run belongs to another process now, or the lease could not be renewed.
            LogError: the log cannot do it, and did not for `PATIENCE_S` where that may pass.
            InvalidEvent, TooLarge: one of them cannot be stored.
        """
        loop = asyncio.get_running_loop()
        until_s, pauses = loop.time() + PATIENCE_S, delays(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while True:
            try:
                return await self._claim.publish(*events)
            except LogError as error:
                if not error.retryable or isinstance(error, LogClosed) or loop.time() > until_s:
                    raise
                logger.debug("%s: the log is waited for: %s", self.stream, error)
            await asyncio.sleep(next(pauses))
