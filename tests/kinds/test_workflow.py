"""The workflow kind's rules and its flat frames: what clients read without a look is there, whoever published it."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import NOW_US, PURE, json_values, make_event

from runcast.core.event import Edge
from runcast.errors import InvalidEvent
from runcast.kinds.base import Publish, accept
from runcast.kinds.workflow import WORKFLOW, encode_frame, to_frame
from runcast.kinds.workflow_fields import FIELDS, MAX_TEXT_CHARS

STREAM = "workflow:wf_abc123"


def publish(type: str, data: dict[str, Any] | None = None, **fields: Any) -> Publish:  # noqa: A002
    return Publish(stream=STREAM, type=type, data=data or {}, **fields)


def stored(type: str, data: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:  # noqa: A002
    return msgspec.json.decode(accept(WORKFLOW, publish(type, data, **fields), NOW_US, 256 * 1024).data)


def framed(type: str, data: dict[str, Any] | None = None) -> dict[str, Any]:  # noqa: A002
    data_bytes = msgspec.json.encode(stored(type, data))
    return to_frame(make_event(data_bytes, type=type, stream=STREAM, seq=3, id="e3"), "the-cursor")


def refusal(type: str, data: dict[str, Any]) -> str | None:  # noqa: A002
    with pytest.raises(InvalidEvent) as caught:
        WORKFLOW.normalise(publish(type, data))
    assert str(caught.value).startswith(f"{caught.value.field}: ")
    return caught.value.field


class TestFrames:
    def test_they_are_flat_in_the_documented_order(self):
        frame = framed(
            "agent_spawned", {"agent_id": "research_001", "agent_type": "research", "spawn_time": 0.1}
        )
        assert list(frame.items()) == [
            ("type", "agent_spawned"),
            ("workflow_id", "wf_abc123"),
            ("agent_id", "research_001"),
            ("agent_type", "research"),
            ("spawn_time", 0.1),
            ("confidence", None),
            ("timestamp", "2026-02-02T02:40:00.000Z"),
            ("event_id", "e3"),
            ("seq", 3),
            ("cursor", "the-cursor"),
        ]

    def test_an_event_without_fields_is_a_frame(self):
        frame = msgspec.json.decode(encode_frame(make_event(b"{}", type="mine", stream=STREAM), "c"))
        assert list(frame) == ["type", "workflow_id", "timestamp", "event_id", "seq", "cursor"]

    @given(data=st.dictionaries(st.text(max_size=5), json_values, max_size=4))
    @PURE
    def test_any_frame_is_json_with_its_envelope_unharmed(self, data: dict[str, Any]):
        try:
            fields = WORKFLOW.normalise(publish("mine", data))
            event = make_event(msgspec.json.encode(fields), type="mine", stream=STREAM)
        except (InvalidEvent, ValueError, OverflowError, UnicodeEncodeError):
            return
        frame = to_frame(event, "c")
        assert (frame["type"], frame["workflow_id"], frame["cursor"]) == ("mine", "wf_abc123", "c")


class TestWhatClientsReadWithoutALook:
    def test_a_completion_has_a_synthesis_with_content(self):
        fields = stored("workflow_complete")
        assert fields["status"] == "completed"
        assert fields["synthesis"] == {
            "content": "",
            "confidence": 0.0,
            "agents_synthesized": 0,
            "token_count": 0,
        }
        assert fields["performance_metrics"] == {"total_duration": 0.0, "llm_calls": 0, "total_tokens": 0}

    def test_a_synthesis_given_as_a_text_is_its_content(self):
        assert stored("workflow_complete", {"synthesis": "All good."})["synthesis"]["content"] == "All good."

    def test_an_error_is_a_text(self):
        assert stored("workflow_error") == {"error": "The workflow failed.", "status": "failed"}
        assert stored("workflow_error", {"error": "x", "status": "cancelled"})["status"] == "cancelled"

    def test_agents_have_an_id(self):
        for event_type in ("agent_spawned", "agent_output", "agent_completed", "agent_failed"):
            assert stored(event_type)["agent_id"] == "unknown"

    def test_progress_and_metrics_are_numbers(self):
        assert stored("workflow_progress") == {"percent": 0.0, "eta_seconds": None, "message": ""}
        assert stored("resource_metrics") == {
            "tokens": 0,
            "llm_calls": 0,
            "llm_latency_ms": 0.0,
            "memory_mb": 0.0,
        }

    def test_further_fields_are_kept_after_the_known_ones(self):
        fields = stored("agent_output", {"mine": [1], "content": "a", "reasoning": "b"})
        assert list(fields) == ["agent_id", "content", "confidence", "mine", "reasoning"]

    def test_an_unknown_type_is_kept_as_it_is(self):
        assert stored("my_own", {"percent": "40"}) == {"percent": "40"}


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("type_", "data"),
        [
            ("workflow_progress", {"percent": "40"}),
            ("workflow_progress", {"percent": 101}),
            ("workflow_progress", {"percent": math.nan}),
            ("workflow_progress", {"percent": True}),
            ("workflow_status", {}),
            ("workflow_status", {"status": "paused"}),
            ("workflow_status", {"status": ["running"]}),
            ("workflow_status", {"status": "running", "attempt": 0}),
            ("agent_output", {"content": 5}),
            ("agent_output", {"confidence": 1.5}),
            ("agent_spawned", {"agent_id": ""}),
            ("agent_completed", {"tokens": -1}),
            ("agent_completed", {"tokens": 2**53}),
            ("synthesis_started", {"agent_count": "3"}),
            ("workflow_complete", {"synthesis": []}),
            ("workflow_complete", {"synthesis": {"content": 5}}),
            ("workflow_complete", {"status": "failed"}),
            ("workflow_error", {"error": {"text": "x"}}),
            ("approval_requested", {}),
            ("approval_resolved", {"approval_id": "a", "approved": "yes"}),
            ("workflow_command", {}),
            ("workflow_created", {"max_steps": 0}),
            ("workflow_status", {"status": "running", "workflow_id": "wf_other"}),
        ],
    )
    def test_the_field_is_named(self, type_: str, data: dict[str, Any]):
        refusal(type_, data)

    def test_a_field_inside_is_named_with_where_it_is(self):
        assert refusal("workflow_complete", {"synthesis": {"confidence": "high"}}) == "synthesis.confidence"

    def test_the_envelope_may_be_repeated_and_is_not_stored_twice(self):
        given_data = {"type": "mine", "workflow_id": "wf_abc123", "event_id": "e", "a": 1}
        assert stored("mine", given_data, id="e") == {"a": 1}

    def test_other_reserved_names_are_moved(self):
        assert stored("mine", {"seq": 5, "cursor": "c", "type": "t"}) == {
            "data": {"seq": 5, "cursor": "c", "type": "t"}
        }

    @given(type_=st.sampled_from(sorted(FIELDS)), data=st.data())
    @PURE
    def test_whatever_is_given_is_settled_or_refused(self, type_: str, data: st.DataObject):
        names = st.sampled_from([*FIELDS[type_], "more"])
        fields = data.draw(st.dictionaries(names, json_values, max_size=5))
        try:
            settled = WORKFLOW.normalise(publish(type_, fields))
        except InvalidEvent:
            return
        assert list(settled)[: len(FIELDS[type_])] == list(FIELDS[type_])

    @pytest.mark.parametrize(
        ("type_", "field"), [("agent_output", "content"), ("agent_completed", "content")]
    )
    def test_a_text_that_is_too_long_is_cut_with_a_mark(self, type_: str, field: str):
        text = stored(type_, {field: "\0" * (MAX_TEXT_CHARS + 1)})[field]
        assert len(text) == MAX_TEXT_CHARS
        assert text.endswith("characters]")


def test_runs_begin_and_end():
    assert WORKFLOW.edge("workflow_created") is Edge.START
    assert WORKFLOW.edge("workflow_complete") is WORKFLOW.edge("workflow_error") is Edge.TERMINAL
    assert WORKFLOW.edge("workflow_status") is Edge.NONE
