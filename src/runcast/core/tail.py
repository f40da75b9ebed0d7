"""The live end of one scope: how far it is announced, and the last events before that place."""

from __future__ import annotations

from collections import deque
from itertools import islice

from runcast.core.event import Cursor, Event
from runcast.core.page import Change, Control
from runcast.core.scope import Scope

RING_MAX_EVENTS = 1_024
RING_MAX_BYTES = 1024 * 1024


class Tail:
    """What is known of the newest part of a scope, in commit order.

    It begins at the place that the log told (`cursor`, as of the log's `position`) and grows by the records
    that are announced. Records that the log had told of already are recognised by their position. The ring of
    recent events is bounded in events and bytes; it lets a reader close the last stretch without the log, so
    that a fast stream cannot outrun it for ever.
    """

    __slots__ = ("_bytes", "_log_epoch", "_ring", "_ring_after", "cursor", "position", "scope")

    def __init__(self, scope: Scope, cursor: Cursor, position: int, log_epoch: str) -> None:
        self.scope = scope
        self.cursor = cursor
        self.position = position
        self._log_epoch = log_epoch
        self._ring: deque[Event] = deque()
        self._ring_after = cursor.offset
        self._bytes = 0

    def is_new(self, record: Event | Control) -> bool:
        """Whether `record` comes after all that this tail stands for."""
        return record.position > self.position

    def opens_epoch(self, event: Event) -> bool:
        """Whether `event` belongs to another incarnation than the announced head."""
        return bool(self.scope.stream) and event.epoch != self.cursor.epoch

    def place(self, event: Event) -> Cursor:
        """The place right after `event`, as this scope's cursors name it."""
        return self.scope.cursor(event, self._log_epoch)

    def push(self, event: Event) -> Cursor:
        """Take the next event of the current epoch; returns the place right after it."""
        self.cursor = self.place(event)
        self.position = event.position
        self._ring.append(event)
        self._bytes += event.size_bytes
        while len(self._ring) > RING_MAX_EVENTS or (self._bytes > RING_MAX_BYTES and len(self._ring) > 1):
            self._forget_oldest()
        return self.cursor

    def trim(self, oldest: int) -> None:
        """Forget what came before the offset `oldest`: it is not kept any more."""
        while self._ring and self.scope.offset(self._ring[0]) < oldest:
            self._forget_oldest()

    def forget(self, control: Control) -> None:
        """In a firehose: forget what a clear or a trim of one of its streams has removed."""
        gone = [event for event in self._ring if _is_removed(event, control)]
        if gone:
            self._bytes -= sum(event.size_bytes for event in gone)
            self._ring = deque(event for event in self._ring if not _is_removed(event, control))

    def restart(self, epoch: str) -> None:
        """Go on in another epoch, which is empty so far."""
        self.cursor = Cursor(epoch, 0)
        self._ring.clear()
        self._ring_after = 0
        self._bytes = 0

    def stand_at(self, cursor: Cursor) -> None:
        """Go on after another place: the log has lost what was here."""
        self.cursor = cursor
        self._ring.clear()
        self._ring_after = cursor.offset
        self._bytes = 0

    def between(self, after: Cursor, until: Cursor) -> list[Event] | None:
        """The events after one place up to another; None if the ring does not reach from there to there."""
        epoch = self.cursor.epoch
        if (
            after.epoch != epoch
            or until.epoch != epoch
            or not self._ring_after <= after.offset <= until.offset
        ):
            return None
        if self.scope.stream:  # seqs have no holes: the place in the ring follows from the seq
            return list(islice(self._ring, after.offset - self._ring_after, until.offset - self._ring_after))
        return [event for event in self._ring if after.offset < event.position <= until.offset]

    def _forget_oldest(self) -> None:
        oldest = self._ring.popleft()
        self._ring_after = self.scope.offset(oldest)
        self._bytes -= oldest.size_bytes


def _is_removed(event: Event, control: Control) -> bool:
    if event.stream != control.stream:
        return False
    if control.change is Change.CLEAR:
        return event.epoch != control.epoch
    return control.change is Change.TRIM and event.epoch == control.epoch and event.seq < control.oldest
