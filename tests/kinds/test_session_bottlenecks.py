"""Durations by percentile, and what slows a session down."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kinds.sessions import call, event, fold, result
from tests.support.strategies import NOW_US, PURE

from runcast.core.event import MICROSECONDS, Event, format_time
from runcast.kinds.session_bottlenecks import bottlenecks
from runcast.kinds.session_durations import BUCKETS, Durations
from runcast.kinds.session_totals import TOTALS, SessionTotals, totals_document


def report(events: list[Event], at_s: float = 0, *, over: bool = False) -> dict[str, Any]:
    return bottlenecks(fold(TOTALS, events), NOW_US + round(at_s * MICROSECONDS), over=over)


def done(tool: str, *seconds: float) -> list[Event]:
    return [event(tool_name=tool, status="completed", execution_duration_seconds=each) for each in seconds]


@PURE
@given(st.lists(st.floats(0.001, 100_000), min_size=1, max_size=200), st.sampled_from([50, 90, 95, 100]))
def test_a_percentile_is_right_to_five_percent(seconds: list[float], percent: int) -> None:
    durations = Durations()
    for each in seconds:
        durations.add(each)
    exact = sorted(seconds)[math.ceil(len(seconds) * percent / 100) - 1]
    assert durations.percentile(percent) == pytest.approx(exact, rel=0.05)
    assert durations.total == len(seconds)


def test_no_duration_is_out_of_range() -> None:
    durations = Durations()
    assert durations.percentile(95) is None
    for each in (0.0, 1e-9, 1e9, 1.7e308):
        durations.add(each)
    assert set(durations.counts) == {0, BUCKETS - 1}
    assert (durations.longer_than(1), durations.longer_than(1e12)) == (2, 0)


@pytest.mark.parametrize("seconds", [0.0001, 0.004, 2.5, 0.12345678901, 1e6])
def test_of_one_call_every_percentile_is_its_own_time(seconds: float) -> None:
    (tool,) = report(done("Bash", seconds))["tools"]
    assert tool["p50_seconds"] == tool["p95_seconds"] == tool["max_seconds"] == seconds


def test_nothing_is_estimated_beyond_what_was_seen() -> None:
    (tool,) = report(done("Bash", 1.04, 1.05, 1.06))["tools"]
    assert 1.04 <= tool["p50_seconds"] <= tool["p95_seconds"] <= tool["max_seconds"] == 1.06


def test_nothing_yet() -> None:
    assert report([]) == {"tools": [], "slowest": [], "running": [], "forgotten": 0}


def test_tools_by_the_time_that_they_took() -> None:
    told = report([*done("Read", 0.1, 0.1), *done("Bash", 1.0, 2.0, 6.8), call("t1", tool_name="Edit")])
    assert [tool["tool_name"] for tool in told["tools"]] == ["Bash", "Read", "Edit"]
    bash, read, edit = told["tools"]
    assert (bash["calls"], bash["timed"], bash["seconds"], bash["max_seconds"]) == (3, 3, 9.8, 6.8)
    assert bash["p50_seconds"] == pytest.approx(2.0, rel=0.05)
    assert bash["p95_seconds"] == pytest.approx(6.8, rel=0.05)
    assert bash["p95_seconds"] <= bash["max_seconds"]
    assert (bash["share"], read["share"]) == (pytest.approx(0.98), pytest.approx(0.02))
    assert (edit["calls"], edit["timed"], edit["p50_seconds"], edit["p95_seconds"]) == (1, 0, None, None)
    assert told["slowest"][0] == {"tool_name": "Bash", "seconds": 6.8, "event_id": "e1", "seq": 1}


def test_a_duration_that_nobody_told_is_from_call_to_result() -> None:
    told = report([call("t1", at_s=1), result("t1", at_s=3.5), call("t2", at_s=4), result("t2", at_s=2)])
    (bash,) = told["tools"]
    assert (bash["calls"], bash["timed"], bash["seconds"]) == (2, 1, 2.5)
    told = report([call("t1"), result("t1", at_s=3.5, execution_duration_seconds=2.0, tool_name="Bash")])
    assert told["tools"][0]["seconds"] == 2.0


class TestRunning:
    def test_since_when_and_how_long(self) -> None:
        (running,) = report([call("t1", at_s=1, agent_id="main")], at_s=4)["running"]
        assert running == {
            "event_id": "t1",
            "tool_name": "Bash",
            "agent_id": "main",
            "since": format_time(NOW_US + MICROSECONDS),
            "elapsed_seconds": 3.0,
            "p95_seconds": None,
            "late": False,
            "likely_late": 0.0,
        }

    def test_late_is_what_takes_longer_than_the_others_did(self) -> None:
        earlier = done("Bash", *[0.1 * number for number in range(1, 21)])
        chances: list[float] = []
        for at_s in (0, 1, 1.5, 1.8, 5):
            (running,) = report([*earlier, call("t1")], at_s=at_s)["running"]
            assert running["p95_seconds"] == pytest.approx(1.9, rel=0.05)
            assert running["late"] == (at_s == 5)
            chances.append(running["likely_late"])
        assert chances == sorted(chances)
        assert (chances[0], chances[-1]) == (pytest.approx(0.05, abs=0.05), 1.0)

    def test_nothing_runs_in_a_session_that_is_over(self) -> None:
        assert report([call("t1")], over=True)["running"] == []

    def test_a_call_from_the_future_has_not_run(self) -> None:
        assert report([call("t1", at_s=10)])["running"][0]["elapsed_seconds"] == 0

    def test_of_too_many_the_oldest_are_forgotten_and_counted(self) -> None:
        told = report([call(f"t{number}") for number in range(300)])
        assert (len(told["running"]), told["forgotten"]) == (256, 44)


def test_totals_show_the_larger_account_of_the_tokens() -> None:
    def shown(*events: Event) -> dict[str, Any]:
        totals = fold(TOTALS, events)
        assert isinstance(totals, SessionTotals)
        return totals_document(totals)

    message = event(type="message", model="opus", agent_id="main", cost_tokens=50, cost_usd=0.1)
    small = event(type="api_request", model="opus-1", agent_id="main", cost_tokens=20, cost_usd=0.2)
    told = shown(message, small)
    assert (told["tokens"]["cost_tokens"], told["api_tokens"]["cost_tokens"]) == (50, 20)
    assert (set(told["tokens_by_model"]), told["cost_usd"]) == ({"opus"}, 0.2)
    told = shown(message, small, small, small)
    assert told["tokens"]["cost_tokens"] == told["api_tokens"]["cost_tokens"] == 60
    assert (set(told["tokens_by_model"]), set(told["tokens_by_agent"])) == ({"opus-1"}, {"main"})
    timeline = fold(TOTALS, [message, small, small]).timeline
    assert (timeline.tokens, timeline.api_tokens) == ([50], [40])
