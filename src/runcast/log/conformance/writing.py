"""The contract of `append` and `append_soon`: numbers, repetition, runs, order."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

import threading
from concurrent.futures import Future

from runcast.core.event import Edge
from runcast.errors import LogClosed
from runcast.log.base import Appended
from runcast.log.conformance.support import (
    WAIT_S,
    Support,
    new,
    numbers,
    raises,
    read_all_events,
    read_events,
    several,
)


class WritingSuite(Support):
    """What an append does, and what it answers."""

    def test_events_are_numbered_from_one_in_each_stream(self) -> None:
        batch = [new(1), new(2, stream="chat:b"), new(3)]
        appended = self.log.append(batch)
        assert [each.seq for each in appended] == [1, 1, 2]
        assert [each.stream for each in appended] == ["session:a", "chat:b", "session:a"]
        assert self.log.append([new(4)])[0].seq == 3

    def test_positions_grow_over_the_whole_log(self) -> None:
        appended = self.log.append([new(1), new(2, stream="chat:b")]) + self.log.append([new(3)])
        positions = [each.position for each in appended]
        assert positions == sorted(set(positions))
        assert positions[0] > 0

    def test_what_is_stored_is_what_is_read(self) -> None:
        data = '{"text":"Grüße \\u0000 \\"🎉\\" ,;[]"}'.encode()
        batch = [new(data=data, event_type="tool, 'use' ☂", event_id="id 'é'")]
        (appended,) = self.log.append(batch)
        (event,) = self.log.read("session:a").events
        assert (event.data, event.type, event.id, event.time) == (
            data,
            batch[0].type,
            "id 'é'",
            batch[0].time,
        )
        assert (event.epoch, event.seq, event.position) == (appended.epoch, appended.seq, appended.position)

    def test_an_event_without_an_id_gets_one(self) -> None:
        first, second = self.log.append(several(2))
        assert first.id
        assert second.id
        assert first.id != second.id
        assert [event.id for event in read_events(self.log, "session:a")] == [first.id, second.id]

    def test_an_empty_batch_changes_nothing(self) -> None:
        assert self.log.append([]) == []
        assert self.log.head().offset == 0

    def test_an_id_is_stored_once(self) -> None:
        (first,) = self.log.append([new(1, event_id="x")])
        (second,) = self.log.append([new(2, event_id="x", event_type="other")])
        assert second == Appended("session:a", first.epoch, 1, first.position, "x", duplicate=True)
        assert numbers(read_events(self.log, "session:a")) == [1]

    def test_an_id_is_stored_once_within_a_batch(self) -> None:
        first, second, third = self.log.append([new(1, event_id="x"), new(2, event_id="x"), new(3)])
        assert (first.duplicate, second.duplicate, third.duplicate) == (False, True, False)
        assert (first.seq, second.seq, third.seq) == (1, 1, 2)

    def test_an_id_may_be_in_two_streams(self) -> None:
        batch = [new(1, event_id="x"), new(2, event_id="x", stream="session:b")]
        assert [each.duplicate for each in self.log.append(batch)] == [False, False]

    def test_an_id_of_an_earlier_run_is_known(self) -> None:
        first, _ = self.log.append([new(1, event_id="x"), new(2, edge=Edge.TERMINAL)])
        self.log.append([new(3, edge=Edge.START)])
        (again,) = self.log.append([new(4, event_id="x")])
        assert again.duplicate
        assert (again.epoch, again.seq, again.position) == (first.epoch, 1, first.position)

    def test_a_repeated_event_does_not_open_a_run_after_end(self) -> None:
        self.log.append([new(1, event_id="x")])
        self.log.end("session:a")
        (again,) = self.log.append([new(2, event_id="x")])
        assert again.duplicate
        assert self.log.info("session:a").ended

    def test_an_id_that_was_cleared_or_trimmed_is_free_again(self) -> None:
        self.log.append([new(1, event_id="x"), new(2, event_id="y")])
        self.log.trim("session:a", keep=1)
        again, known = self.log.append([new(3, event_id="x"), new(4, event_id="y")])
        assert (again.duplicate, known.duplicate, again.seq) == (False, True, 3)
        self.log.clear("session:a")
        assert not self.log.append([new(5, event_id="y")])[0].duplicate

    def test_a_start_after_the_end_opens_a_run(self) -> None:
        first, last, second = self.log.append(
            [new(1, edge=Edge.START), new(2, edge=Edge.TERMINAL), new(3, edge=Edge.START)]
        )
        assert first.epoch == last.epoch != second.epoch
        assert (last.seq, second.seq) == (2, 1)
        assert numbers(read_events(self.log, "session:a")) == [3]

    def test_a_start_in_a_run_that_goes_on_opens_none(self) -> None:
        first, second = self.log.append([new(1, edge=Edge.START), new(2, edge=Edge.START)])
        assert (second.epoch, second.seq) == (first.epoch, 2)

    def test_what_comes_after_a_terminal_event_belongs_to_its_run(self) -> None:
        batch = [new(1), new(2, edge=Edge.TERMINAL), new(3, edge=Edge.TERMINAL), new(4)]
        appended = self.log.append(batch)
        assert len({each.epoch for each in appended}) == 1
        assert [each.seq for each in appended] == [1, 2, 3, 4]
        assert not self.log.info("session:a").ended

    def test_a_terminal_event_is_remembered_between_commits(self) -> None:
        self.log.append([new(1, edge=Edge.TERMINAL)])
        self.log.append([new(2)])
        assert self.log.append([new(3, edge=Edge.START)])[0].seq == 1

    def test_any_event_opens_a_run_after_end(self) -> None:
        (first,) = self.log.append([new(1)])
        self.log.end("session:a")
        (second,) = self.log.append([new(2)])
        assert second.epoch != first.epoch
        assert second.seq == 1

    def test_batches_of_one_thread_keep_their_order(self) -> None:
        batches = [several(5, first=first) for first in range(1, 500, 5)]
        futures = [self.log.append_soon(batch) for batch in batches]
        appended = [each for future in futures for each in future.result(WAIT_S)]
        assert [each.seq for each in appended] == list(range(1, 501))
        assert numbers(read_events(self.log, "session:a")) == list(range(1, 501))

    def test_many_threads_share_one_order(self) -> None:
        futures: list[Future[list[Appended]]] = []

        def publish(thread: int) -> None:
            futures.extend(
                self.log.append_soon([new(1000 * thread + number), new(0, stream=f"chat:{thread}")])
                for number in range(50)
            )

        threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        appended = [each for future in futures for each in future.result(WAIT_S)]
        assert len({each.position for each in appended}) == 400
        events = read_events(self.log, "session:a")
        assert [event.seq for event in events] == list(range(1, 201))
        for thread in range(4):
            own = [number for number in numbers(events) if number // 1000 == thread]
            assert own == sorted(own)
        assert len(read_all_events(self.log)) == 400

    def test_an_append_is_seen_at_once(self) -> None:
        for number in range(1, 20):
            (appended,) = self.log.append([new(number)])
            assert self.log.head().offset == appended.position
            assert self.log.info("session:a").head == number

    def test_a_log_that_is_closed_does_nothing(self) -> None:
        self.log.append([new(1)])
        self.log.close()
        self.log.close()
        for call in (
            lambda: self.log.append([new(2)]),
            lambda: self.log.append_soon([new(2)]),
            lambda: self.log.read("session:a"),
            self.log.read_all,
            lambda: self.log.info("session:a"),
            lambda: self.log.end("session:a"),
            lambda: self.log.sweep(idle_since=0),
            lambda: self.log.watch(lambda _: None),
            lambda: self.log.acquire("runner", "me", 1),
        ):
            with raises(LogClosed):
                call()

    def test_close_finishes_what_is_queued(self) -> None:
        futures = [self.log.append_soon([new(number)]) for number in range(50)]
        self.log.close()
        assert [future.result(0)[0].seq for future in futures] == list(range(1, 51))

    def test_counters(self) -> None:
        self.log.append([new(1, event_id="x"), new(2, event_id="x"), new(3)])
        counted = self.log.statistics()
        assert (counted.appended_events, counted.duplicate_events, counted.commits) == (2, 1, 1)
        assert (counted.queued_events, counted.queued_bytes, counted.foreign_events) == (0, 0, 0)
