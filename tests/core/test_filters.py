"""Filters: what passes, what is refused, and that both ways to ask say the same."""

import copy
import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import PURE, make_event

from runcast.core.filters import EVERYTHING, EventSubscriptionFilter, parse_filter
from runcast.errors import InvalidFilter

EVENT: dict[str, Any] = {
    "event_type": "tool_call",
    "session_id": "s",
    "tool_name": "Edit",
    "status": "completed",
    "feature_id": "feat-1",
    "cost_tokens": 125,
}

names = st.sampled_from(["tool_call", "error", "Edit", "Read", "completed", "feat-1", "s", ""])
lists = st.none() | st.lists(names, max_size=3)
values = names | st.sampled_from([None, 5, True, 1.5, ["Edit"], {"a": 1}])
costs = st.sampled_from([None, 0, 1, 99, 100, 101, 100.5, True, "100", [], 2**60])
filters = st.builds(
    EventSubscriptionFilter,
    event_types=lists,
    session_id=st.none() | st.sampled_from(["s", "t"]),
    tool_names=lists,
    cost_threshold_tokens=st.none() | st.sampled_from([0, 1, 100, 2**53]),
    statuses=lists,
    feature_ids=lists,
)
data = st.fixed_dictionaries(
    {}, optional={"tool_name": values, "status": values, "feature_id": values, "cost_tokens": costs}
)


class TestMeaning:
    @pytest.mark.parametrize(
        ("wanted", "passes"),
        [
            ({}, True),
            ({"event_types": ["tool_call"]}, True),
            ({"event_types": ["error", "tool_call"]}, True),
            ({"event_types": ["error"]}, False),
            ({"event_types": []}, False),
            ({"session_id": "s"}, True),
            ({"session_id": "t"}, False),
            ({"tool_names": ["Edit"]}, True),
            ({"tool_names": ["edit"]}, False),
            ({"tool_names": []}, False),
            ({"statuses": ["completed"]}, True),
            ({"statuses": []}, False),
            ({"feature_ids": ["feat-1", "feat-2"]}, True),
            ({"feature_ids": []}, False),
            ({"cost_threshold_tokens": 125}, True),
            ({"cost_threshold_tokens": 126}, False),
            ({"cost_threshold_tokens": 0}, True),
            ({"event_types": ["tool_call"], "tool_names": ["Read"]}, False),
        ],
    )
    def test_and_across_fields_or_within_a_list(self, wanted: dict[str, Any], passes: bool):
        assert EventSubscriptionFilter(**wanted).matches_event(EVENT) is passes

    def test_an_event_without_the_field_does_not_pass_a_constraint_on_it(self):
        bare = {"event_type": "message"}
        assert not EventSubscriptionFilter(tool_names=["Edit"]).matches_event(bare)
        assert not EventSubscriptionFilter(cost_threshold_tokens=1).matches_event(bare)
        assert EventSubscriptionFilter(cost_threshold_tokens=0).matches_event(bare)

    def test_everything_costs_nothing(self):
        assert EVERYTHING.compile() is None
        assert EVERYTHING.matches_event({})

    @PURE
    @given(filters, names.filter(bool), st.sampled_from(["s", "t"]), data)
    def test_stored_events_pass_as_their_documents_do(
        self, wanted: EventSubscriptionFilter, event_type: str, session: str, fields: dict[str, Any]
    ):
        event = make_event(msgspec.json.encode(fields), type=event_type, stream=f"session:{session}")
        predicate = wanted.compile()
        document = {"event_type": event_type, "session_id": session, **fields}
        assert (predicate is None or predicate(event)) is wanted.matches_event(document)

    def test_a_filter_by_envelope_does_not_look_into_the_data(self):
        predicate = EventSubscriptionFilter(event_types=["tool_call"], session_id="s").compile()
        assert predicate is not None
        assert predicate(make_event(b"never decoded"))


class TestValue:
    @PURE
    @given(filters)
    def test_the_fingerprint_is_the_filter(self, wanted: EventSubscriptionFilter):
        again = parse_filter(wanted.fingerprint or "{}")
        assert again == wanted
        assert hash(again) == hash(wanted)
        assert again.fingerprint == wanted.fingerprint

    def test_order_and_repetition_do_not_make_another_filter(self):
        one = EventSubscriptionFilter(tool_names=["Read", "Edit"])
        assert one == EventSubscriptionFilter(tool_names=iter(["Edit", "Read", "Edit"]))
        assert one != EventSubscriptionFilter(statuses=["Read", "Edit"])
        assert EventSubscriptionFilter(tool_names=[]) != EVERYTHING

    def test_it_does_not_change(self):
        wanted = EventSubscriptionFilter(["error"])
        with pytest.raises(AttributeError, match="make a new one"):
            wanted.event_types = None

    def test_it_can_be_copied_and_sent_to_another_process(self):
        wanted = EventSubscriptionFilter(["error"], "s", cost_threshold_tokens=5)
        assert copy.deepcopy(wanted) == wanted
        assert pickle.loads(pickle.dumps(wanted)) == wanted

    def test_the_documented_order_of_arguments(self):
        wanted = EventSubscriptionFilter(["a"], "s", ["b"], 5, ["c"], ["d"])
        assert wanted.session_id == "s"
        assert wanted.cost_threshold_tokens == 5
        assert repr(wanted) == (
            'EventSubscriptionFilter({"event_types":["a"],"session_id":"s","tool_names":["b"],'
            '"cost_threshold_tokens":5,"statuses":["c"],"feature_ids":["d"]})'
        )


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ('{"event_type": ["error"]}', "unknown key 'event_type'; known are event_types"),
            ('{"event_types": "error"}', "filter.event_types: a list"),
            ('{"event_types": {"a": 1}}', "filter.event_types: a list"),
            ('{"event_types": [1]}', "filter.event_types: strings"),
            ('{"event_types": [null]}', "filter.event_types: strings"),
            ('{"statuses": 5}', "filter.statuses: a list"),
            ('{"session_id": 5}', "filter.session_id: strings"),
            ('{"cost_threshold_tokens": "100"}', "filter.cost_threshold_tokens: an integer"),
            ('{"cost_threshold_tokens": 1.5}', "filter.cost_threshold_tokens: an integer"),
            ('{"cost_threshold_tokens": true}', "filter.cost_threshold_tokens: an integer"),
            ('{"cost_threshold_tokens": -1}', "filter.cost_threshold_tokens: an integer"),
            ('{"cost_threshold_tokens": 1e999}', "filter: not valid JSON"),
            ("[]", "filter: a JSON object"),
            ("null", "filter: a JSON object"),
            ("", "filter: not valid JSON"),
            ("{", "filter: not valid JSON"),
            ("[" * 60_000, "filter: not valid JSON"),
            ('{"tool_names": ["\\ud800"]}', "filter: not valid JSON"),
            (b'{"tool_names": ["\xff"]}', "filter: not valid JSON"),
        ],
    )
    def test_the_error_names_the_part_at_fault(self, text: str | bytes, names: str):
        with pytest.raises(InvalidFilter) as caught:
            parse_filter(text)
        assert names in str(caught.value)
        assert caught.value.field is not None
        assert caught.value.field.startswith("filter")

    def test_limits(self):
        assert EventSubscriptionFilter(tool_names=["x" * 200] * 100)
        with pytest.raises(InvalidFilter, match="at most 100 entries"):
            EventSubscriptionFilter(tool_names=[str(n) for n in range(101)])
        with pytest.raises(InvalidFilter, match="at most 200 characters"):
            EventSubscriptionFilter(tool_names=["x" * 201])
        with pytest.raises(InvalidFilter, match="Unicode"):
            EventSubscriptionFilter(tool_names=["\ud800"])

    def test_a_long_unknown_key_is_not_repeated_whole(self):
        with pytest.raises(InvalidFilter) as caught:
            parse_filter('{"' + "k" * 5_000 + '": 1}')
        assert len(str(caught.value)) < 300
