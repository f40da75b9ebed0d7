"""The reader's state machine by itself: what it is told, what it tells, and what it refuses to believe."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import PURE

from runcast.core.event import Cursor, Event, cursor_of
from runcast.core.page import Gap, Page
from runcast.core.subscription import Missing, Reset, State, Subscription

EPOCH = "00112233445566aa"
OTHER = "00112233445566bb"


def page(first: int, last: int, *, epoch: str = EPOCH, **fields: Any) -> Page:
    events = [
        Event("job:x", epoch, seq, seq, f"e{seq}", "step", 0, b"{}") for seq in range(first + 1, last + 1)
    ]
    tag = cursor_of(events[-1]).tag if events else 0
    whole: dict[str, Any] = {"head": last, "oldest": 1, **fields}
    return Page(epoch, events, first, last, tag, **whole)


def test_it_stands_after_each_page() -> None:
    reader = Subscription(None)
    assert reader.receive_page(page(0, 3)) == []
    assert reader.receive_page(page(3, 5)) == []
    assert reader.cursor is not None
    assert (reader.cursor.epoch, reader.cursor.offset) == (EPOCH, 5)
    assert reader.state is State.CATCHING_UP


def test_a_page_that_does_not_follow_is_not_believed() -> None:
    reader = Subscription(Cursor(EPOCH, 3))
    for wrong in (page(4, 6), page(2, 6), page(3, 6, epoch=OTHER)):
        with pytest.raises(ValueError, match="does not follow"):
            reader.receive_page(wrong)


def test_a_reset_is_told_and_followed() -> None:
    reader = Subscription(Cursor(EPOCH, 3))
    assert reader.receive_page(page(0, 2, epoch=OTHER, reset="why")) == [Reset("why", Cursor(OTHER, 0))]
    assert reader.cursor is not None
    assert reader.cursor.epoch == OTHER


def test_a_gap_is_told_with_its_bounds() -> None:
    reader = Subscription(Cursor(EPOCH, 3))
    notices = reader.receive_page(page(7, 9, oldest=8, gap=Gap(4, 7)))
    assert notices == [Missing(4, 7, Cursor(EPOCH, 7))]


def test_it_joins_only_where_it_stands() -> None:
    reader = Subscription(None)
    reader.receive_page(page(0, 3))
    for elsewhere in (Cursor(EPOCH, 2), Cursor(EPOCH, 4), Cursor(OTHER, 3)):
        assert not reader.can_join(elsewhere)
        with pytest.raises(ValueError, match="cannot join"):
            reader.join(elsewhere)
    reader.join(Cursor(EPOCH, 3))
    assert reader.state is State.LIVE


def test_it_leaves_where_its_cohort_stands_and_reads_on_there() -> None:
    reader = Subscription(None)
    reader.receive_page(page(0, 3))
    reader.join(Cursor(EPOCH, 3))
    reader.leave(Cursor(EPOCH, 8))
    assert reader.state is State.CATCHING_UP
    reader.receive_page(page(8, 9))


def test_it_ends_by_a_page_or_while_live_and_does_nothing_more() -> None:
    by_page = Subscription(None)
    by_page.receive_page(page(0, 3, over=True))
    live = Subscription(None)
    live.receive_page(page(0, 3))
    live.join(Cursor(EPOCH, 3))
    live.end(Cursor(EPOCH, 5))
    for reader in (by_page, live):
        assert reader.state is State.ENDED
        assert not reader.can_join(Cursor(EPOCH, 3))
        with pytest.raises(ValueError, match="ended"):
            reader.receive_page(page(3, 4))


def test_what_makes_no_sense_in_a_state_is_refused() -> None:
    reader = Subscription(None)
    with pytest.raises(ValueError, match="not live"):
        reader.leave(Cursor(EPOCH, 0))
    with pytest.raises(ValueError, match="not live"):
        reader.end(Cursor(EPOCH, 0))
    reader.receive_page(page(0, 0))
    reader.join(Cursor(EPOCH, 0))
    with pytest.raises(ValueError, match="not catching_up"):
        reader.receive_page(page(0, 1))


def test_a_reader_of_a_stream_that_begins_after_it_needs_no_reset() -> None:
    reader = Subscription(None)
    reader.receive_page(Page("", [], 0, 0, 0, 0, 0))
    assert reader.receive_page(page(0, 2)) == []


@PURE
@given(st.lists(st.integers(0, 5), max_size=20), st.data())
def test_however_it_switches_it_is_given_each_event_once(steps: list[int], data: st.DataObject) -> None:
    """Pages, ring and live in any order: the stretches that it was given join without overlap or hole."""
    reader, given_up_to = Subscription(None), 0
    reader.receive_page(page(0, 0))
    for count in steps:
        reach = given_up_to + count
        way = data.draw(st.sampled_from(["page", "ring", "live"]))
        if way == "page":
            reader.receive_page(page(given_up_to, reach))
        elif way == "ring":
            reader.receive_recent(Cursor(EPOCH, reach))
        else:
            reader.join(Cursor(EPOCH, given_up_to))
            reader.leave(Cursor(EPOCH, reach))
        given_up_to = reach
        assert reader.cursor is not None
        assert reader.cursor.offset == given_up_to
