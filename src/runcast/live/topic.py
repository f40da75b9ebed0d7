"""One scope with subscribers here: its tail, and the cohorts and readers that follow it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import count

from runcast.core.event import Cursor, Event
from runcast.core.page import Change, Control, Record
from runcast.core.subscription import End, Reset
from runcast.core.tail import Tail
from runcast.live.cohort import Cohort, Encoding, Wish
from runcast.live.subscriber import Subscriber
from runcast.live.traffic import Traffic

REMOVED = "The stream was removed and begun anew."
CLEARED = "The stream was cleared."

logger = logging.getLogger("runcast.live")

_generations = count(1)


_Run = list[tuple[Event, Cursor]]


class Topic:
    """Takes the records of its scope in commit order, each once, and passes them to its cohorts.

    `over`: the run at the tail has ended; who still reads it finds its end in the log. `generation` is another
    whenever events were removed or another run began, so that pages which were read before are not used again.
    """

    def __init__(
        self,
        tail: Tail,
        *,
        over: bool,
        traffic: Traffic,
        make_cohort: Callable[[Topic, Wish], Cohort],
        on_empty: Callable[[Topic], None],
    ) -> None:
        self.tail = tail
        self.over = over
        self.generation = next(_generations)
        self.traffic = traffic
        self.subscribers: set[Subscriber] = set()
        self._cohorts: dict[tuple[object, ...], Cohort] = {}
        self._make_cohort = make_cohort
        self._on_empty = on_empty
        self._parked: set[Subscriber] = set()

    def cohort(self, wish: Wish) -> Cohort:
        """The cohort of those who want the same; a new one stands at the tail."""
        cohort = self._cohorts.get(wish.key)
        if cohort is None:
            cohort = self._cohorts[wish.key] = self._make_cohort(self, wish)
        return cohort

    def attach(self, subscriber: Subscriber) -> None:
        """Count a subscriber in."""
        self.subscribers.add(subscriber)
        subscriber.cohort.attached += 1

    def detach(self, subscriber: Subscriber) -> None:
        """Count a subscriber out; the last one of its cohort, or of the topic, takes that with it."""
        self.subscribers.discard(subscriber)
        self._parked.discard(subscriber)
        cohort = subscriber.cohort
        cohort.attached -= 1
        if not cohort.attached:
            cohort.close()
            del self._cohorts[cohort.wish.key]
        if not self.subscribers:
            self._on_empty(self)

    def park(self, subscriber: Subscriber) -> None:
        """Let a reader wait that has read all there is, but cannot join yet."""
        self._parked.add(subscriber)

    def is_parked(self, subscriber: Subscriber) -> bool:
        """Whether a reader waits for the next announcement."""
        return subscriber in self._parked

    def announce(self, records: Sequence[Record]) -> None:
        """Take what was committed, in order; what the tail stands for already is left out."""
        run = _Run()
        for record in records:
            if isinstance(record, Control) and record.change is Change.LOST:
                self._offer(run)
                self._look_again(record)
                continue
            if not self.tail.is_new(record):
                continue
            if isinstance(record, Control):
                self._offer(run)
                self._change(record)
                continue
            if self.tail.opens_epoch(record):
                self._offer(run)
                self._begin_epoch(record.epoch)
            run.append((record, self.tail.push(record)))
        self._offer(run)
        self.wake()

    def wake(self) -> None:
        """Let those look again who wait for something to read."""
        if self._parked:
            parked, self._parked = self._parked, set()
            for subscriber in parked:
                subscriber.read_on()

    def _offer(self, run: _Run) -> None:
        if run:
            encoding = Encoding(tuple(run))
            for cohort in list(self._cohorts.values()):
                self._offer_to(cohort, run, encoding)
            run.clear()

    def _offer_to(self, cohort: Cohort, run: _Run, encoding: Encoding) -> None:
        try:
            cohort.offer(encoding)
            if cohort.wish.ends_in(event for event, _ in run):
                self._finish(cohort)
        except Exception:  # a root: what one cohort's codec or filter cannot take must not reach the others
            logger.exception("events of %s cannot be told to %s", self.tail.scope, cohort.wish.key)
            cohort.fail()

    def _begin_epoch(self, epoch: str) -> None:
        """An epoch that no control row has spoken of: the first run, or one after a removal."""
        unannounced = bool(self.tail.cursor.epoch) and not self.over
        self._restart(epoch, Reset(REMOVED, Cursor(epoch, 0)) if unannounced else None)

    def _change(self, control: Control) -> None:
        self.tail.position = control.position
        if control.change is not Change.END:
            self.generation = next(_generations)
        if not self.tail.scope.stream:
            self.tail.forget(control)
        elif control.change is Change.CLEAR:
            self._restart(control.epoch, Reset(CLEARED, Cursor(control.epoch, 0)))
        elif control.change is Change.TRIM:
            self.tail.trim(control.oldest)
        elif control.epoch == self.tail.cursor.epoch and not self.over:
            self._end()

    def _look_again(self, control: Control) -> None:
        """The log has lost events that were told: whoever reads here compares its place with the log again."""
        if not self.tail.scope.stream:
            return
        for cohort in self._cohorts.values():
            cohort.drain()
        self.over = False
        self.generation = next(_generations)
        self.tail.stand_at(Cursor(control.epoch, control.oldest - 1, control.tag))
        for subscriber in list(self.subscribers):
            subscriber.look_again()
        for cohort in self._cohorts.values():
            cohort.restart(None)

    def _restart(self, epoch: str, notice: Reset | None) -> None:
        for cohort in self._cohorts.values():
            cohort.drain()
        self.over = False
        self.generation = next(_generations)
        self.tail.restart(epoch)
        for cohort in self._cohorts.values():
            cohort.restart(notice)

    def _end(self) -> None:
        self.over = True
        for cohort in list(self._cohorts.values()):
            self._finish(cohort)

    def _finish(self, cohort: Cohort) -> None:
        for member in cohort.finish(End(self.tail.cursor)):
            member.connection.ended(member)
