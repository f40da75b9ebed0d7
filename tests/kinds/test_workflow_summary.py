"""What a list says of a workflow: the same as its state says, and little."""

from __future__ import annotations

from typing import Any

from runcast.core.event import Event
from runcast.kinds.base import Publish, accept
from runcast.kinds.workflow import WORKFLOW
from runcast.kinds.workflow_state import WORKFLOW_STATE, WorkflowState, to_document
from runcast.kinds.workflow_summary import MAX_CONTENT_CHARS, WORKFLOW_SUMMARY

LONG = "x" * 20_000
STORY: list[tuple[str, dict[str, Any]]] = [
    ("workflow_created", {"task": "Explain", "by": "ann"}),
    ("workflow_status", {"status": "running"}),
    ("agent_spawned", {"agent_id": "a", "agent_type": "research", "spawn_time": 0.5}),
    *[("agent_output", {"agent_id": "a", "content": LONG})] * 3,
    ("resource_metrics", {"tokens": 5}),
    ("agent_completed", {"agent_id": "a", "content": LONG, "confidence": 0.7, "tokens": 9}),
    ("approval_requested", {"approval_id": "q", "question": "May I?", "details": {"text": LONG[:9_000]}}),
    ("workflow_progress", {"percent": 40, "eta_seconds": 3}),
]
END = ("workflow_complete", {"synthesis": {"content": LONG, "confidence": 0.8, "extra": LONG}})


def states(*story: tuple[str, dict[str, Any]]) -> tuple[WorkflowState, WorkflowState]:
    """The state and the summary after a story."""
    whole, brief = WorkflowState(), WorkflowState()
    for number, (event_type, data) in enumerate(story, 1):
        new = accept(
            WORKFLOW, Publish(stream="workflow:w", type=event_type, data=data, time=number), 10**9, 2**20
        )
        event = Event("workflow:w", "e", number, number, f"id{number}", event_type, new.time, new.data)
        WORKFLOW_STATE.step(whole, event)
        WORKFLOW_SUMMARY.step(brief, event)
    return whole, brief


def without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


def test_it_says_what_the_state_says_but_for_what_is_long() -> None:
    whole, brief = (to_document(state, "w") for state in states(*STORY))
    long = ("agents_spawned", "approvals", "resources", "updated_at")
    assert without(brief, *long) == without(whole, *long)
    (agent,) = brief["agents_spawned"]
    assert {**agent, "content": LONG} == whole["agents_spawned"][0]
    assert [one["approval_id"] for one in brief["approvals"]] == ["q"]


def test_it_stays_small() -> None:
    _, brief = states(*STORY, END)
    assert (brief.status, brief.is_over) == ("completed", True)
    assert brief.synthesis is not None
    assert len(brief.synthesis.content) == MAX_CONTENT_CHARS
    assert brief.synthesis.confidence == 0.8
    assert len(WORKFLOW_SUMMARY.dump(brief)) < 3_000


def test_a_workflow_of_outputs_alone_is_known() -> None:
    _, brief = states(("agent_output", {"agent_id": "a", "content": "x"}))
    assert brief.is_known
    assert list(brief.agents) == ["a"]
