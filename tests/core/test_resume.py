"""Where reading begins: exactly after what was seen, or with a word about what is missing."""

from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import PURE

from runcast.core.event import ANY_TAG, Cursor
from runcast.core.resume import Run, Start, resume

OLD = Run("a" * 16, oldest=1, head=7)
NOW = Run("b" * 16, oldest=1, head=5)
TRIMMED = Run("c" * 16, oldest=4, head=9)


def test_without_a_cursor_the_current_run_is_read_from_its_start():
    assert resume(None, None, NOW, None) == Start(NOW, 0)


def test_a_cursor_goes_on_after_the_event_it_has_seen():
    assert resume(Cursor(NOW.epoch, 3, 0xBEEF), NOW, NOW, 0xBEEF) == Start(NOW, 3)


def test_a_cursor_at_the_head_waits_there():
    assert resume(Cursor(NOW.epoch, 5, 1), NOW, NOW, 1) == Start(NOW, 5)


def test_a_place_that_was_computed_is_not_compared():
    assert resume(Cursor(NOW.epoch, 3, ANY_TAG), NOW, NOW, 0xBEEF) == Start(NOW, 3)


def test_an_earlier_run_that_is_kept_is_read_on():
    assert resume(Cursor(OLD.epoch, 2, 1), OLD, NOW, 1) == Start(OLD, 2)


def test_a_run_that_is_gone_begins_the_current_one_anew():
    start = resume(Cursor(OLD.epoch, 2, 1), None, NOW, None)
    assert (start.run, start.after) == (NOW, 0)
    assert start.reset
    assert "cleared or begun anew" in start.reset


def test_a_cursor_from_the_future_begins_anew():
    start = resume(Cursor(NOW.epoch, 6, 1), NOW, NOW, None)
    assert (start.run, start.after) == (NOW, 0)
    assert start.reset
    assert "6 > 5" in start.reset


def test_another_event_at_the_same_place_begins_anew():
    start = resume(Cursor(NOW.epoch, 3, 1), NOW, NOW, 2)
    assert (start.run, start.after) == (NOW, 0)
    assert start.reset
    assert "the event 3" in start.reset


def test_what_was_trimmed_is_named():
    assert resume(Cursor(TRIMMED.epoch, 1, 1), TRIMMED, TRIMMED, None) == Start(TRIMMED, 3, missing=(2, 3))


def test_the_last_event_before_the_trim_is_enough_to_miss_nothing():
    assert resume(Cursor(TRIMMED.epoch, 3, 1), TRIMMED, TRIMMED, None) == Start(TRIMMED, 3)


def test_the_start_of_a_trimmed_run_says_what_is_missing():
    assert resume(None, None, TRIMMED, None) == Start(TRIMMED, 3, missing=(1, 3))


def test_a_reader_who_came_before_the_first_event_has_missed_nothing():
    assert resume(Cursor("", 0), None, NOW, None) == Start(NOW, 0)
    assert resume(Cursor("", 0), None, TRIMMED, None) == Start(TRIMMED, 3, missing=(1, 3))


runs = st.builds(
    lambda epoch, oldest, kept: Run(epoch * 16, oldest, oldest + kept - 1),
    st.sampled_from("abc"),
    st.integers(1, 5),
    st.integers(0, 5),
)


@PURE
@given(st.none() | st.builds(Cursor, st.sampled_from(["a" * 16, "b" * 16]), st.integers(0, 12)), runs, runs)
def test_nothing_is_ever_left_out_without_a_word(cursor: Cursor | None, named: Run, current: Run):
    known = named if cursor is not None and named.epoch == cursor.epoch else None
    kept = known is not None and cursor is not None and known.oldest <= cursor.offset <= known.head
    start = resume(cursor, known, current, 0 if kept else None)
    assert start.run.oldest - 1 <= start.after <= start.run.head
    if start.reset is None and cursor is not None:
        assert start.run is known
        first_unseen = cursor.offset + 1
    else:
        assert start.run is current
        first_unseen = 1
    if start.after + 1 > first_unseen:
        assert start.missing == (first_unseen, start.after)
    else:
        assert start.missing is None
        assert start.after + 1 == first_unseen
