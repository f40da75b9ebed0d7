"""The contract of what is said of streams and done to whole ones: info, end, clear, trim, sweep."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

from runcast.core.event import Edge, cursor_of
from runcast.errors import InvalidInput, StreamNotFound
from runcast.log.base import Snapshot, StreamInfo
from runcast.log.conformance.support import (
    HOUR_US,
    Support,
    new,
    numbers,
    raises,
    read_all_events,
    read_events,
    several,
)


class StreamsSuite(Support):
    """A stream is what its current run is, until it is forgotten."""

    def test_info_says_where_the_current_run_is(self) -> None:
        begun = self.clock.now
        self.log.append(several(2))
        self.clock.advance(5)
        appended = self.log.append([new(3)])[0]
        info = self.log.info("session:a")
        assert info == StreamInfo(
            stream="session:a",
            epoch=appended.epoch,
            head=3,
            oldest=1,
            tag=info.tag,
            ended=False,
            created=begun,
            updated=self.clock.now,
            position=appended.position,
            latest=appended.position,
        )
        assert info.cursor == cursor_of(self.log.read("session:a").events[-1])

    def test_info_of_a_stream_that_does_not_exist(self) -> None:
        position = self.log.append([new(1)])[0].position
        info = self.log.info("session:none")
        assert info == StreamInfo(
            "session:none", "", 0, 0, 0, ended=False, created=0, updated=0, position=position
        )

    def test_streams_are_listed_by_name(self) -> None:
        names = ["chat:b", "session:a", "session:b", "chat:a", "chats:a"]
        self.log.append([new(stream=name) for name in names])
        assert [info.stream for info in self.log.streams()] == sorted(names)
        assert [info.stream for info in self.log.streams("chat")] == ["chat:a", "chat:b"]
        assert [info.stream for info in self.log.streams(after="chat:b", limit=2)] == ["chats:a", "session:a"]
        assert [info.stream for info in self.log.streams("session", after="session:a")] == ["session:b"]
        assert self.log.streams("plan") == []
        assert self.log.streams()[0] == self.log.info("chat:a")
        for limit in (0, 1_001):
            with raises(InvalidInput):
                self.log.streams(limit=limit)

    # --- recent ------------------------------------------------------------------------------

    def test_recent_streams_come_first(self) -> None:
        for name in ("session:a", "chat:a", "session:b", "sessions:c", "session:a"):
            self.log.append([new(stream=name)])
        assert self._recent() == ["session:a", "sessions:c", "session:b", "chat:a"]
        assert self._recent("session") == ["session:a", "session:b"]
        assert self._recent("plan") == []
        assert self.log.recent()[0] == self.log.info("session:a")
        for limit in (0, 1_001):
            with raises(InvalidInput):
                self.log.recent(limit=limit)

    def test_recent_streams_come_in_pages(self) -> None:
        batch = [new(stream=f"session:{number}") for number in range(10)]
        for each in [batch] if self.orders_batches else [[event] for event in batch]:
            self.log.append(each)
        pages: list[StreamInfo] = self.log.recent("session", limit=3)
        while some := self.log.recent("session", pages[-1].latest, limit=3):
            pages += some
        assert [info.stream for info in pages] == [f"session:{number}" for number in reversed(range(10))]
        assert [info.latest for info in pages] == sorted({info.latest for info in pages}, reverse=True)

    def test_what_is_said_to_a_stream_moves_it_and_what_is_done_to_it_does_not(self) -> None:
        for name in ("session:a", "session:b", "session:c"):
            self.log.append(several(3, stream=name))
        self.log.append([new(1, stream="session:a", event_id="x")])
        self.log.append([new(1, stream="session:b")])
        self.log.append([new(1, stream="session:a", event_id="x")])
        self.log.end("session:c")
        self.log.trim("session:c", keep=1)
        assert self._recent() == ["session:b", "session:a", "session:c"]
        self.log.clear("session:c")
        assert self._recent() == ["session:c", "session:b", "session:a"]

    def test_only_the_current_run_is_recent(self) -> None:
        self.log.append([new(1, edge=Edge.TERMINAL)])
        self.log.append([new(2, edge=Edge.START)])
        assert self.log.recent() == [self.log.info("session:a")]
        self.clock.advance(3600)
        self._sweep(self.clock.now)
        assert self.log.recent() == []

    def _recent(self, kind: str | None = None) -> list[str]:
        return [info.stream for info in self.log.recent(kind)]

    # --- changes -----------------------------------------------------------------------------

    def test_only_a_stream_that_exists_can_be_changed(self) -> None:
        with raises(StreamNotFound):
            self.log.end("session:none")
        with raises(StreamNotFound):
            self.log.clear("session:none")
        with raises(StreamNotFound):
            self.log.trim("session:none", keep=1)

    def test_end_seals_the_run_once(self) -> None:
        self.log.append(several(2))
        info = self.log.end("session:a")
        assert (info.ended, info.head) == (True, 2)
        assert info == self.log.info("session:a")
        again = self.log.end("session:a")
        assert again == info
        self.log.append([new(3)])
        assert not self.log.info("session:a").ended

    def test_clear_forgets_every_run(self) -> None:
        self.log.append([new(1, edge=Edge.TERMINAL), new(2, edge=Edge.START), new(3)])
        before = self.log.info("session:a").epoch
        info = self.log.clear("session:a")
        assert (info.head, info.oldest, info.tag, info.ended) == (0, 1, 0, False)
        assert info.epoch not in {"", before}
        assert info == self.log.info("session:a")
        assert read_all_events(self.log) == []
        assert self.log.append([new(4)])[0].epoch == info.epoch
        assert numbers(read_events(self.log, "session:a")) == [4]

    def test_a_stream_can_be_cleared_again_and_again(self) -> None:
        self.log.append([new(1)])
        epochs = {self.log.clear("session:a").epoch for _ in range(3)}
        assert len(epochs) == 3
        assert self.log.info("session:a").head == 0

    def test_trim_keeps_the_newest(self) -> None:
        self.log.append(several(10))
        info = self.log.trim("session:a", keep=3)
        assert (info.head, info.oldest) == (10, 8)
        assert info == self.log.info("session:a")
        assert numbers(read_events(self.log, "session:a")) == [8, 9, 10]
        assert self.log.trim("session:a", keep=5) == info
        assert self.log.append([new(11)])[0].seq == 11
        with raises(InvalidInput):
            self.log.trim("session:a", keep=0)

    def test_trim_leaves_other_streams_and_runs_alone(self) -> None:
        self.log.append([new(1), new(2, edge=Edge.TERMINAL), new(3, stream="session:b")])
        self.log.append([new(4, edge=Edge.START), new(5)])
        self.log.trim("session:a", keep=1)
        assert numbers(read_all_events(self.log)) == [1, 2, 3, 5]

    # --- sweep -------------------------------------------------------------------------------

    def test_sweep_leaves_what_is_young(self) -> None:
        self.log.append([new(1, edge=Edge.TERMINAL), new(2, edge=Edge.START)])
        self._sweep(self.clock.now - HOUR_US)
        assert numbers(read_all_events(self.log)) == [1, 2]

    def test_sweep_removes_idle_streams(self) -> None:
        self.log.append(several(3))
        self.log.save_snapshot(
            "session:a", "status", 1, Snapshot(self.log.info("session:a").epoch, 3, 0, b"{}")
        )
        cursor = self.log.read("session:a").cursor
        self.clock.advance(3600)
        self.log.append([new(4, stream="session:b")])
        position = self.log.head().offset
        self._sweep(self.clock.now - 1)
        assert [info.stream for info in self.log.streams()] == ["session:b"]
        assert self.log.info("session:a").epoch == ""
        assert self.log.load_snapshot("session:a", "status", 1) is None
        assert numbers(read_all_events(self.log)) == [4]
        assert self.log.read("session:a", cursor).reset
        assert self.log.head().offset >= position
        with raises(StreamNotFound):
            self.log.end("session:a")

    def test_a_stream_that_was_removed_may_begin_again(self) -> None:
        (first,) = self.log.append([new(1, event_id="x")])
        self.clock.advance(3600)
        self._sweep(self.clock.now)
        (again,) = self.log.append([new(2, event_id="x")])
        assert (again.seq, again.duplicate) == (1, False)
        assert again.epoch != first.epoch
        assert again.position > first.position
        assert numbers(read_events(self.log, "session:a")) == [2]

    def test_sweep_removes_earlier_runs_of_a_living_stream(self) -> None:
        self.log.append([new(1), new(2, edge=Edge.TERMINAL, event_id="x")])
        self.clock.advance(3600)
        self.log.append([new(3, edge=Edge.START)])
        self._sweep(self.clock.now)
        assert numbers(read_all_events(self.log)) == [3]
        assert not self.log.append([new(4, event_id="x")])[0].duplicate

    def test_sweep_never_cuts_a_run_that_is_alive(self) -> None:
        self.log.append(several(3))
        self.clock.advance(3600)
        self.log.append([new(4)])
        self._sweep(self.clock.now)
        assert numbers(read_events(self.log, "session:a")) == [1, 2, 3, 4]

    def test_sweep_goes_in_bounded_steps(self) -> None:
        self.log.append(several(25))
        self.log.append(several(5, stream="session:b"))
        self.log.clear("session:a")
        self.log.trim("session:b", keep=1)
        steps = self._sweep(0, limit=10)
        assert len(steps) >= 3
        assert 29 <= sum(steps) <= 40
        assert numbers(read_all_events(self.log)) == [5]

    def test_a_clock_that_jumps_back_does_not_disturb_order(self) -> None:
        self.log.append(several(3))
        self.clock.advance(-3600)
        self.log.append(several(3, first=4))
        events = read_all_events(self.log)
        assert [event.seq for event in events] == [1, 2, 3, 4, 5, 6]
        assert numbers(events) == [1, 2, 3, 4, 5, 6]

    def _sweep(self, idle_since: int, limit: int = 1_000) -> list[int]:
        steps: list[int] = []
        while step := self.log.sweep(idle_since=idle_since, limit=limit):
            assert step <= limit
            steps.append(step)
        return steps
