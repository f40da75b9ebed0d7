"""The tail against a plain list: what the ring still has it gives exactly, what it has not it does not guess."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support.strategies import make_event

from runcast.core import tail as tail_module
from runcast.core.event import Cursor, Event
from runcast.core.page import Change, Control
from runcast.core.scope import Scope
from runcast.core.tail import RING_MAX_BYTES, RING_MAX_EVENTS, Tail

MAX_EVENTS, MAX_BYTES = 6, 3_000
LOG_EPOCH = "f" * 16


class TailMachine(RuleBasedStateMachine):
    """One tail with small bounds, and everything that was ever pushed."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(tail_module, "RING_MAX_EVENTS", MAX_EVENTS)
        self.patch.setattr(tail_module, "RING_MAX_BYTES", MAX_BYTES)

    def teardown(self) -> None:
        self.patch.undo()

    @initialize(firehose=st.booleans(), begun=st.integers(0, 3))
    def begin(self, firehose: bool, begun: int) -> None:
        self.scope = Scope.firehose("session") if firehose else Scope.of_stream("session:s")
        self.position = begun * 10
        begin = Cursor(LOG_EPOCH, self.position) if firehose else Cursor("0" * 16, begun)
        self.tail = Tail(self.scope, begin, self.position, LOG_EPOCH)
        self.epoch = "0" * 16
        self.seq = begun
        self.begin_at = begin.offset
        self.events: list[Event] = []

    @rule(size=st.integers(0, 4_000), hole=st.integers(1, 4))
    def push(self, size: int, hole: int) -> None:
        self.seq += 1
        self.position += hole
        event = make_event(b"x" * size, seq=self.seq, position=self.position, epoch=self.epoch)
        assert self.tail.is_new(event)
        assert not self.tail.opens_epoch(event)
        self.tail.push(event)
        assert not self.tail.is_new(event)
        self.events.append(event)

    @rule()
    def restart(self) -> None:
        if not self.scope.stream:
            return
        self.epoch = f"{int(self.epoch, 16) + 1:016x}"
        assert self.tail.opens_epoch(make_event(epoch=self.epoch))
        self.tail.restart(self.epoch)
        self.seq = self.begin_at = 0
        self.events = []

    @rule(data=st.data())
    def read_between(self, data: st.DataObject) -> None:
        head = self.tail.cursor
        after = data.draw(st.integers(self.begin_at, head.offset))
        until = data.draw(st.integers(after, head.offset))
        got = self.tail.between(Cursor(head.epoch, after), Cursor(head.epoch, until))
        if got is None:
            assert after < self.kept_after()
        else:
            assert got == [e for e in self.events if after < self.scope.offset(e) <= until]

    @rule()
    def read_another_epoch(self) -> None:
        head = self.tail.cursor
        other = Cursor("e" * 16, head.offset)
        assert self.tail.between(other, head) is None
        assert self.tail.between(head, other) is None

    @invariant()
    def it_stands_at_the_last_event(self) -> None:
        last = self.events[-1] if self.events else None
        assert self.tail.position == self.position
        assert self.tail.cursor.offset == (self.scope.offset(last) if last else self.begin_at)
        if last:
            assert self.tail.cursor == self.scope.cursor(last, LOG_EPOCH)

    def kept_after(self) -> int:
        """The place after which the bounds leave room for every event (and for one, however large)."""
        size = 0
        for count, event in enumerate(reversed(self.events), start=1):
            size += event.size_bytes
            if count > MAX_EVENTS or (size > MAX_BYTES and count > 1):
                return self.scope.offset(event)
        return self.begin_at


TestTail = TailMachine.TestCase
TestTail.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_it_is_bounded_in_events_and_in_bytes():
    assert (RING_MAX_EVENTS, RING_MAX_BYTES) == (1_024, 1024 * 1024)
    tail = Tail(Scope.of_stream("session:s"), Cursor("0" * 16, 0), 0, LOG_EPOCH)
    for seq in range(1, 3_001):
        tail.push(make_event(b"x" * 900, seq=seq, epoch="0" * 16))
    until = tail.cursor
    assert tail.between(Cursor("0" * 16, 3_000 - 1_025), until) is None
    recent = tail.between(Cursor("0" * 16, 3_000 - 900), until)
    assert recent is not None
    assert [event.seq for event in recent] == list(range(2_101, 3_001))


def test_what_the_log_had_told_of_already_is_not_new():
    tail = Tail(Scope.of_stream("session:s"), Cursor("0" * 16, 4), 40, LOG_EPOCH)
    assert not tail.is_new(make_event(seq=4, position=40))
    assert not tail.is_new(Control("session:s", "0" * 16, 39, Change.END))
    assert tail.is_new(make_event(seq=5, position=41))
    assert tail.is_new(Control("session:s", "0" * 16, 41, Change.END))


def test_one_event_is_kept_however_large():
    tail = Tail(Scope.of_stream("session:s"), Cursor("0" * 16, 0), 0, LOG_EPOCH)
    small, large = (make_event(b"x" * size, seq=n, epoch="0" * 16) for n, size in enumerate([10, 2**21], 1))
    begin, middle = tail.cursor, tail.push(small)
    assert tail.between(begin, tail.push(large)) is None
    assert tail.between(middle, tail.cursor) == [large]
