"""What a list says of a workflow: its state without what is long, so that thousands can be looked through at once."""

from __future__ import annotations

from typing import Final

from runcast.core.event import Event
from runcast.kinds.base import Fold
from runcast.kinds.session import cut_text
from runcast.kinds.workflow_state import WorkflowState, step

MAX_CONTENT_CHARS: Final = 1_000
"""Of the synthesis; the rest is in the workflow's own document."""

_MANY: Final = frozenset({"agent_output", "resource_metrics"})
"""Types of which there are many and that change nothing here."""


def summarise(state: WorkflowState, event: Event) -> None:
    """Take one event into the state, in place: as `step`, but for the texts of agents and details of approvals."""
    if event.type in _MANY and state.is_known:
        return
    step(state, event)
    match event.type:
        case "agent_completed":
            for agent in state.agents.values():
                agent.content = ""
            state.kept_chars = 0
        case "approval_requested":
            for approval in state.approvals.values():
                approval.details = b"{}"
        case "workflow_complete" if state.synthesis:
            state.synthesis.content = cut_text(state.synthesis.content, MAX_CONTENT_CHARS)
        case _:
            pass


WORKFLOW_SUMMARY: Final = Fold("workflow_summary", 2, WorkflowState, summarise, keep_every=1)
