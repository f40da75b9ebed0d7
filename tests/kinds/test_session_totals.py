"""The totals of a session: what they add up to, that they stay bounded, and that they may be kept and gone on with."""

import math
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import PURE, make_event

from runcast.core.event import Event
from runcast.kinds.session_calls import Call, Calls
from runcast.kinds.session_durations import Durations
from runcast.kinds.session_fields import MAX_KEYS, OTHER, Tokens
from runcast.kinds.session_timeline import Timeline
from runcast.kinds.session_totals import (
    SLOWEST,
    TOTALS,
    SessionTotals,
    SlowCall,
    ToolTime,
)

USAGE = {
    "input_tokens": 3,
    "output_tokens": 10,
    "cache_read_input_tokens": 17_842,
    "cache_creation_input_tokens": 8_052,
}


def event(seq: int = 1, *, type: str = "tool_call", time: int = 0, **data: Any) -> Event:  # noqa: A002
    return make_event(msgspec.json.encode(data), type=type, seq=seq, time=time)


def fold(events: list[Event], state: SessionTotals | None = None) -> SessionTotals:
    state = state or TOTALS.initial()
    for each in events:
        TOTALS.step(state, each)
    return state


def durations(*seconds: float) -> Durations:
    found = Durations()
    for each in seconds:
        found.add(each)
    return found


class TestSums:
    def test_nothing_yet(self):
        assert fold([]) == SessionTotals()

    def test_a_session(self):
        totals = fold(
            [
                event(1, type="user_prompt", time=50, agent_id="main"),
                event(
                    2, time=60, agent_id="main", model="opus", tool_name="Bash", cost_tokens=10, usage=USAGE
                ),
                event(
                    3,
                    type="tool_result",
                    time=90,
                    tool_name="Bash",
                    execution_duration_seconds=3.5,
                    status="completed",
                ),
                event(
                    4,
                    time=70,
                    agent_id="sub",
                    model="haiku",
                    tool_name="Read",
                    cost_tokens=5,
                    status="started",
                ),
                event(
                    5, type="error", time=80, tool_name="Read", execution_duration_seconds=0.5, status="error"
                ),
            ]
        )
        spent, cheap = Tokens(10, 3, 10, 17_842, 8_052), Tokens(5)
        assert totals == SessionTotals(
            events=5,
            errors=1,
            first_time=50,
            last_time=90,
            by_type={"user_prompt": 1, "tool_call": 2, "tool_result": 1, "error": 1},
            tokens=Tokens(15, 3, 10, 17_842, 8_052),
            tokens_by_tool={"Bash": spent, "Read": cheap},
            tokens_by_model={"opus": spent, "haiku": cheap},
            tokens_by_agent={"main": spent, "sub": cheap},
            tools={"Bash": ToolTime(1, 1, 3.5, 3.5), "Read": ToolTime(1, 1, 0.5, 0.5)},
            durations={"Bash": durations(3.5), "Read": durations(0.5)},
            slowest=[SlowCall("Bash", 3.5, "e3", 3), SlowCall("Read", 0.5, "e5", 5)],
            calls=Calls({"e2": Call("Bash", "main", 60), "e4": Call("Read", "sub", 70)}),
            timeline=Timeline(events=[5], errors=[1], tokens=[15], api_tokens=[0]),
            last_status="error",
            last_model="haiku",
            last_agent="sub",
        )

    def test_an_error_is_one_by_its_type_or_by_its_status_and_counts_once(self):
        totals = fold(
            [
                event(type="error", status="error"),
                event(type="error", status="recorded"),
                event(status="timeout"),
                event(status="failed"),
                event(status="completed"),
            ]
        )
        assert (totals.events, totals.errors) == (5, 4)

    def test_a_call_that_tells_its_duration_itself(self):
        totals = fold([event(tool_name="Edit", execution_duration_seconds=s) for s in (1, 0.5, 2.0)])
        assert totals.tools == {"Edit": ToolTime(calls=3, timed=3, seconds=3.5, max_seconds=2.0)}

    def test_tokens_without_a_tool_or_model_are_in_the_sum_only(self):
        totals = fold([event(type="message", cost_tokens=7)])
        assert totals.tokens == Tokens(7)
        assert not totals.tokens_by_tool
        assert not totals.tokens_by_model

    def test_usage_counts_where_there_is_no_cost(self):
        assert fold([event(usage=USAGE)]).tokens == Tokens(0, 3, 10, 17_842, 8_052)

    def test_the_slowest_calls_come_first_and_the_earlier_one_at_equal_times(self):
        seconds = [5, 1, 9, 5, 2, 8, 9, 3, 4, 7, 6, 5, 0.5]
        totals = fold(
            [event(n, tool_name="t", execution_duration_seconds=s) for n, s in enumerate(seconds, start=1)]
        )
        ranked = sorted(enumerate(seconds, start=1), key=lambda item: (-item[1], item[0]))[:SLOWEST]
        assert [(call.seq, call.seconds) for call in totals.slowest] == ranked
        assert totals.slowest[0].event_id == "e3"


class TestBounds:
    def test_open_sets_of_names_do_not_grow_without_bound(self):
        totals = fold(
            [
                event(
                    n,
                    type=f"type-{n}",
                    tool_name=f"tool-{n}" + "x" * 5_000,
                    model=f"model-{n}",
                    agent_id=f"agent-{n}",
                    cost_tokens=1,
                    execution_duration_seconds=1.0,
                )
                for n in range(1, 1_001)
            ]
        )
        for table in (
            totals.by_type,
            totals.tools,
            totals.tokens_by_tool,
            totals.tokens_by_model,
            totals.tokens_by_agent,
        ):
            assert len(table) == MAX_KEYS
            assert OTHER in table
        assert sum(totals.by_type.values()) == 1_000
        assert sum(tokens.cost_tokens for tokens in totals.tokens_by_model.values()) == 1_000
        assert sum(tool.timed for tool in totals.tools.values()) == 1_000
        assert len(TOTALS.dump(totals)) < 250_000

    def test_names_that_were_there_go_on_when_the_table_is_full(self):
        many = [event(tool_name=f"tool-{n}") for n in range(300)]
        totals = fold([*many, event(tool_name="tool-0"), event(tool_name="late")])
        assert totals.tools["tool-0"].calls == 2
        assert totals.tools[OTHER].calls == 300 - (MAX_KEYS - 1) + 1

    def test_sums_stay_where_every_reader_can_read_them(self):
        huge = {"cost_tokens": 2**53 - 1, "usage": dict.fromkeys(USAGE, 2**64), "tool_name": "t"}
        totals = fold([event(**huge, execution_duration_seconds=1.7e308)] * 3)
        assert totals.tokens == Tokens(*[2**53 - 1] * 5)
        assert math.isfinite(totals.tools["t"].seconds)
        assert TOTALS.load(TOTALS.dump(totals)) == totals

    def test_odd_things_in_the_log_add_nothing(self):
        odd: list[Any] = ["x", -5, True, 1.5, [1], {"input_tokens": "3"}, None, "", 1e400]
        totals = fold(
            [
                event(
                    tool_name=v, cost_tokens=v, usage=v, execution_duration_seconds="1", status=v, agent_id=v
                )
                for v in odd
            ]
        )
        assert totals.tokens == Tokens()
        assert fold([make_event(b"[]"), make_event(b"{"), make_event(b'{"status":"\xff"}')]).events == 3


odd = st.sampled_from([None, "", "x", "ä", True, -1, 7, 2**70, 0.5, -0.5, [], ["x"], {}, {"input_tokens": 3}])
fields = st.fixed_dictionaries(
    {},
    optional={
        "agent_id": odd | st.sampled_from(["a", "b"]),
        "tool_name": odd | st.sampled_from(["Bash", "Edit"]),
        "status": odd | st.sampled_from(["error", "completed"]),
        "model": odd,
        "execution_duration_seconds": odd | st.floats(0, 100),
        "cost_tokens": odd | st.integers(0, 1_000),
        "usage": odd | st.dictionaries(st.sampled_from(list(USAGE)), odd),
    },
)
events = st.lists(
    st.builds(
        lambda data, kind, time: make_event(msgspec.json.encode(data), type=kind, time=time),
        fields,
        st.sampled_from(["tool_call", "tool_result", "error", "message", "ä"]),
        st.integers(0, 2**50),
    ),
    max_size=15,
)


@PURE
@given(events, st.lists(st.integers(0, 15), max_size=4))
def test_in_pieces_with_snapshots_between_it_is_the_same(history: list[Event], cuts: list[int]):
    state, begin = TOTALS.initial(), 0
    for cut in sorted(cuts):
        state = TOTALS.load(TOTALS.dump(fold(history[begin : max(begin, cut)], state)))
        begin = max(begin, cut)
    in_pieces = fold(history[begin:], state)
    at_once = fold(history)
    assert in_pieces == at_once
    assert TOTALS.dump(in_pieces) == TOTALS.dump(at_once)
    assert msgspec.json.decode(msgspec.json.encode(at_once), type=SessionTotals) == at_once
