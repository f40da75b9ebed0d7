"""Waiting a moment for those who are told, so that what was published is there for whoever takes it at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final
from weakref import WeakSet

from runcast.feeds.plans.clients import PlanClient
from runcast.log.base import Appended

GRACE_S: Final = 0.05
MOST_CLIENTS: Final = 100
"""Of more than that, nobody is waited for: they get more out of several events at once."""
TURNS: Final = 20
"""So often the loop is only given a turn; then a millisecond at a time is waited."""

Party = tuple[object, Callable[[], bool]]
"""Somebody, and whether they have it."""


class Courtesy:
    """Waits `GRACE_S` at most. Who was too slow is not waited for again before they have caught up.

    So a publisher that does one thing after the other sees its event with whoever takes it at once (a socket in a
    test, a handler that counts), and a slow one costs it one moment, not one per event.
    """

    def __init__(self) -> None:
        self._slow: WeakSet[object] = WeakSet()

    async def wait(self, parties: Sequence[Party]) -> None:
        """Return when all have it, or the time is over. Cancellation-safe."""
        waiting = [party for party in parties if self._is_worth_waiting(party)]
        loop = asyncio.get_running_loop()
        until, turns = loop.time() + GRACE_S, 0
        while waiting and loop.time() < until:
            await asyncio.sleep(0 if turns < TURNS else 0.001)
            turns += 1
            waiting = [party for party in waiting if not party[1]()]
        self._slow.update(who for who, _ in waiting)

    def _is_worth_waiting(self, party: Party) -> bool:
        who, has_it = party
        if has_it():
            self._slow.discard(who)
            return False
        return who not in self._slow


def caught_up(client: PlanClient) -> Callable[[], bool]:
    """Whether a client was sent what there was to catch up on; one that cannot take it now is not waited for."""

    def is_caught_up() -> bool:
        connection = client.connection
        if connection.is_closed or connection.is_blocked:
            return True
        subscribers = [watch.subscriber for watch in client.watching.plans.values()]
        behind = any(
            one is not None and one.wants_to_read and not one.topic.is_parked(one) for one in subscribers
        )
        return not behind and not connection.sink.buffered_bytes()

    return is_caught_up


def has_event(client: PlanClient, plan_id: str, appended: Appended) -> Callable[[], bool]:
    """Whether a client was sent this event; one that cannot take it now is not waited for."""

    def has_it() -> bool:
        watch, connection = client.watching.plans.get(plan_id), client.connection
        if watch is None or connection.is_closed or connection.is_blocked:
            return True
        place = watch.subscriber.place if watch.subscriber else None
        if place is None or place.epoch != appended.epoch or place.offset < appended.seq:
            return False
        return not connection.sink.buffered_bytes()

    return has_it
