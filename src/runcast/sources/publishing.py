"""Publishing what others wrote: one flawed record must not keep back its neighbours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from runcast.errors import InvalidInput
from runcast.kinds.base import Publish
from runcast.live.bus import Bus

AT_ONCE = 100
"""Groups that are prepared together: the event loop does other things in between."""

_Pending = list[Future[Any]]


async def publish_each(bus: Bus, groups: Sequence[Sequence[Publish]]) -> list[InvalidInput | None]:
    """Publish groups of events, each all or none; returned means stored on disk.

    For each group, in order: why it cannot be stored, or None. When it is cancelled or raises, some groups may be
    stored: repeating it is harmless where the events have ids. Should one group of many be flawed, processors may
    see its neighbours twice.

    Raises:
        LogError: the log cannot; `retryable` says whether to try again.
    """
    pending: _Pending = []
    flaws: list[InvalidInput | None] = []
    try:
        for first in range(0, len(groups), AT_ONCE):
            flaws += _publish_together(bus, groups[first : first + AT_ONCE], pending)
            await asyncio.sleep(0)
    finally:  # those that are on their way are heard of, also when the log is too busy for the next
        outcomes = await asyncio.gather(*map(asyncio.wrap_future, pending), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return flaws


def _publish_together(
    bus: Bus, groups: Sequence[Sequence[Publish]], pending: _Pending
) -> list[InvalidInput | None]:
    events = [event for group in groups for event in group]
    flaw = _publish(bus, events, pending)
    if flaw is None or len(groups) == 1:
        return [flaw for _ in groups]
    return [_publish(bus, group, pending) for group in groups]


def _publish(bus: Bus, events: Sequence[Publish], pending: _Pending) -> InvalidInput | None:
    try:
        pending.append(bus.publish_soon(events))
    except InvalidInput as error:
        return error
    return None
