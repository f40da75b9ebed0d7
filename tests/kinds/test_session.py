"""The session kind's rules: the ten fields, always there, always of their type."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import NOW_US, PURE, json_values, texts

from runcast.core.event import Edge
from runcast.errors import InvalidEvent
from runcast.kinds.base import Publish, accept
from runcast.kinds.session import MAX_COST_TOKENS, MAX_SUMMARY_CHARS, SESSION, cut_text, normalise

DEFAULTS: dict[str, Any] = {
    "agent_id": "unknown",
    "tool_name": None,
    "input_summary": None,
    "output_summary": None,
    "status": "recorded",
    "model": None,
    "parent_event_id": None,
    "execution_duration_seconds": 0.0,
    "cost_tokens": 0,
    "feature_id": None,
}
TEXTS = [name for name, value in DEFAULTS.items() if value is None or isinstance(value, str)]
SUMMARIES = ["input_summary", "output_summary"]


def publish(data: dict[str, Any], **fields: Any) -> Publish:
    return Publish(stream="session:s", type="tool_call", data=data, **fields)


def stored(data: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return msgspec.json.decode(accept(SESSION, publish(data, **fields), NOW_US, 256 * 1024).data)


def settle_or_refuse(data: dict[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
    try:
        return normalise(publish(data)), None
    except InvalidEvent as error:
        return None, error.field


class TestFields:
    def test_all_ten_are_always_there_in_the_documented_order(self):
        assert list(stored({}).items()) == list(DEFAULTS.items())

    def test_what_is_given_stands_in_its_place(self):
        given_fields = {"cost_tokens": 125, "usage": {"input_tokens": 3}, "tool_name": "Edit", "my_own": [1]}
        fields = stored(given_fields)
        assert fields == {**DEFAULTS, **given_fields}
        assert list(fields) == [*DEFAULTS, "usage", "my_own"]

    @pytest.mark.parametrize("name", list(DEFAULTS))
    def test_null_is_unknown(self, name: str):
        assert stored({name: None}) == DEFAULTS

    @pytest.mark.parametrize("name", TEXTS)
    def test_a_text_of_another_type_is_refused(self, name: str):
        for value in (5, True, 1.5, [], {}, ["Edit"]):
            with pytest.raises(InvalidEvent, match=f"^{name}: a string or null is expected") as caught:
                normalise(publish({name: value}))
            assert caught.value.field == name

    @pytest.mark.parametrize(
        ("given_tokens", "taken"), [(0, 0), (7, 7), (7.0, 7), (MAX_COST_TOKENS, MAX_COST_TOKENS)]
    )
    def test_tokens(self, given_tokens: float, taken: int):
        tokens = normalise(publish({"cost_tokens": given_tokens}))["cost_tokens"]
        assert tokens == taken
        assert type(tokens) is int

    @pytest.mark.parametrize(
        "value", [-1, 1.5, True, False, "40", math.nan, math.inf, MAX_COST_TOKENS + 1, 1e300, 10**400, []]
    )
    def test_what_is_no_number_of_tokens_is_refused(self, value: object):
        with pytest.raises(InvalidEvent, match=r"^cost_tokens: an integer from 0") as caught:
            normalise(publish({"cost_tokens": value}))
        assert caught.value.field == "cost_tokens"

    @pytest.mark.parametrize("seconds", [0, 0.0, 3, 0.345, 1e300])
    def test_durations(self, seconds: float):
        taken = normalise(publish({"execution_duration_seconds": seconds}))["execution_duration_seconds"]
        assert taken == seconds

    @pytest.mark.parametrize("value", [-0.1, -1, True, "1", math.nan, math.inf, 10**400, [], {}])
    def test_what_is_no_duration_is_refused(self, value: object):
        with pytest.raises(InvalidEvent, match=r"^execution_duration_seconds: a finite number") as caught:
            normalise(publish({"execution_duration_seconds": value}))
        assert caught.value.field == "execution_duration_seconds"

    @PURE
    @given(
        st.fixed_dictionaries({}, optional=dict.fromkeys(DEFAULTS, json_values)),
        st.dictionaries(texts, json_values, max_size=2),
    )
    def test_an_event_is_settled_or_refused_by_name(self, fields: dict[str, Any], own: dict[str, Any]):
        before = {**own, **fields}
        given_fields = dict(before)
        settled, refused = settle_or_refuse(given_fields)
        if settled is None:
            assert refused in {*DEFAULTS, "event_id", "event_type", "timestamp", "session_id", "data"}
            return
        assert list(given_fields) == list(before)  # the publisher's are left alone
        assert list(settled)[:10] == list(DEFAULTS)
        assert normalise(publish(settled)) == settled or "nan" in repr(own)
        assert type(settled["cost_tokens"]) is int
        assert isinstance(settled["execution_duration_seconds"], int | float)
        assert all(settled[name] is None or isinstance(settled[name], str) for name in TEXTS)


class TestSummaries:
    @pytest.mark.parametrize("name", SUMMARIES)
    def test_a_long_summary_is_cut_with_a_mark(self, name: str):
        whole = "x" * MAX_SUMMARY_CHARS
        assert stored({name: whole})[name] == whole
        cut = stored({name: "ä" * 178_085})[name]
        assert len(cut) == MAX_SUMMARY_CHARS
        assert cut.startswith("äää")
        assert cut.endswith("ä… [cut, 178085 characters]")

    def test_cutting_again_changes_nothing(self):
        once = cut_text("x" * 1_000, 100)
        assert len(once) == 100
        assert cut_text(once, 100) == once

    def test_other_texts_are_left_whole(self):
        assert stored({"tool_name": "x" * 20_000})["tool_name"] == "x" * 20_000


class TestEnvelopeNames:
    ENVELOPE = {"id": "e1", "time": "2024-01-16T12:00:00Z"}  # noqa: RUF012
    AGREEING = {  # noqa: RUF012
        "event_id": "e1",
        "event_type": "tool_call",
        "timestamp": "2024-01-16T13:00:00.000+01:00",
        "session_id": "s",
    }

    def test_repeating_the_envelope_is_harmless(self):
        assert stored(self.AGREEING, **self.ENVELOPE) == DEFAULTS

    def test_a_time_may_be_told_both_ways(self):
        assert stored({"timestamp": "1970-01-01T00:00:01Z"}, time=1_000_000) == DEFAULTS
        assert stored({"timestamp": 1_000_000}, time="1970-01-01T00:00:01Z") == DEFAULTS

    @pytest.mark.parametrize("name", list(AGREEING))
    def test_null_says_nothing(self, name: str):
        assert stored({name: None}) == DEFAULTS

    @pytest.mark.parametrize("name", list(AGREEING))
    def test_contradicting_it_is_refused(self, name: str):
        for value in ("2001-01-01T00:00:00Z", 5, [], True):
            with pytest.raises(InvalidEvent, match=f"^{name}: does not agree") as caught:
                normalise(publish({name: value}, **self.ENVELOPE))
            assert caught.value.field == name

    @pytest.mark.parametrize("name", ["event_id", "timestamp"])
    def test_giving_it_in_data_only_is_refused(self, name: str):
        with pytest.raises(InvalidEvent, match=f"^{name}: .* give it there, not in data"):
            normalise(publish({name: self.AGREEING[name]}))

    def test_reserved_names_go_under_data(self):
        fields = stored({"seq": 5, "type": "t", "cursor": "c", "stream": "s", "data": {"a": 1}})
        assert fields == {**DEFAULTS, "data": {"a": 1, "type": "t", "seq": 5, "cursor": "c", "stream": "s"}}


def test_no_event_begins_or_ends_a_run():
    assert {SESSION.edge(name) for name in ("start", "end", "completion", "error")} == {Edge.NONE}
    assert SESSION.name == "session"
    assert set(SESSION.folds) == {"summary", "totals"}
