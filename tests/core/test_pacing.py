"""Pacing: at once when idle, about half of the time in writing when busy."""

from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import PURE

from runcast.core.pacing import Pacing


def test_the_first_event_after_a_pause_goes_out_at_once():
    pacing = Pacing(window_s=0.05)
    assert pacing.delay(0.0) == 0.0
    pacing.flushed(0.0, 0.001)
    assert pacing.delay(10.0) == 0.0


def test_the_next_flush_waits_as_long_as_the_last_one_took():
    pacing = Pacing(window_s=0.05)
    pacing.flushed(1.0, 1.020)
    assert abs(pacing.delay(1.020) - 0.020) < 1e-9


def test_but_no_longer_than_the_window():
    pacing = Pacing(window_s=0.05)
    pacing.flushed(1.0, 3.0)
    assert abs(pacing.delay(3.0) - 0.05) < 1e-9


def test_an_interval_is_counted_from_the_beginning_of_the_last_flush():
    pacing = Pacing(window_s=0.05, interval_s=1.0)
    assert pacing.delay(0.0) == 0.0
    pacing.flushed(5.0, 5.2)
    assert abs(pacing.delay(5.2) - 0.8) < 1e-9


def test_a_clock_that_stands_still_or_jumps_back_asks_for_no_wait():
    pacing = Pacing(window_s=0.05)
    pacing.flushed(5.0, 4.0)
    assert pacing.delay(5.0) == 0.0


@PURE
@given(
    window=st.floats(0, 1),
    interval=st.floats(0, 2),
    flushes=st.lists(st.floats(0, 5), min_size=1, max_size=20),
)
def test_under_full_load_at_most_half_of_the_time_is_writing_and_no_wait_is_long(
    window: float, interval: float, flushes: list[float]
):
    pacing, now = Pacing(window, interval), 100.0
    for took in flushes:
        began = now
        now += took
        pacing.flushed(began, now)
        wait = pacing.delay(now)
        assert wait <= max(window, interval) + 1e-9
        assert wait >= min(took, window) - 1e-9
        now += wait
        assert now - began >= interval - 1e-9
        assert pacing.delay(now) < 1e-9
