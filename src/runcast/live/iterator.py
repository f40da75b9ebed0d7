"""Events for Python code: a reader of the log that is woken by commits."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runcast.core.event import Cursor, Event
from runcast.core.filters import EventSubscriptionFilter
from runcast.core.page import Page
from runcast.core.scope import Scope
from runcast.core.subscription import State, Subscription
from runcast.errors import StreamGap, StreamReset

if TYPE_CHECKING:
    from runcast.live.bus import Bus


class Bells:
    """Wakes readers in this process when something is committed to what they read."""

    def __init__(self) -> None:
        self._hung: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def __contains__(self, scope_name: str) -> bool:
        return scope_name in self._hung

    def ring(self, scope_name: str) -> None:
        """Something was committed there."""
        for bell in self._hung.get(scope_name, ()):
            bell.set()

    def ring_all(self) -> None:
        """Something happened that concerns everybody."""
        for name in list(self._hung):
            self.ring(name)

    @contextmanager
    def hang(self, scope: Scope) -> Generator[asyncio.Event]:
        """An event that is set at every commit to `scope`; whoever waits for it clears it."""
        name, bell = str(scope), asyncio.Event()
        self._hung[name].add(bell)
        try:
            yield bell
        finally:
            self._hung[name].discard(bell)
            if not self._hung[name]:
                del self._hung[name]


async def iterate(
    bus: Bus, scope: Scope, after: Cursor | None, wanted: EventSubscriptionFilter
) -> AsyncIterator[Event]:
    """Every event of `scope` after a cursor that passes, in order, until its run ends.

    Raises:
        StreamGap, StreamReset: something cannot be had any more; both carry the cursor to go on from.
        LogError: the log could not be read.
    """
    machine, passes = Subscription(after), wanted.compile()
    with bus.hub.bells.hang(scope) as bell:
        while True:
            bell.clear()
            page = await bus.page(scope, machine.cursor)
            _raise_notices(machine, page)
            for event in page.events:
                if passes is None or passes(event):
                    yield event
            if machine.state is State.ENDED:
                return
            if page.complete:
                await bell.wait()


def _raise_notices(machine: Subscription, page: Page) -> None:
    machine.receive_page(page)
    begin = str(Cursor(page.epoch, page.first))
    if page.reset is not None:
        raise StreamReset(page.reset, cursor=begin)
    if page.gap is not None:
        raise StreamGap(
            f"The events {page.gap.first} to {page.gap.last} are not kept any more; go on after {begin}.",
            cursor=begin,
        )
