"""The contract of `watch`: everything that is committed, by anyone, in position order."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

from runcast.core.event import Edge
from runcast.log.base import Change, Control
from runcast.log.conformance.support import (
    HOUR_US,
    Heard,
    Support,
    controls_of,
    events_of,
    new,
    numbers,
    read_all_events,
    several,
)


class WatchingSuite(Support):
    """Who watches gets the firehose as it happens, and what else happens to streams."""

    def test_a_watcher_hears_of_every_event(self) -> None:
        heard = Heard()
        self.log.watch(heard)
        for number in range(1, 20):
            self.log.append([new(number), new(number, stream="chat:b")])
        assert heard.until(self.log.head().offset) == read_all_events(self.log)

    def test_a_watcher_hears_of_what_comes_from_now_on(self) -> None:
        self.log.append(several(3))
        heard = Heard()
        self.log.watch(heard)
        self.log.append([new(4)])
        assert numbers(events_of(heard.until(self.log.head().offset))) == [4]

    def test_a_repeated_event_is_not_heard_again(self) -> None:
        heard = Heard()
        self.log.watch(heard)
        self.log.append([new(1, event_id="x"), new(2, event_id="x")])
        self.log.append([new(3, event_id="x"), new(4)])
        assert numbers(events_of(heard.until(self.log.head().offset))) == [1, 4]

    def test_changes_are_heard_in_order_with_events(self) -> None:
        heard = Heard()
        self.log.watch(heard)
        self.log.append(several(5))
        first = self.log.info("session:a").epoch
        self.log.trim("session:a", keep=2)
        self.log.end("session:a")
        self.log.end("session:a")
        second = self.log.append([new(6)])[0].epoch
        third = self.log.clear("session:a").epoch
        self.log.append([new(7)])
        records = heard.until(self.log.head().offset)
        positions = [record.position for record in records]
        assert positions == sorted(set(positions))
        changes = controls_of(records)
        assert [(each.change, each.epoch, each.oldest) for each in changes] == [
            (Change.TRIM, first, 4),
            (Change.END, first, 4),
            (Change.CLEAR, third, 1),
        ]
        kinds = [isinstance(record, Control) for record in records]
        assert kinds == [False] * 5 + [True, True, False, True, False]
        assert [event.epoch for event in events_of(records)] == [first] * 5 + [second, third]

    def test_a_new_run_says_that_the_old_one_is_over(self) -> None:
        heard = Heard()
        self.log.watch(heard)
        first, second = self.log.append([new(1, edge=Edge.TERMINAL), new(2, edge=Edge.START)])
        records = heard.until(self.log.head().offset)
        assert [record.position for record in records][0::2] == [first.position, second.position]
        end = records[1]
        assert isinstance(end, Control)
        assert (end.change, end.epoch, end.stream) == (Change.END, first.epoch, "session:a")

    def test_a_run_that_was_sealed_is_not_ended_twice(self) -> None:
        heard = Heard()
        self.log.watch(heard)
        self.log.append([new(1, edge=Edge.TERMINAL)])
        self.log.end("session:a")
        self.log.append([new(2, edge=Edge.START)])
        assert len(controls_of(heard.until(self.log.head().offset))) == 1

    def test_a_stream_that_sweep_removes_is_ended(self) -> None:
        self.log.append([new(1)])
        epoch = self.log.info("session:a").epoch
        heard = Heard()
        self.log.watch(heard)
        self.clock.advance(3600)
        while self.log.sweep(idle_since=self.clock.now):
            pass
        (last,) = self.log.append([new(2)])
        (end,) = controls_of(heard.until(last.position))
        assert (end.change, end.epoch) == (Change.END, epoch)

    def test_a_watch_can_be_ended(self) -> None:
        stays, leaves = Heard(), Heard()
        self.log.watch(stays)
        leave = self.log.watch(leaves)
        self.log.append([new(1)])
        leaves.until(self.log.head().offset)
        leave()
        leave()
        self.log.append([new(2)])
        assert len(stays.until(self.log.head().offset)) == 2
        assert len(leaves.records) == 1

    def test_a_watcher_that_fails_harms_nobody(self) -> None:
        def fail(_: object) -> None:
            raise ValueError("a fault of the watcher's, on purpose")

        heard = Heard()
        self.log.watch(fail)
        self.log.watch(heard)
        self.log.append([new(1)])
        self.log.append([new(2)])
        assert numbers(events_of(heard.until(self.log.head().offset))) == [1, 2]

    def test_two_openings_hear_of_each_other_in_one_order(self) -> None:
        other = self.make_other(self.clock)
        if other is None:
            return
        try:
            here, there = Heard(), Heard()
            self.log.watch(here)
            other.watch(there)
            futures = [
                log.append_soon([new(number, stream=stream)])
                for number in range(100)
                for log, stream in ((self.log, "session:a"), (other, "session:a"), (other, "session:b"))
            ]
            for future in futures:
                future.result()
            other.trim("session:a", keep=50)
            self.log.end("session:b")
            head = self.log.head()
            assert head == other.head()
            assert here.until(head.offset) == there.until(head.offset)
            assert len(events_of(here.records)) == 300
            assert self.log.statistics().foreign_events == 200
        finally:
            other.close()

    def test_an_opening_sees_the_streams_as_the_other_left_them(self) -> None:
        other = self.make_other(self.clock)
        if other is None:
            return
        try:
            self.log.append([new(1), new(2, event_id="x")])
            assert other.append([new(3), new(4, event_id="x")])[0].seq == 3
            other.clear("session:a")
            (appended,) = self.log.append([new(5, event_id="x")])
            assert (appended.seq, appended.epoch) == (1, other.info("session:a").epoch)
            self.clock.advance(3600)
            while other.sweep(idle_since=self.clock.now + HOUR_US):
                pass
            assert self.log.append([new(6, event_id="x")])[0].seq == 1
        finally:
            other.close()
