"""One client: what it is subscribed to, and whether it takes what it is sent."""

from __future__ import annotations

from collections.abc import Callable

from runcast.live.sink import Sink
from runcast.live.subscriber import Subscriber


class Connection:
    """A client, from its acceptance to its end.

    The sink tells it of pressure; it moves its subscriptions between the live groups and the log. `on_end` is
    called when the run that a subscription reads is over and told to the end; `on_pressure` whenever the
    client becomes blocked, is freed, or is gone.
    """

    __slots__ = ("_on_end", "_on_pressure", "is_blocked", "is_closed", "sink", "subscribers")

    def __init__(
        self,
        sink: Sink,
        on_end: Callable[[Subscriber], None],
        on_pressure: Callable[[Connection], None],
    ) -> None:
        self.sink = sink
        self.subscribers: list[Subscriber] = []
        self.is_blocked = False
        self.is_closed = False
        self._on_end = on_end
        self._on_pressure = on_pressure

    def blocked(self) -> None:
        """Too much waits for the client: out of the live groups, keeping every place."""
        self.is_blocked = True
        self._on_pressure(self)
        for subscriber in self.subscribers:
            subscriber.fall_behind()

    def drained(self) -> None:
        """The client has taken what waited: read on from the log."""
        self.is_blocked = False
        self._on_pressure(self)
        for subscriber in self.subscribers:
            subscriber.read_on()

    def closed(self) -> None:
        """The client is gone: forget it everywhere. Idempotent."""
        self.is_closed = True
        self.is_blocked = False
        self._on_pressure(self)
        for subscriber in list(self.subscribers):
            subscriber.detach()
        self.subscribers.clear()

    def ended(self, subscriber: Subscriber) -> None:
        """Everything there was to tell `subscriber` is written."""
        self._on_end(subscriber)
