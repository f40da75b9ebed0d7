"""One subscription of one connection: its state machine, and where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from runcast.core.event import Cursor
from runcast.core.subscription import State, Subscription

if TYPE_CHECKING:
    from runcast.live.cohort import Cohort
    from runcast.live.connection import Connection
    from runcast.live.topic import Topic


class Subscriber:
    """Ties a reader's machine to its connection, its topic and its cohort.

    `want_read` is called when it has something to read from the log; `queued` is the catch-up's own mark.
    """

    __slots__ = ("_want_read", "cohort", "connection", "gone", "machine", "not_before", "queued", "topic")

    def __init__(
        self,
        connection: Connection,
        topic: Topic,
        cohort: Cohort,
        machine: Subscription,
        want_read: Callable[[Subscriber], None],
    ) -> None:
        self.machine = machine
        self.connection = connection
        self.topic = topic
        self.cohort = cohort
        self.queued = False
        self.gone = False
        self.not_before = 0.0
        """On the loop's clock: a paced client that fell behind is not served before its interval is over."""
        self._want_read = want_read

    @property
    def wants_to_read(self) -> bool:
        """Whether a read would get it further now."""
        return not self.gone and not self.connection.is_blocked and self.machine.state is State.CATCHING_UP

    @property
    def place(self) -> Cursor | None:
        """After what it was told or what was kept from it by its filter; None at the start, before the first page."""
        return self.cohort.flushed if self.machine.state is State.LIVE else self.machine.cursor

    def fall_behind(self) -> None:
        """Leave the live group, if it is there, and read on from the log as soon as the client takes more."""
        self.cohort.leave(self)
        self.read_on()

    def look_again(self) -> None:
        """Leave the live group, and let the log say whether it still has what was read: it may have lost events."""
        self.cohort.leave(self)
        self.machine.is_checked = False
        self.read_on()

    def read_on(self) -> None:
        """Read as soon as possible, if there is reason to."""
        if self.wants_to_read:
            self._want_read(self)

    def detach(self) -> None:
        """Leave for good. Idempotent."""
        if not self.gone:
            self.gone = True
            self.cohort.leave(self)
            self.topic.detach(self)
