"""The contract of `read` and `read_all`: pages that chain, and what a reader is told when they cannot."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

from runcast.core.event import ANY_TAG, Cursor, Edge, cursor_of, id_tag
from runcast.errors import InvalidInput
from runcast.log.base import PAGE_MAX_BYTES, Gap
from runcast.log.conformance.support import (
    Support,
    new,
    numbers,
    raises,
    read_all_events,
    read_events,
    read_on,
    several,
)


class ReadingSuite(Support):
    """Every reader goes on exactly after its cursor, or is told what it has missed."""

    # --- one stream --------------------------------------------------------------------------

    def test_a_stream_is_read_in_pages(self) -> None:
        self.log.append(several(25))
        pages = read_on(lambda cursor: self.log.read("session:a", cursor, limit=10))
        assert [(page.first, page.last, page.head) for page in pages] == [
            (0, 10, 25),
            (10, 20, 25),
            (20, 25, 25),
        ]
        assert numbers(event for page in pages for event in page.events) == list(range(1, 26))
        for page in pages:
            assert page.cursor == cursor_of(page.events[-1])
            assert (page.oldest, page.over, page.reset, page.gap) == (1, False, None, None)

    def test_a_page_at_the_head_is_empty_and_stays_there(self) -> None:
        self.log.append(several(3))
        cursor = self.log.read("session:a").cursor
        page = self.log.read("session:a", cursor)
        assert (page.events, page.first, page.last, page.complete) == ([], 3, 3, True)
        assert page.cursor == cursor

    def test_reading_goes_on_from_a_place_that_was_computed(self) -> None:
        self.log.append([*several(10), *several(10, stream="chat:a")])
        epoch = self.log.info("session:a").epoch
        for seq in (0, 1, 4, 9, 10):
            page = self.log.read("session:a", Cursor(epoch, seq, ANY_TAG))
            assert (numbers(page.events), page.reset) == (list(range(seq + 1, 11)), None)
        everything = self.log.read_all().events
        for index, event in enumerate(everything):
            page = self.log.read_all(None, Cursor(self.log.epoch, event.position, ANY_TAG))
            assert (page.events, page.reset) == (everything[index + 1 :], None)
        assert self.log.read("session:a", Cursor(epoch, 11, ANY_TAG)).reset

    def test_a_page_has_256_events_at_most(self) -> None:
        self.log.append(several(300))
        assert len(self.log.read("session:a").events) == 256
        for limit in (0, 257):
            with raises(InvalidInput):
                self.log.read("session:a", limit=limit)
            with raises(InvalidInput):
                self.log.read_all(limit=limit)

    def test_a_page_has_256_kib_at_most_but_one_event(self) -> None:
        sizes = [PAGE_MAX_BYTES // 2, PAGE_MAX_BYTES // 2, 10, PAGE_MAX_BYTES + 5, 10]
        self.log.append([new(data=b'{"x":"' + b"a" * (size - 8) + b'"}') for size in sizes])
        pages = read_on(lambda cursor: self.log.read("session:a", cursor))
        assert [[len(event.data) for event in page.events] for page in pages] == [
            sizes[:2],
            [10],
            [sizes[3]],
            [10],
        ]
        assert [page.complete for page in pages] == [False, False, False, True]
        pages = read_on(lambda cursor: self.log.read_all(None, cursor))
        assert [[len(event.data) for event in page.events] for page in pages] == [
            sizes[:2],
            [10],
            [sizes[3]],
            [10],
        ]

    def test_until_hides_what_came_later(self) -> None:
        first = self.log.append(several(5))
        self.log.append([new(6, stream="chat:b")])
        self.log.append(several(5, first=6))
        until = first[-1].position
        page = self.log.read("session:a", limit=3, until=until)
        assert (numbers(page.events), page.head, page.complete) == ([1, 2, 3], 5, False)
        page = self.log.read("session:a", page.cursor, until=until)
        assert (numbers(page.events), page.head, page.complete) == ([4, 5], 5, True)
        page = self.log.read("session:a", page.cursor, until=until)
        assert (page.events, page.last, page.complete) == ([], 5, True)
        assert (self.log.read("session:a", until=first[0].position - 1)).head == 0

    def test_a_reader_who_is_beyond_until_stays_there(self) -> None:
        appended = self.log.append(several(5))
        cursor = self.log.read("session:a").cursor
        page = self.log.read("session:a", cursor, until=appended[2].position)
        assert (page.events, page.cursor, page.reset, page.complete) == ([], cursor, None, True)

    def test_an_earlier_run_is_read_to_its_end(self) -> None:
        self.log.append([new(1), new(2), new(3, edge=Edge.TERMINAL)])
        cursor = self.log.read("session:a", limit=1).cursor
        self.log.append([new(4, edge=Edge.START)])
        page = self.log.read("session:a", cursor, limit=1)
        assert (numbers(page.events), page.over) == ([2], False)
        page = self.log.read("session:a", page.cursor)
        assert (numbers(page.events), page.over, page.epoch) == ([3], True, cursor.epoch)
        assert numbers(read_events(self.log, "session:a")) == [4]

    def test_a_run_is_over_when_it_is_sealed_and_not_before(self) -> None:
        self.log.append([new(1), new(2, edge=Edge.TERMINAL)])
        assert not self.log.read("session:a").over
        before = self.log.head().offset
        self.log.end("session:a")
        assert self.log.read("session:a").over
        assert not self.log.read("session:a", limit=1).over
        assert not self.log.read("session:a", until=before).over

    def test_a_cursor_of_no_run_begins_anew(self) -> None:
        self.log.append(several(3))
        self.log.append([new(1, stream="session:b")])
        page = self.log.read("session:a", limit=2)
        of_another = self.log.read("session:b").cursor
        for cursor in (
            Cursor("0123456789abcdef", 2, page.tag),
            Cursor(page.epoch, 4),
            Cursor(page.epoch, 2, page.tag ^ 1),
            of_another,
        ):
            anew = self.log.read("session:a", cursor)
            assert anew.reset
            assert (anew.first, numbers(anew.events), anew.epoch) == (0, [1, 2, 3], page.epoch)

    def test_a_cursor_from_before_a_clear_begins_anew(self) -> None:
        self.log.append(several(3))
        cursor = self.log.read("session:a", limit=1).cursor
        self.log.clear("session:a")
        page = self.log.read("session:a", cursor)
        assert page.reset
        assert (page.events, page.first, page.last, page.head, page.oldest) == ([], 0, 0, 0, 1)
        self.log.append([new(4)])
        assert numbers(read_events(self.log, "session:a", page.cursor)) == [4]

    def test_a_cursor_before_what_is_kept_is_told_of_a_gap(self) -> None:
        self.log.append(several(10))
        cursor = self.log.read("session:a", limit=2).cursor
        self.log.trim("session:a", keep=4)
        page = self.log.read("session:a", cursor)
        assert (page.gap, page.reset, page.first, page.oldest) == (Gap(3, 6), None, 6, 7)
        assert numbers(page.events) == [7, 8, 9, 10]
        assert self.log.read("session:a").gap == Gap(1, 6)
        at_the_edge = self.log.read("session:a", limit=1, after=Cursor(page.epoch, 6))
        assert (at_the_edge.gap, numbers(at_the_edge.events)) == (None, [7])

    def test_a_stream_that_does_not_exist_has_an_empty_page(self) -> None:
        page = self.log.read("session:none")
        assert (page.epoch, page.events, page.head, page.last, page.reset) == ("", [], 0, 0, None)
        assert not page.over
        assert page.complete
        assert self.log.read("session:none", Cursor("0123456789abcdef", 3)).reset

    def test_who_came_before_the_stream_did_misses_nothing(self) -> None:
        cursor = self.log.read("session:a").cursor
        self.log.append(several(3))
        page = self.log.read("session:a", cursor)
        assert (page.reset, page.gap, numbers(page.events)) == (None, None, [1, 2, 3])

    # --- the firehose ------------------------------------------------------------------------

    def test_the_firehose_is_in_commit_order(self) -> None:
        batches = [
            [new(1), new(2, stream="chat:b"), new(3, stream="task:c")],
            [new(4, stream="chat:b"), new(5)],
        ]
        for batch in batches:
            for each in [batch] if self.orders_batches else [[event] for event in batch]:
                self.log.append(each)
        events = read_all_events(self.log, limit=2)
        assert numbers(events) == [1, 2, 3, 4, 5]
        assert [event.stream for event in events] == ["session:a", "chat:b", "task:c", "chat:b", "session:a"]
        assert [event.seq for event in events] == [1, 1, 1, 2, 2]

    def test_a_firehose_may_be_of_one_kind(self) -> None:
        self.log.append(
            [new(n, stream=f"{kind}:a") for n, kind in enumerate(["chat", "task", "chats", "chat"])]
        )
        assert numbers(read_all_events(self.log, "chat")) == [0, 3]
        assert numbers(read_all_events(self.log, "chat", limit=1)) == [0, 3]
        assert read_all_events(self.log, "plan") == []

    def test_a_firehose_counts_positions(self) -> None:
        appended = self.log.append(several(3))
        page = self.log.read_all(limit=2)
        assert (page.epoch, page.last, page.tag) == (
            self.log.epoch,
            appended[1].position,
            id_tag(appended[1].id),
        )
        assert page.head == appended[2].position
        assert numbers(self.log.read_all(None, page.cursor).events) == [3]

    def test_a_firehose_gets_on_where_nothing_is_for_it(self) -> None:
        self.log.append(several(3))
        self.log.end("session:a")
        page = read_on(lambda cursor: self.log.read_all("chat", cursor))[-1]
        assert (page.events, page.cursor) == ([], self.log.head())
        self.log.append([new(4, stream="chat:b")])
        assert numbers(self.log.read_all("chat", page.cursor).events) == [4]

    def test_a_firehose_knows_until(self) -> None:
        first = self.log.append([new(1), new(2, stream="chat:b")])
        self.log.append(several(3, first=3))
        page = self.log.read_all(until=first[-1].position)
        assert (numbers(page.events), page.head, page.complete) == ([1, 2], first[-1].position, True)

    def test_a_firehose_leaves_out_what_is_gone(self) -> None:
        self.log.append([new(1), new(2), new(3), new(4, stream="chat:b")])
        cursor = self.log.read_all(limit=1).cursor
        self.log.trim("session:a", keep=1)
        assert numbers(self.log.read_all(None, cursor).events) == [3, 4]
        self.log.clear("session:a")
        page = self.log.read_all(None, cursor)
        assert (numbers(page.events), page.reset, page.gap) == ([4], None, None)

    def test_a_firehose_keeps_earlier_runs(self) -> None:
        self.log.append([new(1, edge=Edge.TERMINAL), new(2, edge=Edge.START)])
        assert numbers(read_all_events(self.log)) == [1, 2]

    def test_a_cursor_of_another_firehose_begins_anew(self) -> None:
        self.log.append(several(3))
        page = self.log.read_all(limit=2)
        for cursor in (
            Cursor("0123456789abcdef", 2, page.tag),
            Cursor(page.epoch, self.log.head().offset + 1, 7),
            Cursor(page.epoch, page.last, page.tag ^ 0x5555),
        ):
            anew = self.log.read_all(None, cursor)
            assert anew.reset
            assert (anew.first, numbers(anew.events)) == (0, [1, 2, 3])

    def test_the_head_is_where_a_firehose_is_complete(self) -> None:
        assert self.log.head() == Cursor(self.log.epoch, 0, 0)
        (appended,) = self.log.append([new(1)])
        assert self.log.head() == Cursor(self.log.epoch, appended.position, id_tag(appended.id))
        self.log.end("session:a")
        head = self.log.head()
        assert head.offset > appended.position
        page = self.log.read_all(None, head)
        assert (page.events, page.reset, page.complete) == ([], None, True)
