"""The summary of a session: what it is about, what it cost, what it is doing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kinds.sessions import call, event, fold, result
from tests.support.strategies import NOW_US, PURE, make_event

from runcast.core.event import Event, format_time
from runcast.kinds.session_calls import MAX_OPEN
from runcast.kinds.session_summary import MAX_TITLE_CHARS, SUMMARY, SessionSummary, summary_document


def summary(*events: Event) -> dict[str, Any]:
    return summary_document(fold(SUMMARY, events))


def test_nothing_yet() -> None:
    assert summary() == {
        "title": None,
        "agent": "unknown",
        "model": None,
        "cwd": None,
        "events": 0,
        "errors": 0,
        "tool_calls": 0,
        "subagents": 0,
        "tokens": dict.fromkeys(
            [
                "cost_tokens",
                "input_tokens",
                "output_tokens",
                "cache_read_input_tokens",
                "cache_creation_input_tokens",
            ],
            0,
        ),
        "cost_usd": 0.0,
        "running": 0,
        "last_event_type": None,
        "last_tool": None,
        "last_status": None,
        "first_time": None,
        "last_time": None,
    }


def test_a_session() -> None:
    told = summary(
        event(type="start", agent_id="claude-code", cwd="/home/me/project", status="started"),
        event(
            type="user_prompt", agent_id="claude-code", input_summary="\n  Mend the tests \nplease", at_s=1
        ),
        call("t1", at_s=2, agent_id="claude-code", model="opus", cost_tokens=10, usage={"input_tokens": 7}),
        result("t1", at_s=3, tool_name="Bash"),
        event(type="delegation", agent_id="sub", id="agent:sub", at_s=4),
        call("t2", at_s=5, agent_id="sub", model="haiku", tool_name="Read", cost_tokens=5, cwd="/elsewhere"),
    )
    assert told["title"] == "Mend the tests"
    assert (told["agent"], told["model"], told["cwd"]) == ("claude-code", "opus", "/home/me/project")
    assert (told["events"], told["errors"], told["tool_calls"], told["subagents"]) == (6, 0, 2, 1)
    assert (told["tokens"]["cost_tokens"], told["tokens"]["input_tokens"]) == (15, 7)
    assert (told["running"], told["last_event_type"], told["last_tool"]) == (1, "tool_call", "Read")
    assert told["last_status"] == "started"
    assert (told["first_time"], told["last_time"]) == (format_time(NOW_US), format_time(NOW_US + 5_000_000))


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("Do it", "Do it"),
        ("x" * 120, "x" * 120),
        ("x" * 121, "x" * 119 + "…"),
        (" \n\n second line\nthird", "second line"),
        ("", None),
        ("  \n ", None),
        (None, None),
        (7, None),
    ],
)
def test_the_title_is_the_first_line_of_the_first_prompt(said: object, title: str | None) -> None:
    told = summary(event(type="user_prompt", input_summary=said))
    assert told["title"] == title
    assert len(told["title"] or "") <= MAX_TITLE_CHARS
    again = event(type="user_prompt", input_summary="Another")
    assert summary(event(type="user_prompt", input_summary=said), again)["title"] == (title or "Another")


def test_a_title_that_was_given_stands_in_for_a_prompt() -> None:
    given = event(type="title", title="A good name")
    assert summary(given)["title"] == "A good name"
    assert summary(given, event(type="user_prompt", input_summary="Do it"))["title"] == "Do it"


def test_who_the_agent_is_and_which_model_it_uses() -> None:
    told = summary(
        event(agent_id="unknown", model="first"),
        event(agent_id="main", model="opus"),
        event(agent_id="sub", model="haiku"),
    )
    assert (told["agent"], told["model"]) == ("main", "opus")
    assert summary(event(agent_id="unknown"))["agent"] == "unknown"


def test_of_two_accounts_of_the_tokens_the_larger_one_is_the_session_s() -> None:
    usage = {"input_tokens": 100}
    transcript = [event(type="message", cost_tokens=40, usage=usage), event(type="message", cost_tokens=5)]
    requests = [
        event(type="api_request", cost_tokens=44, cost_usd=0.5),
        event(type="api_request", cost_usd=0.25),
    ]
    told = summary(*transcript, *requests)
    assert (told["tokens"]["cost_tokens"], told["tokens"]["input_tokens"]) == (45, 100)
    assert told["cost_usd"] == 0.75
    told = summary(transcript[0], *requests)
    assert (told["tokens"]["cost_tokens"], told["tokens"]["input_tokens"]) == (44, 0)
    assert summary(*requests)["tokens"]["cost_tokens"] == 44
    assert summary(event(cost_usd=1.5), *requests)["cost_usd"] == 1.5


class TestRunning:
    def test_until_a_result_or_an_error(self) -> None:
        calls = [call("t1"), call("t2"), call("t3")]
        assert summary(*calls)["running"] == 3
        assert summary(*calls, result("t2"))["running"] == 2
        assert summary(*calls, result("t2"), result("t3", type="error"))["running"] == 1
        assert summary(*calls, result("t9"))["running"] == 3

    def test_until_the_session_ends(self) -> None:
        assert summary(call("t1"), event(type="end"))["running"] == 0
        assert summary_document(fold(SUMMARY, [call("t1")]), over=True)["running"] == 0

    @pytest.mark.parametrize(
        "told",
        [
            {"status": "completed"},
            {"status": "error"},
            {"status": "recorded", "execution_duration_seconds": 0.3},
            {"status": "recorded", "output_summary": "done"},
        ],
    )
    def test_not_if_it_was_told_when_it_was_over(self, told: dict[str, Any]) -> None:
        assert summary(call("t1", **told))["running"] == 0

    def test_a_result_may_come_before_its_call(self) -> None:
        assert summary(result("t1"), call("t1"))["running"] == 0
        assert summary(result("t1"), call("t1"), call("t2"))["running"] == 1

    def test_a_row_that_was_updated_is_no_further_call(self) -> None:
        row = call("row", status="recorded")
        change = event(type="update", id="row:1", parent_event_id="row", status="running", tool_name="Bash")
        done = event(type="update", id="row:2", parent_event_id="row", status="error", tool_name="Bash")
        again = event(type="update", id="row:3", parent_event_id="row", status="error", tool_name="Bash")
        assert (summary(row, change)["tool_calls"], summary(row, change)["running"]) == (1, 1)
        told = summary(row, change, done, again)
        assert (told["tool_calls"], told["running"], told["errors"]) == (1, 0, 1)

    def test_not_more_than_there_is_room_for(self) -> None:
        state = fold(SUMMARY, [call(f"t{number}") for number in range(1_000)])
        assert (len(state.calls.open), state.calls.dropped) == (MAX_OPEN, 1_000 - MAX_OPEN)
        assert next(iter(state.calls.open)) == f"t{1_000 - MAX_OPEN}"


def test_alerts_are_counted_and_say_nothing_of_the_session() -> None:
    alert = event(type="bottleneck", agent_id="someone", tool_name="Read", status="warning")
    told = summary(alert, call("t1", agent_id="main"), alert)
    assert (told["events"], told["agent"]) == (3, "main")
    assert (told["last_event_type"], told["last_tool"], told["last_status"]) == (
        "tool_call",
        "Bash",
        "started",
    )


def test_odd_things_in_the_log_do_no_harm() -> None:
    for data in (b"[]", b"{", b'{"status":"\xff"}', b'{"title":', b'{"cwd":1,"title":[],"cost_usd":-1}'):
        for kind in ("user_prompt", "tool_call", "tool_result", "update", "end"):
            assert fold(SUMMARY, [make_event(data, type=kind)]).events == 1


odd = st.sampled_from([None, "", "x", True, -1, 7, 2**70, 0.5, [], {}, "started", "completed", "error"])
events = st.lists(
    st.builds(
        lambda kind, name, data: event(type=kind, id=name, **data),
        st.sampled_from(["tool_call", "tool_result", "user_prompt", "update", "end", "error", "api_request"]),
        st.sampled_from(["a", "b", "c"]),
        st.dictionaries(
            st.sampled_from(
                ["status", "parent_event_id", "tool_name", "cost_usd", "cost_tokens", "title", "cwd", "model"]
            ),
            odd | st.sampled_from(["a", "b", "c"]),
        ),
    ),
    max_size=15,
)


@PURE
@given(events, st.integers(0, 15))
def test_in_pieces_with_snapshots_between_it_is_the_same(history: list[Event], cut: int) -> None:
    begun = SUMMARY.load(SUMMARY.dump(fold(SUMMARY, history[:cut])))
    in_pieces = fold(SUMMARY, history[cut:], begun)
    assert in_pieces == fold(SUMMARY, history)
    assert isinstance(in_pieces, SessionSummary)
    assert summary_document(in_pieces)["running"] <= 3
