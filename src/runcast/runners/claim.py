"""Being the one runner of a stream: publishing under its lease, renewing it, hearing what others publish there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from runcast.core.event import Event
from runcast.core.page import Change, Control
from runcast.errors import StaleToken
from runcast.kinds.base import Publish
from runcast.log.base import Appended, Lease

if TYPE_CHECKING:
    from runcast.live.bus import Bus

RENEWALS_PER_LEASE = 3
RENEW_AGAIN_S = 1.0
"""After the log could not do it."""

Listener = Callable[[Event], None]
"""Called in the event loop, in order, with each event that was committed to the stream; must return soon."""


class Slot:
    """The right to be one of so many at work. Giving it back twice is harmless."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots = slots
        self._is_held = False

    @property
    def is_held(self) -> bool:
        """Whether it counts as one of those at work."""
        return self._is_held

    async def take(self) -> None:
        """Wait for one, in order. Cancellation-safe."""
        await self._slots.acquire()
        self._is_held = True

    def give(self) -> None:
        """Let another one work."""
        if self._is_held:
            self._is_held = False
            self._slots.release()


class Claim:
    """Being the runner of one stream, for as long as the lease is renewed. Made by the host, for one run."""

    def __init__(
        self, bus: Bus, stream: str, lease: Lease, slot: Slot, *, ttl_s: float, asked_s: float
    ) -> None:
        self.stream = stream
        self.lease = lease
        self.lost = asyncio.Event()
        """Set when another process has the stream, or the lease could not be renewed in time, or the run is gone."""
        self.is_gone = False
        """The run is not the stream's current one any more: it was sealed or cleared. Nobody is to go on with it."""
        self.epoch = ""
        """Of the run; empty until the host has looked."""
        self.renew_at_s = asked_s + ttl_s / RENEWALS_PER_LEASE
        """When the host is to renew it, on the loop's clock."""
        self.ends_at_s = asked_s + ttl_s
        self._bus = bus
        self._slot = slot
        self._ttl_s = ttl_s
        self._loop = asyncio.get_running_loop()
        self._listeners: list[Listener] = []
        self._when_lost: Callable[[], object] = lambda: None
        self._end = self._loop.call_at(self.ends_at_s, self.lose)

    async def publish(self, *events: Publish) -> list[Appended]:
        """Publish to the stream (or, in the same commit, to others), all or none; returned means stored.

        Raises:
            StaleToken: the lease went to another owner. Nothing was stored; the run is cancelled.
            InvalidEvent, TooLarge, LogError: as `Bus.publish_all`; nothing was stored.
        """
        return await asyncio.wrap_future(self.publish_soon(*events))

    def publish_soon(self, *events: Publish) -> Future[list[Appended]]:
        """`publish` from any thread and without waiting: the future has the outcome.

        What one thread publishes is stored in the order of its calls.

        Raises:
            StaleToken, InvalidEvent, TooLarge, Busy: at once; nothing was stored.
        """
        if self.lost.is_set():
            raise StaleToken
        return self._bus.publish_soon(events, lease=self.lease)

    @contextmanager
    def listen(self, listener: Listener) -> Generator[None]:
        """Call `listener` with what is committed to the stream from now on: commands, answers, one's own events.

        Whoever listens first and then reads a fold misses nothing, and may hear of things twice.
        """
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    @asynccontextmanager
    async def resting(self) -> AsyncGenerator[None]:
        """Not count as one of those at work meanwhile, as while a person is waited for.

        Leaving waits for a place again, in order, unless it is left by an exception.
        """
        worked = self._slot.is_held
        self._slot.give()
        yield
        if worked:
            await self._slot.take()

    # For the host

    def hear(self, event: Event) -> None:
        """Tell those who listen."""
        for listener in tuple(self._listeners):
            listener(event)

    def hear_change(self, control: Control) -> None:
        """Take that the stream was sealed or cleared: nothing more is published for a run that is gone."""
        is_sealed = control.change is Change.END and control.epoch == self.epoch
        is_cleared = control.change is Change.CLEAR and self.epoch not in {"", control.epoch}
        if is_sealed or is_cleared:
            self.is_gone = True
            self.lose()

    def when_lost(self, act: Callable[[], object]) -> None:
        """Call `act` as soon as the claim is lost."""
        self._when_lost = act
        if self.lost.is_set():
            act()

    async def renew(self) -> None:
        """Hold the lease for another while. Not in vain, or the claim is lost.

        Raises:
            LogError: the log cannot do it now; the lease goes on until its time.
        """
        asked_s, held = self._loop.time(), self.lease
        self.renew_at_s = asked_s + min(RENEW_AGAIN_S, self._ttl_s / RENEWALS_PER_LEASE)
        lease = await self._bus.call(self._bus.log.acquire, held.name, held.owner, self._ttl_s)
        if lease is not None and lease.token == held.token:
            self.renewed(asked_s)
            return
        self.lose()
        if lease is not None:  # another one had it and is through: this lease is a new one, and nobody's work
            await self._bus.call(self._bus.log.release, lease)

    def renewed(self, asked_s: float) -> None:
        """The lease is held for another while, since it was asked for at `asked_s` of the loop's clock."""
        self._hold_until(asked_s + self._ttl_s)
        self.renew_at_s = asked_s + self._ttl_s / RENEWALS_PER_LEASE

    def lose(self) -> None:
        """The stream is another's, as far as can be known."""
        self._end.cancel()
        if not self.lost.is_set():
            self.lost.set()
            self._when_lost()

    async def release(self) -> None:
        """Give the lease back, so that another may have it at once.

        Raises:
            LogError: the log cannot do it; the lease ends by itself.
        """
        self._end.cancel()
        self.lost.set()
        await self._bus.call(self._bus.log.release, self.lease)

    def _hold_until(self, time_s: float) -> None:
        self._end.cancel()
        if not self.lost.is_set():
            self.ends_at_s = time_s
            self._end = self._loop.call_at(time_s, self.lose)
