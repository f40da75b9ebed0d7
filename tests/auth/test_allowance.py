"""How many at once and over time, and whose wrong passwords count for whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast.auth.allowance import REMEMBERED, Allowance, Guesses, in_words
from runcast.errors import TooMany


def test_so_many_at_once_and_as_many_again_over_time() -> None:
    allowance = Allowance(3, 60.0)
    assert [allowance.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 20]
    assert allowance.take("b", 0.0) == 0
    assert allowance.take("a", 15.0) == 5
    assert [allowance.take("a", 20.0) for _ in range(2)] == [0, 20]
    assert [allowance.take("a", 500.0) for _ in range(4)] == [0, 0, 0, 20]
    allowance.give_back("a")
    assert allowance.take("a", 500.0) == 0


@given(st.integers(1, 20), st.lists(st.floats(0, 10), max_size=200))
def test_never_more_than_is_allowed(most: int, pauses: list[float]) -> None:
    allowance, now_s, taken = Allowance(most, 60.0), 0.0, list[float]()
    for pause_s in pauses:
        now_s += pause_s
        wait_s = allowance.take("a", now_s)
        if not wait_s:
            taken.append(now_s)
        assert wait_s <= 60.0 / most + 1e-6
        assert sum(at > now_s - 60.0 for at in taken) <= 2 * most
        assert len(taken) <= most + now_s * most / 60.0 + 1e-6


def test_what_is_remembered_is_bounded_and_the_busy_ones_stay() -> None:
    allowance = Allowance(1, 1e9)
    for number in range(REMEMBERED * 2):
        allowance.take(f"stranger {number}", 0.0)
        if number % 1_000 == 0:
            assert bool(allowance.take("target", 0.0)) is (number > 0)
    assert allowance.take("stranger 0", 0.0) == 0  # forgotten
    assert allowance.take("target", 0.0) > 0


def test_a_place_of_success_has_a_count_of_its_own() -> None:
    guesses = Guesses(2)
    guesses.succeeded(guesses.begin("ann@example.org", "home", 0.0), "ann@example.org", "home")
    for address in ("a", "b"):
        guesses.begin("Ann@Example.org", address, 0.0)
    with pytest.raises(TooMany, match="30 minutes") as refused:
        guesses.begin("ann@example.org", "c", 0.0)
    assert refused.value.retry_after_s == 1_800
    for _ in range(5):
        guesses.succeeded(guesses.begin("ann@example.org", "home", 0.0), "ann@example.org", "home")
    with pytest.raises(TooMany):
        guesses.begin("ann@example.org", "c", 0.0)  # her logins make no room for others
    guesses.begin("bob@example.org", "c", 0.0)
    guesses.begin("ann@example.org", "c", 1_800.0)


def test_attempts_at_the_same_time_count_before_they_are_known_to_fail() -> None:
    guesses = Guesses(2)
    under_way = [guesses.begin("ann@example.org", f"{number}", 0.0) for number in range(2)]
    with pytest.raises(TooMany):
        guesses.begin("ann@example.org", "3", 0.0)
    guesses.succeeded(under_way[0], "ann@example.org", "0")
    guesses.begin("ann@example.org", "3", 0.0)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 second"), (59.1, "60 seconds"), (100, "2 minutes"), (1_800, "30 minutes")]
)
def test_a_time_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
