"""The live subscribers of one scope that get the very same bytes: filter once, encode once, write to many."""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from runcast.core.closing import INTERNAL_ERROR
from runcast.core.event import Cursor, Event
from runcast.core.filters import EventFilter, Predicate
from runcast.core.pacing import Pacing
from runcast.core.subscription import Notice
from runcast.core.tail import RING_MAX_BYTES, RING_MAX_EVENTS, Tail
from runcast.live.codec import Chunk, Codec, Framing, Piece, fit_one
from runcast.live.traffic import Traffic

if TYPE_CHECKING:
    from runcast.live.subscriber import Subscriber


class Wish(NamedTuple):
    """What a subscriber asks for; equal keys share a cohort.

    `interval_s`: at most one message per interval, if it is not 0. `window_s`: how long events may wait for
    more under load, if that is not the hub's own. `ends_with`: types of events after which it wants no more, as if
    the run had been sealed there; also if its filter keeps such an event from it.
    """

    codec: Codec
    framing: Framing
    filter: EventFilter
    batch_size: int
    interval_s: float = 0.0
    window_s: float | None = None
    ends_with: frozenset[str] = frozenset()

    def ends_in(self, events: Iterable[Event]) -> bool:
        """Whether one of `events` is the last that it wants."""
        return bool(self.ends_with) and any(event.type in self.ends_with for event in events)

    def at_once(self, pieces: Sequence[Piece]) -> int:
        """How many of `pieces` may be sent now: one message of them, or all if there is no pace to keep."""
        return fit_one(pieces, self.batch_size) if self.interval_s else len(pieces)

    @property
    def key(self) -> tuple[object, ...]:
        """Subscribers with equal keys get the very same bytes, at the same time."""
        pace = (self.interval_s, self.batch_size) if self.interval_s else None
        return (
            self.codec.key,
            self.framing.key,
            self.filter.fingerprint,
            pace,
            self.window_s,
            self.ends_with,
        )


class Encoding:
    """A run of events with the places after them, encoded at most once for each codec, whoever asks."""

    __slots__ = ("_pieces", "_run")

    def __init__(self, run: Sequence[tuple[Event, Cursor]]) -> None:
        self._run = run
        self._pieces: dict[str, dict[int, Piece]] = {}

    def pieces(self, codec: Codec, passes: Predicate | None) -> list[Piece]:
        """The events that pass, as pieces of `codec`."""
        made = self._pieces.setdefault(codec.piece_key, {})
        return [
            made.get(index) or made.setdefault(index, _piece(codec, event, place))
            for index, (event, place) in enumerate(self._run)
            if passes is None or passes(event)
        ]


def _piece(codec: Codec, event: Event, place: Cursor) -> Piece:
    text = str(place)
    return Piece(codec.piece(event, text), text, place, event.position)


class Cohort:
    """Members that stand at one place, `flushed`, and what is pending for them.

    `flushed` is the place up to which events are written to all members (or were filtered out), `position` the
    same as a position of the log. A catching-up reader joins exactly there; one that leaves keeps that place.
    """

    def __init__(
        self,
        wish: Wish,
        tail: Tail,
        *,
        window_s: float,
        traffic: Traffic,
        loop: AbstractEventLoop,
        now_us: Callable[[], int],
        moved: Callable[[], None],
    ) -> None:
        self.wish = wish
        self.flushed = tail.cursor
        self.position = tail.position
        self.attached = 0
        """Subscribers of this cohort, live or not."""
        self._passes = wish.filter.compile()
        self._tail = tail
        self._traffic = traffic
        self._loop = loop
        self._now_us = now_us
        self._moved = moved
        self._pacing = Pacing(window_s if wish.window_s is None else wish.window_s, wish.interval_s)
        self._members: dict[Subscriber, Callable[[Chunk], None]] = {}
        self._writes: tuple[Callable[[Chunk], None], ...] | None = ()
        self._pending: list[Piece] = []
        self._pending_bytes = 0
        self._timer: TimerHandle | None = None

    @property
    def members(self) -> list[Subscriber]:
        """Those that are live now."""
        return list(self._members)

    def join(self, subscriber: Subscriber) -> None:
        """Make a reader that stands exactly at `flushed` live.

        Raises:
            ValueError: it stands elsewhere.
        """
        subscriber.machine.join(self.flushed)
        self._members[subscriber] = subscriber.connection.sink.write
        self._writes = None

    def leave(self, subscriber: Subscriber) -> None:
        """Take a member out; its machine is at `flushed` then. Does nothing for a reader that is not live."""
        if self._members.pop(subscriber, None) is not None:
            subscriber.machine.leave(self.flushed)
            subscriber.not_before = self._pacing.not_before if self.wish.interval_s else 0.0
            self._writes = None
            if not self._members:  # what is pending is for nobody; whoever comes now begins now
                self._forget_pending()
                self._stand_at_tail()

    def offer(self, encoding: Encoding) -> None:
        """Take the events that the tail has just taken."""
        if self._members:
            self._pend(encoding)
        if not self._pending:
            self._stand_at_tail()
        elif self._timer is None or self._pending_bytes > RING_MAX_BYTES:
            self._schedule()

    def flush(self) -> None:
        """Write what is pending now: all of it, or one message of a cohort that is paced."""
        self._stop_timer()
        if not self._pending:
            return
        began = self._loop.time()
        taken = self._take()
        self._pacing.flushed(began, began)  # a member that leaves from within its write keeps the pace
        self._write(self.chunk(taken))
        self._pacing.flushed(began, self._loop.time())
        if self._pending:
            self._schedule()
        self._moved()

    def drain(self) -> None:
        """Write all that is pending, pace or not."""
        while self._pending:
            self.flush()

    def restart(self, notice: Notice | None) -> None:
        """Stand at the epoch that the tail has gone on to, and tell the members of it."""
        self._stand_at_tail()
        if notice is not None:
            self._write(self.word(notice))

    def finish(self, notice: Notice) -> list[Subscriber]:
        """Write what is pending, tell the members that this is the end, and let them go; returns them."""
        self.drain()
        self._stand_at_tail()
        members, writes = self.members, list(self._members.values())
        for member in members:
            member.machine.end(self.flushed)
        self._members, self._writes = {}, None
        self._write_to(writes, self.word(notice))
        return members

    def fail(self) -> None:
        """What comes cannot be told to these members: let them come again rather than miss it."""
        for member in self.members:
            member.connection.sink.close(INTERNAL_ERROR, "internal error")
            member.detach()

    def close(self) -> None:
        """Nobody is attached any more."""
        self._forget_pending()

    def chunk(self, pieces: Sequence[Piece]) -> Chunk:
        """The one write that carries `pieces`."""
        messages = self.wish.codec.messages(pieces, self._now_us())
        return self.wish.framing.frame(messages, len(pieces))

    def word(self, notice: Notice) -> Chunk:
        """The one write that carries `notice`."""
        return self.wish.framing.frame(self.wish.codec.notice(notice, self._now_us()), 0)

    def select(self, encoding: Encoding) -> list[Piece]:
        """The pieces that pass the filter."""
        return encoding.pieces(self.wish.codec, self._passes)

    def count(self, chunk: Chunk, members: int = 1) -> None:
        """Add a write to the statistics."""
        self._traffic.add(chunk.events * members, chunk.size_bytes * members)

    def _pend(self, encoding: Encoding) -> None:
        pieces = self.select(encoding)
        self._pending += pieces
        for piece in pieces:
            self._pending_bytes += len(piece.data)
        overflow = len(self._pending) > RING_MAX_EVENTS or self._pending_bytes > RING_MAX_BYTES
        if overflow and self.wish.interval_s:  # they take less than comes: let them read at their own pace
            for member in self.members:
                member.fall_behind()

    def _take(self) -> list[Piece]:
        """What a flush writes now, of what is pending."""
        limit = self.wish.at_once(self._pending)
        taken, self._pending = self._pending[:limit], self._pending[limit:]
        if self._pending:
            self._pending_bytes = sum(len(piece.data) for piece in self._pending)
            self.flushed, self.position = taken[-1].place, taken[-1].position
        else:
            self._pending_bytes = 0
            self._stand_at_tail()
        return taken

    def _schedule(self) -> None:
        delay = self._pacing.delay(self._loop.time())
        if delay <= 0 or (self._pending_bytes > RING_MAX_BYTES and not self.wish.interval_s):
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(delay, self.flush)

    def _write(self, chunk: Chunk) -> None:
        if self._writes is None:
            self._writes = tuple(self._members.values())
        self._write_to(self._writes, chunk)

    def _write_to(self, writes: Sequence[Callable[[Chunk], None]], chunk: Chunk) -> None:
        """One write per member. A member may leave from within its write, and is past the chunk then."""
        if chunk.size_bytes:
            for write in writes:
                write(chunk)
            self.count(chunk, len(writes))

    def _stand_at_tail(self) -> None:
        self.flushed, self.position = self._tail.cursor, self._tail.position

    def _forget_pending(self) -> None:
        self._stop_timer()
        self._pending = []
        self._pending_bytes = 0

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
