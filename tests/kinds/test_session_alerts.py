"""When an alert is raised: once for each cause, and told by an id that comes from it."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kinds.sessions import call, event, result
from tests.support.strategies import EPOCH, PURE

from runcast.core.event import MAX_ID_CHARS, Event, check_id
from runcast.kinds.base import Publish, accept
from runcast.kinds.session import SESSION, to_document
from runcast.kinds.session_alerts import ALERT_STATE, AlertRules, AlertState, watch

BUDGET = AlertRules(token_budget=1_000)
SLOW = AlertRules(bottleneck_factor=3)


def alerts(events: Iterable[Event], rules: AlertRules, state: AlertState | None = None) -> list[Publish]:
    state = state or AlertState()
    return [alert for each in events for alert in watch(state, each, rules)]


def spending(*tokens: int) -> list[Event]:
    return [event(n, type="message", cost_tokens=each, agent_id="main") for n, each in enumerate(tokens, 1)]


def done(*seconds: float, tool: str = "Bash") -> list[Event]:
    return [event(n, tool_name=tool, execution_duration_seconds=each) for n, each in enumerate(seconds, 1)]


class TestBudget:
    def test_at_four_fifths_and_when_it_is_spent(self) -> None:
        raised = alerts(spending(500, 299, 1, 100, 100, 5_000), BUDGET)
        assert [(alert.type, alert.data["percent"], alert.data["spent_tokens"]) for alert in raised] == [
            ("cost_alert", 80, 800),
            ("cost_alert", 100, 1_000),
        ]
        first = raised[0]
        assert first.id == f"alert:cost:80:1000:{EPOCH}"
        assert first.data == {
            "agent_id": "main",
            "status": "warning",
            "parent_event_id": "e3",
            "source": "alerts",
            "output_summary": "The session has used 800 tokens, 80 % of its budget of 1,000.",
            "percent": 80,
            "budget_tokens": 1_000,
            "spent_tokens": 800,
        }

    def test_both_at_once_if_one_event_spends_so_much(self) -> None:
        raised = alerts(spending(70_000), BUDGET)
        assert [alert.data["percent"] for alert in raised] == [80, 100]
        assert "70,000 tokens, 7000 %" in raised[0].data["output_summary"]

    def test_none_without_a_budget(self) -> None:
        assert alerts(spending(10**9), AlertRules()) == []

    def test_two_accounts_of_the_same_tokens_are_not_added_up(self) -> None:
        requests = [event(type="api_request", cost_tokens=450) for _ in range(2)]
        assert [alert.data["spent_tokens"] for alert in alerts([*spending(790), *requests], BUDGET)] == [900]

    def test_another_budget_is_another_cause(self) -> None:
        state = AlertState()
        assert len(alerts(spending(1_000), BUDGET, state)) == 2
        assert alerts(spending(0), AlertRules(token_budget=10_000), state) == []
        assert len(alerts(spending(9_000), AlertRules(token_budget=10_000), state)) == 2


class TestBottleneck:
    def test_a_call_that_takes_three_times_as_long_as_nearly_all_before(self) -> None:
        (alert,) = alerts(done(*[1.0] * 20, 2.9, 3.5), SLOW)
        assert (alert.type, alert.id) == ("bottleneck", "alert:bottleneck:e22")
        assert alert.data["output_summary"].startswith("Bash took 3.5 s; 95 % of its 21 calls before took")
        assert (alert.data["tool_name"], alert.data["seconds"], alert.data["status"]) == (
            "Bash",
            3.5,
            "warning",
        )
        assert alert.data["p95_seconds"] == pytest.approx(1.0, rel=0.05)
        assert alert.data["parent_event_id"] == "e22"

    def test_not_before_twenty_calls_nor_of_another_tool(self) -> None:
        assert alerts(done(*[1.0] * 19, 100), SLOW) == []
        assert alerts([*done(*[1.0] * 30), *done(100, tool="Read")], SLOW) == []

    def test_not_below_a_second(self) -> None:
        assert alerts(done(*[0.01] * 30, 0.99), SLOW) == []
        assert len(alerts(done(*[0.01] * 30, 1.0), SLOW)) == 1

    def test_not_with_a_factor_of_nothing(self) -> None:
        assert alerts(done(*[1.0] * 30, 100), AlertRules()) == []

    def test_by_the_time_from_call_to_result_if_no_duration_is_told(self) -> None:
        events = [each for n in range(21) for each in (call(f"t{n}", at_s=n), result(f"t{n}", at_s=n + 0.5))]
        raised = alerts([*events, call("slow", at_s=50), result("slow", at_s=59)], SLOW)
        assert [(alert.id, alert.data["seconds"]) for alert in raised] == [
            ("alert:bottleneck:slow:result", 9.0)
        ]


def test_alerts_cause_no_alerts_and_pass_the_rules_of_events() -> None:
    state = AlertState()
    raised = alerts(
        [*spending(1_000), *done(*[1.0] * 20, 9)], AlertRules(token_budget=900, bottleneck_factor=3), state
    )
    assert [alert.type for alert in raised] == ["cost_alert", "cost_alert", "bottleneck"]
    before = ALERT_STATE.dump(state)
    for seq, alert in enumerate(raised, 100):
        new = accept(SESSION, alert, 2**60, 10_000)
        stored = Event(new.stream, EPOCH, seq, seq, new.id, new.type, new.time, new.data)
        assert to_document(stored)["execution_duration_seconds"] == 0
        assert alerts([stored], AlertRules(token_budget=1, bottleneck_factor=0.01), state) == []
    assert ALERT_STATE.dump(state) == before


def test_the_id_of_a_long_id_is_still_one() -> None:
    long = [f"{'x' * (MAX_ID_CHARS - 1)}{end}" for end in "ab"]
    ids = {
        alerts([*done(*[1.0] * 20), event(id=name, tool_name="Bash", execution_duration_seconds=9.0)], SLOW)[
            0
        ].id
        for name in long
    }
    assert len({check_id(each) for each in ids}) == 2


@PURE
@given(
    st.lists(st.tuples(st.integers(0, 300), st.floats(0, 5)), max_size=60),
    st.lists(st.integers(0, 60), max_size=3),
)
def test_from_a_snapshot_on_the_same_alerts_are_raised(
    history: list[tuple[int, float]], cuts: list[int]
) -> None:
    rules = AlertRules(token_budget=2_000, bottleneck_factor=1)
    events = [
        event(n, tool_name="Bash", cost_tokens=tokens, execution_duration_seconds=seconds)
        for n, (tokens, seconds) in enumerate(history, 1)
    ]
    state, begin, raised = AlertState(), 0, list[Publish]()
    for cut in [*sorted(cuts), len(events)]:
        state = ALERT_STATE.load(ALERT_STATE.dump(state))
        raised += alerts(events[begin : max(begin, cut)], rules, state)
        begin = max(begin, cut)
    assert raised == alerts(events, rules)
    assert len({alert.id for alert in raised}) == len(raised)
