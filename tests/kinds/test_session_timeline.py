"""The timeline: the same for the same events in any order, never long, and nothing gets lost."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import NOW_US, PURE

from runcast.core.event import MICROSECONDS, format_time
from runcast.kinds.session_timeline import MAX_BUCKETS, Timeline


def timeline(*seconds: float) -> Timeline:
    made = Timeline()
    for at_s in seconds:
        made.add(NOW_US + round(at_s * MICROSECONDS), error=at_s == 0, tokens=10, api_tokens=3)
    return made


def test_nothing_yet() -> None:
    assert timeline().document(by_api=False) is None


def test_a_stretch_for_each_second_while_they_suffice() -> None:
    assert timeline(0, 0.5, 2).document(by_api=False) == {
        "start": format_time(NOW_US),
        "width_seconds": 1,
        "events": [2, 0, 1],
        "errors": [1, 0, 0],
        "tokens": [20, 0, 10],
    }
    assert (timeline(0).document(by_api=True) or {})["tokens"] == [3]
    assert len(timeline(0, MAX_BUCKETS - 1).events) == MAX_BUCKETS


def test_stretches_double_when_they_do_not_suffice() -> None:
    made = timeline(0, MAX_BUCKETS)
    assert (made.width_s, sum(made.events), len(made.events)) == (2, 2, MAX_BUCKETS // 2 + 1)
    made = timeline(0, 86_400 * 30)
    assert (made.width_s, made.events[0], made.events[-1], sum(made.events)) == (16_384, 1, 1, 2)


def test_what_is_told_late_goes_before() -> None:
    made = timeline(5, 2)
    assert made.events == [1, 0, 0, 1]
    assert (made.document(by_api=False) or {})["start"] == format_time(NOW_US + 2 * MICROSECONDS)


@PURE
@given(st.lists(st.integers(-(10**6), 10**6) | st.integers(0, 300), min_size=1, max_size=60), st.randoms())
def test_in_any_order_it_is_the_same(seconds: list[int], random: Random) -> None:
    made = timeline(*seconds)
    shuffled = list(seconds)
    random.shuffle(shuffled)
    assert timeline(*shuffled) == made
    assert len(made.events) == len(made.errors) == len(made.tokens) == len(made.api_tokens) <= MAX_BUCKETS
    assert (sum(made.events), sum(made.tokens)) == (len(seconds), 10 * len(seconds))
    assert made.events[0] > 0 < made.events[-1]
    start_s = NOW_US // MICROSECONDS
    for at_s in seconds:
        assert made.events[(start_s + at_s) // made.width_s - made.first] > 0
    if made.width_s > 1:
        half = made.width_s // 2
        assert (start_s + max(seconds)) // half - (start_s + min(seconds)) // half >= MAX_BUCKETS


def test_sums_stay_where_every_reader_can_read_them() -> None:
    made = Timeline()
    for at_s in (0, 0, 1, 500):
        made.add(NOW_US + at_s * MICROSECONDS, error=False, tokens=2**53 - 1, api_tokens=2**53 - 1)
    assert max(made.tokens) == 2**53 - 1
