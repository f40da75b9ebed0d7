"""What a workflow has come to, as the fold of its stream."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import NOW_US, PURE, json_values, make_event

from runcast.core.event import Event
from runcast.errors import InvalidEvent
from runcast.kinds.workflow_fields import FIELDS
from runcast.kinds.workflow_state import (
    MAX_AGENTS,
    MAX_KEPT_CHARS,
    WORKFLOW_STATE,
    WorkflowState,
    to_document,
)

SECOND = 1_000_000


def event(type: str, at_s: float = 0, **data: Any) -> Event:  # noqa: A002
    time = NOW_US + round(at_s * SECOND)
    return make_event(msgspec.json.encode(data), type=type, stream="workflow:wf_1", time=time)


def fold(*events: Event) -> WorkflowState:
    state = WorkflowState()
    for one in events:
        WORKFLOW_STATE.step(state, one)
    return state


BEGUN = (
    event("workflow_created", task="Explain", workflow="research", max_steps=4),
    event("workflow_status", status="pending"),
    event("workflow_status", 1, status="running", attempt=1),
    event("agent_spawned", 1, agent_id="research_001", agent_type="research", spawn_time=0.5),
)
COMPLETED = event(
    "agent_completed",
    3,
    agent_id="research_001",
    content="It is so.",
    confidence=0.8,
    tokens=12,
    llm_calls=1,
    seconds=2.0,
    model="extractive",
)
COMPLETE = event(
    "workflow_complete",
    9,
    status="completed",
    synthesis={"content": "So.", "confidence": 0.8, "agents_synthesized": 1, "token_count": 2, "more": 2**80},
    performance_metrics={"total_duration": 9.0, "llm_calls": 1, "total_tokens": 12},
)


def test_nothing_told_is_nothing_known():
    state = fold()
    assert (state.is_known, state.is_open, state.is_over) == (False, False, False)


def test_the_document_of_a_finished_one():
    document = to_document(fold(*BEGUN, COMPLETED, COMPLETE), "wf_1")
    assert (document["workflow_id"], document["status"], document["task"]) == ("wf_1", "completed", "Explain")
    assert document["created_at"] == "2026-02-02T02:40:00.000Z"
    assert document["completed_at"] == "2026-02-02T02:40:09.000Z"
    (agent,) = document["agents_spawned"]
    assert {name: agent[name] for name in ("agent_id", "agent_type", "spawn_time", "confidence")} == {
        "agent_id": "research_001",
        "agent_type": "research",
        "spawn_time": 0.5,
        "confidence": 0.8,
    }
    assert document["synthesis"] == {
        "content": "So.",
        "confidence": 0.8,
        "agents_synthesized": 1,
        "token_count": 2,
    }
    assert document["performance_metrics"] == {"total_duration": 9.0, "llm_calls": 1, "total_tokens": 12}
    assert document["error"] is None
    assert document["model"] == "extractive"
    msgspec.json.encode(document)


def test_a_runner_finds_what_it_needs_to_go_on():
    state = fold(*BEGUN, COMPLETED, event("agent_spawned", 4, agent_id="analysis_001", agent_type="analysis"))
    assert state.is_open
    assert state.attempt == 1
    assert state.agents["research_001"].content == "It is so."
    assert [one.status for one in state.agents.values()] == ["completed", "running"]


def test_an_agent_that_is_run_again_is_running_again():
    failed = event("agent_failed", 4, agent_id="research_001", error="no")
    state = fold(*BEGUN, failed)
    assert (state.agents["research_001"].status, state.agents["research_001"].error) == ("failed", "no")
    state = fold(*BEGUN, failed, BEGUN[-1])
    assert (state.agents["research_001"].status, state.agents["research_001"].error) == ("running", None)


def test_native_events_alone_make_a_workflow_that_nobody_is_to_run():
    state = fold(event("agent_output", agent_id="a", content="Hi"))
    assert state.is_known
    assert not state.is_open
    assert state.status == "pending"
    assert list(state.agents) == ["a"]


def test_the_status_of_the_end_comes_with_the_terminal_event_and_stays():
    state = fold(*BEGUN, event("workflow_status", status="completed"))
    assert state.status == "running"
    error = event("workflow_error", 5, error="Cancelled.", status="cancelled")
    state = fold(*BEGUN, error, COMPLETE, event("workflow_status", 10, status="running"))
    assert (state.status, state.error, state.synthesis) == ("cancelled", "Cancelled.", None)
    assert to_document(state, "wf_1")["completed_at"] == "2026-02-02T02:40:05.000Z"
    assert state.agents["research_001"].status == "stopped"


def test_the_first_answer_to_an_approval_counts():
    asked = event("approval_requested", 2, approval_id="a1", question="Go on?", details={"cost": 3})
    state = fold(*BEGUN, asked)
    (pending,) = to_document(state, "wf_1")["approvals"]
    assert (pending["question"], pending["details"], pending["approved"]) == ("Go on?", {"cost": 3}, None)
    yes = event("approval_resolved", 3, approval_id="a1", approved=True, by="ann", comment=None)
    no = event("approval_resolved", 4, approval_id="a1", approved=False, by="bob")
    state = fold(*BEGUN, asked, yes, no, asked)
    assert (state.approvals["a1"].approved, state.approvals["a1"].by) == (True, "ann")
    assert to_document(state, "wf_1")["approvals"] == []


def test_it_waits_for_a_question_of_its_own_until_that_is_answered_or_it_is_cancelled():
    own = event("approval_requested", approval_id="wf_1.1", question="Go on?")
    assert fold(*BEGUN, own).is_waiting
    assert not fold(*BEGUN, event("approval_requested", approval_id="theirs", question="?")).is_waiting
    assert not fold(*BEGUN, own, event("approval_resolved", approval_id="wf_1.1", approved=False)).is_waiting
    assert fold(*BEGUN, own, event("approval_resolved", approval_id="wf_1.2", approved=True)).is_waiting
    assert not fold(*BEGUN, own, event("workflow_command", command="cancel")).is_waiting
    assert not fold(*BEGUN, own, COMPLETE).is_waiting
    assert not fold(own).is_waiting  # nobody here runs it


def test_an_attempt_has_no_larger_number_than_the_next_one_can_be_told_with():
    state = fold(*BEGUN, event("workflow_status", status="running", attempt=2**53 - 1))
    assert state.attempt == 1_000_000
    rule = FIELDS["workflow_status"]["attempt"]
    assert rule("attempt", 1_000_000) == 1_000_000
    with pytest.raises(InvalidEvent, match="attempt: an integer from 1 to 1000000"):
        rule("attempt", 1_000_001)


def test_where_an_agents_output_and_the_end_are_is_known():
    long = event("agent_completed", agent_id="a", content="x" * 32_768, confidence=None)
    told = event("agent_output", agent_id="a", content="x", confidence=0.3)
    events = [told] + [event("agent_completed", agent_id=f"b{n}", content="y" * 32_768) for n in range(30)]
    numbered = [msgspec.structs.replace(one, seq=seq) for seq, one in enumerate([*events, long, COMPLETE], 1)]
    state = fold(*numbered)
    cut = state.agents["a"]
    assert (cut.is_cut, cut.seq, cut.confidence, cut.result_confidence) == (True, 32, 0.3, None)
    assert (state.agents["b0"].is_cut, state.agents["b0"].seq) == (False, 2)
    assert state.over_seq == 33


def test_nothing_is_asked_any_more_once_it_is_over():
    asked = event("approval_requested", 2, approval_id="a1", question="Go on?")
    assert to_document(fold(*BEGUN, asked, COMPLETE), "wf_1")["approvals"] == []


def test_a_command_to_cancel_is_remembered():
    state = fold(*BEGUN, event("workflow_command", command="cancel", by="ann", reason="Enough."))
    assert (state.cancel, state.cancelled_by, state.cancel_reason) == (True, "ann", "Enough.")
    assert state.is_open


def test_a_second_creation_changes_nothing():
    assert fold(*BEGUN, event("workflow_created", task="Other")).task == "Explain"


def test_the_state_is_bounded():
    state = fold(
        *(
            event("agent_completed", agent_id=f"a{n}", content="x" * 30_000, tokens=2**70, seconds=2**80)
            for n in range(MAX_AGENTS + 50)
        )
    )
    assert len(state.agents) == MAX_AGENTS
    assert sum(len(one.content) for one in state.agents.values()) < MAX_KEPT_CHARS + 300_000
    assert WORKFLOW_STATE.load(WORKFLOW_STATE.dump(state)) == state


@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(sorted(FIELDS)),
            st.dictionaries(
                st.sampled_from(sorted({name for rules in FIELDS.values() for name in rules})),
                st.sampled_from(["a", "b"]) | json_values,
                max_size=6,
            ),
        ),
        max_size=12,
    )
)
@PURE
def test_whatever_a_log_holds_is_folded_stored_and_shown(events: list[tuple[str, dict[str, Any]]]):
    state = WorkflowState()
    for type_, data in events:
        try:
            encoded = msgspec.json.encode(data)
        except (ValueError, OverflowError, UnicodeEncodeError):
            encoded = b"[1]"
        WORKFLOW_STATE.step(state, make_event(encoded, type=type_, stream="workflow:wf_1"))
    assert WORKFLOW_STATE.load(WORKFLOW_STATE.dump(state)) == state
    msgspec.json.encode(to_document(state, "wf_1"))


@pytest.mark.parametrize("data", [b"[]", b"5", b"{", b"\xff"])
def test_data_that_is_no_object_is_as_if_empty(data: bytes):
    for type_ in FIELDS:
        WORKFLOW_STATE.step(WorkflowState(), make_event(data, type=type_, stream="workflow:wf_1"))
