"""Functions of a user's that are called for plan events, whoever published them and whether anybody watches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from contextvars import ContextVar
from inspect import isawaitable
from typing import Final

from runcast.core.event import Event
from runcast.core.scope import Scope
from runcast.errors import LogClosed, LogError
from runcast.feeds.plans.events import KIND, StreamEvent, from_stored
from runcast.live.bus import Bus
from runcast.live.follower import Follower, follow

logger = logging.getLogger("runcast.plans")

Handler = Callable[[StreamEvent], Awaitable[None] | object]
"""Takes an event of its type. What it returns is awaited, if that can be."""

RETRY_S = 1.0
PLANS: Final = Scope.firehose(KIND)

_is_handling: ContextVar[bool] = ContextVar("is_handling", default=False)


def is_handling() -> bool:
    """Whether this is called from within a handler: then handlers must not be waited for."""
    return _is_handling.get()


class _Registered:
    """One handler and what it has still to be told: it reads from the log, so it misses nothing, however slow it is."""

    def __init__(self, event_type: str, handler: Handler) -> None:
        self.event_type = event_type
        self.position = 0
        """All up to here was given to it, or is not for it."""
        self._handler = handler
        self._heard = ExitStack()
        self._follower: Follower | None = None

    def listen(self, bus: Bus) -> None:
        """Hear what is committed from now on."""
        self._heard = ExitStack()
        self._follower = self._heard.enter_context(follow(bus, PLANS))

    def has(self, position: int) -> bool:
        """Whether it was told of all up to there."""
        return self.position >= position

    async def run(self) -> None:
        """Call the handler for each event of its type, one after the other, until cancelled."""
        _is_handling.set(True)
        follower = self._follower
        assert follower is not None
        with self._heard:
            while True:
                try:
                    events = await follower.read()
                except LogClosed:
                    return
                except LogError as error:
                    logger.warning("a handler of %s waits: %s", self.event_type, error)
                    await asyncio.sleep(RETRY_S)
                    continue
                for event in events:
                    await self._call(event)
                    self.position = event.position

    async def _call(self, event: Event) -> None:
        if event.type != self.event_type:
            return
        try:
            answer = self._handler(from_stored(event))
            if isawaitable(answer):
                await answer
        except Exception:  # somebody else's function: its failure is its own
            logger.exception("a handler of %s failed", self.event_type)


class Handlers:
    """All handlers of one manager. Each has a task of the bus's and a place in the log of its own.

    A handler is told of what is committed after it was registered, or after the manager was first used in a loop.
    Everything but `add` belongs to the event loop.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._loop: asyncio.AbstractEventLoop | None = None
        self._registered: list[_Registered] = []
        self._new: list[_Registered] = []
        self._starting: set[asyncio.Task[None]] = set()

    def add(self, event_type: str, handler: Handler) -> None:
        """Register a handler; within a running loop it hears from now on."""
        registered = _Registered(event_type, handler)
        self._registered.append(registered)
        self._new.append(registered)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # `start` begins with it, in the loop that there will be
        if self._loop is None or self._loop is loop:
            self._loop = loop
            self._bus.start()
            registered.listen(self._bus)
            self._new.remove(registered)
            # It lives only until the bus's own task group has the work.
            starting = loop.create_task(self._bus.spawn(registered.run()))
            self._starting.add(starting)
            starting.add_done_callback(self._starting.discard)

    async def start(self) -> None:
        """Let those hear that do not yet in this loop. Cancellation-safe."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._new = loop, list(self._registered)
        while self._new:
            registered = self._new.pop(0)
            registered.position = 0
            registered.listen(self._bus)
            await self._bus.spawn(registered.run())

    def behind(self, position: int) -> list[_Registered]:
        """Those that have not been told of all up to `position` yet."""
        return [one for one in self._registered if not one.has(position)]
