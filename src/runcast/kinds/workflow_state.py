"""What a workflow has come to: a fold over its stream, for those who ask and for a runner that goes on.

Bounded, whatever was published: see the limits below. What comes after the first terminal event changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from runcast.core.event import Event, format_time
from runcast.kinds.base import Fold
from runcast.kinds.session import cut_text
from runcast.kinds.stored import Fields, fields_of, inner, number, text, whole
from runcast.kinds.workflow_fields import MAX_ATTEMPTS

MAX_AGENTS: Final = 200
MAX_APPROVALS: Final = 200
MAX_KEPT_CHARS: Final = 1_000_000
"""Of the outputs of all agents together; those that come later are cut to `CUT_CHARS`."""
CUT_CHARS: Final = 1_000
MAX_DETAILS_BYTES: Final = 16_384
"""Details of an approval that are longer are read from the stream by who wants them."""
OVER: Final = frozenset({"completed", "failed", "cancelled"})


class Agent(msgspec.Struct):
    """One agent. `content` is empty until it has completed; `spawn_time` in seconds since the run began.

    `seq` is that of its `agent_completed`, which has the whole content where `is_cut` says that this is not; and
    `result_confidence` what that said of the result, or None, while `confidence` is whatever was said last.
    """

    agent_id: str
    agent_type: str = "unknown"
    spawn_time: float = 0.0
    confidence: float | None = None
    status: str = "running"
    content: str = ""
    tokens: int = 0
    llm_calls: int = 0
    seconds: float = 0.0
    model: str | None = None
    error: str | None = None
    seq: int = 0
    is_cut: bool = False
    result_confidence: float | None = None


class Approval(msgspec.Struct):
    """Something that a person is asked; `approved` is None until the first answer. `details` is a JSON object."""

    approval_id: str
    question: str = ""
    details: bytes = b"{}"
    requested_at: int = 0
    approved: bool | None = None
    by: str | None = None
    comment: str | None = None


class Synthesis(msgspec.Struct):
    """What came out."""

    content: str = ""
    confidence: float = 0.0
    agents_synthesized: int = 0
    token_count: int = 0


class Performance(msgspec.Struct):
    """What it took; `total_duration` in seconds."""

    total_duration: float = 0.0
    llm_calls: int = 0
    total_tokens: int = 0


class Progress(msgspec.Struct):
    """How far it says that it is."""

    percent: float = 0.0
    eta_seconds: float | None = None
    message: str = ""


class Resources(msgspec.Struct):
    """What it has used so far, as last told."""

    tokens: int = 0
    llm_calls: int = 0
    llm_latency_ms: float = 0.0
    memory_mb: float = 0.0


class WorkflowState(msgspec.Struct):
    """Everything that is known of one run. Times are in microseconds since the Unix epoch.

    `managed`: it was begun by `workflow_created`, so a runner is to bring it to its end; of others only somebody
    else's events are known. `attempt` is 0 until a runner began. `cancel` is set when a command to cancel came.
    `waits_for` is the question of its own that nobody has answered yet, `over_seq` the seq of the terminal event.
    """

    status: str = ""
    managed: bool = False
    task: str = ""
    workflow: str | None = None
    max_steps: int | None = None
    parent_workflow_id: str | None = None
    by: str | None = None
    attempt: int = 0
    created_at: int = 0
    began_at: int = 0
    updated_at: int = 0
    completed_at: int = 0
    agents: dict[str, Agent] = {}
    kept_chars: int = 0
    synthesis: Synthesis | None = None
    performance: Performance | None = None
    resources: Resources = msgspec.field(default_factory=Resources)
    error: str | None = None
    model: str | None = None
    progress: Progress | None = None
    approvals: dict[str, Approval] = {}
    cancel: bool = False
    cancelled_by: str | None = None
    cancel_reason: str | None = None
    waits_for: str | None = None
    over_seq: int = 0

    @property
    def is_known(self) -> bool:
        """Whether anything was ever told of it."""
        return self.created_at > 0

    @property
    def is_over(self) -> bool:
        """Whether a terminal event came."""
        return self.completed_at > 0

    @property
    def is_open(self) -> bool:
        """Whether a runner is to bring it to its end."""
        return self.managed and not self.is_over

    @property
    def is_waiting(self) -> bool:
        """Whether nothing can be done before a person has answered, or has cancelled it."""
        return self.is_open and self.waits_for is not None and not self.cancel

    @property
    def pending_approvals(self) -> list[Approval]:
        """Those that nobody has answered; none once the run is over."""
        if self.is_over:
            return []
        return [approval for approval in self.approvals.values() if approval.approved is None]


def step(state: WorkflowState, event: Event) -> None:
    """Take one event into `state`, in place."""
    if not state.created_at:
        state.created_at, state.status = event.time or 1, "pending"
    if state.is_over:
        return
    state.updated_at = max(event.time, state.updated_at)
    take = _TAKES.get(event.type)
    if take is not None:
        take(state, fields_of(event), event)


def to_document(state: WorkflowState, workflow_id: str) -> dict[str, Any]:
    """What a client is told that asks for the workflow; the documented names, and some more."""
    return {
        "workflow_id": workflow_id,
        "status": state.status,
        "task": state.task,
        "created_at": format_time(state.created_at),
        "completed_at": format_time(state.completed_at) if state.is_over else None,
        "agents_spawned": [_agent_document(agent) for agent in state.agents.values()],
        "synthesis": msgspec.to_builtins(state.synthesis),
        "performance_metrics": msgspec.to_builtins(state.performance),
        "error": state.error,
        "workflow": state.workflow,
        "max_steps": state.max_steps,
        "parent_workflow_id": state.parent_workflow_id,
        "by": state.by,
        "attempt": state.attempt,
        "model": state.model,
        "updated_at": format_time(state.updated_at),
        "progress": msgspec.to_builtins(state.progress),
        "resources": msgspec.to_builtins(state.resources),
        "approvals": [approval_document(one, workflow_id) for one in state.pending_approvals],
    }


def approval_document(approval: Approval, workflow_id: str) -> dict[str, Any]:
    """What is told of something that a person is asked."""
    return {
        "approval_id": approval.approval_id,
        "workflow_id": workflow_id,
        "question": approval.question,
        "details": msgspec.json.decode(approval.details),
        "requested_at": format_time(approval.requested_at),
        "approved": approval.approved,
        "by": approval.by,
        "comment": approval.comment,
    }


def _agent_document(agent: Agent) -> dict[str, Any]:
    return {
        "agent_id": agent.agent_id,
        "agent_type": agent.agent_type,
        "spawn_time": agent.spawn_time,
        "confidence": agent.confidence,
        "status": agent.status,
        "content": agent.content,
        "tokens": agent.tokens,
        "llm_calls": agent.llm_calls,
        "seconds": agent.seconds,
        "model": agent.model,
        "error": agent.error,
    }


# --- one function for each type -----------------------------------------------------------------


def _created(state: WorkflowState, fields: Fields, event: Event) -> None:
    if state.managed:
        return
    state.managed, state.created_at = True, event.time or 1
    state.task, state.workflow = text(fields, "task") or "", text(fields, "workflow") or "research"
    state.max_steps = whole(fields, "max_steps") or None
    state.parent_workflow_id, state.by = text(fields, "parent_workflow_id"), text(fields, "by")


def _status(state: WorkflowState, fields: Fields, event: Event) -> None:
    status = text(fields, "status") or state.status
    if status == "pending" and not state.managed:
        state.status = status
    elif status not in {"pending", *OVER}:  # of its end only the terminal event tells
        state.status = status
        state.began_at = state.began_at or event.time
        state.attempt = min(max(state.attempt, whole(fields, "attempt") or 1), MAX_ATTEMPTS)


def _spawned(state: WorkflowState, fields: Fields, _: Event) -> None:
    agent = _agent(state, fields)
    if agent is None:
        return
    agent.agent_type = text(fields, "agent_type") or agent.agent_type
    agent.spawn_time = number(fields, "spawn_time") or 0.0
    agent.confidence = number(fields, "confidence")
    agent.status, agent.error = "running", None


def _output(state: WorkflowState, fields: Fields, _: Event) -> None:
    agent = _agent(state, fields)
    confidence = number(fields, "confidence")
    if agent is not None and confidence is not None:
        agent.confidence = confidence


def _completed(state: WorkflowState, fields: Fields, event: Event) -> None:
    agent = _agent(state, fields)
    if agent is None:
        return
    content = text(fields, "content") or ""
    state.kept_chars -= len(agent.content)
    agent.seq, agent.is_cut = event.seq, False
    if state.kept_chars + len(content) > MAX_KEPT_CHARS:
        kept = cut_text(content, CUT_CHARS)
        content, agent.is_cut = kept, kept != content
    state.kept_chars += len(content)
    agent.status, agent.content, agent.error = "completed", content, None
    confidence = number(fields, "confidence")
    agent.result_confidence = confidence
    agent.confidence = agent.confidence if confidence is None else confidence
    agent.tokens, agent.llm_calls = whole(fields, "tokens") or 0, whole(fields, "llm_calls") or 0
    agent.seconds, agent.model = number(fields, "seconds") or 0.0, text(fields, "model")
    state.model = agent.model or state.model


def _failed(state: WorkflowState, fields: Fields, _: Event) -> None:
    agent = _agent(state, fields)
    if agent is not None:
        agent.status, agent.error = "failed", text(fields, "error") or ""


def _progress(state: WorkflowState, fields: Fields, _: Event) -> None:
    percent, eta_s = number(fields, "percent") or 0.0, number(fields, "eta_seconds")
    state.progress = Progress(percent, eta_s, text(fields, "message") or "")


def _resources(state: WorkflowState, fields: Fields, _: Event) -> None:
    state.resources = Resources(
        whole(fields, "tokens") or 0,
        whole(fields, "llm_calls") or 0,
        number(fields, "llm_latency_ms") or 0.0,
        number(fields, "memory_mb") or 0.0,
    )


def _requested(state: WorkflowState, fields: Fields, event: Event) -> None:
    approval_id = text(fields, "approval_id")
    if approval_id is None or approval_id in state.approvals or len(state.approvals) >= MAX_APPROVALS:
        return
    details = msgspec.json.encode(inner(fields, "details"))
    kept = details if len(details) <= MAX_DETAILS_BYTES else b"{}"
    state.approvals[approval_id] = Approval(approval_id, text(fields, "question") or "", kept, event.time)
    workflow_id = event.stream.partition(":")[2]
    if approval_id.startswith(
        f"{workflow_id}."
    ):  # others may ask on its stream, too: that is waited for elsewhere
        state.waits_for = approval_id


def _resolved(state: WorkflowState, fields: Fields, event: Event) -> None:
    approval_id, approved = text(fields, "approval_id"), fields.get("approved")
    if approval_id is None or not isinstance(approved, bool):
        return
    if approval_id not in state.approvals and len(state.approvals) >= MAX_APPROVALS:
        return
    if approval_id == state.waits_for:
        state.waits_for = None
    approval = state.approvals.setdefault(approval_id, Approval(approval_id, requested_at=event.time))
    if approval.approved is None:  # the first answer counts
        approval.approved = approved
        approval.by, approval.comment = text(fields, "by"), text(fields, "comment")


def _command(state: WorkflowState, fields: Fields, _: Event) -> None:
    if fields.get("command") == "cancel" and not state.cancel:
        state.cancel, state.cancelled_by = True, text(fields, "by")
        state.cancel_reason = text(fields, "reason")


def _complete(state: WorkflowState, fields: Fields, event: Event) -> None:
    state.status, state.completed_at, state.over_seq = "completed", event.time or 1, event.seq
    synthesis, performance = inner(fields, "synthesis"), inner(fields, "performance_metrics")
    state.synthesis = Synthesis(
        text(synthesis, "content") or "",
        number(synthesis, "confidence") or 0.0,
        whole(synthesis, "agents_synthesized") or 0,
        whole(synthesis, "token_count") or 0,
    )
    state.performance = Performance(
        number(performance, "total_duration") or 0.0,
        whole(performance, "llm_calls") or 0,
        whole(performance, "total_tokens") or 0,
    )
    state.model = text(fields, "model") or state.model


def _error(state: WorkflowState, fields: Fields, event: Event) -> None:
    state.status = "cancelled" if fields.get("status") == "cancelled" else "failed"
    state.completed_at, state.over_seq = event.time or 1, event.seq
    state.error = text(fields, "error") or "The workflow failed."
    for agent in state.agents.values():
        if agent.status == "running":
            agent.status = "stopped"


def _agent(state: WorkflowState, fields: Fields) -> Agent | None:
    """The agent that an event names, begun if it is not there; None if it has none or there are too many."""
    agent_id = text(fields, "agent_id")
    if agent_id is None or (agent_id not in state.agents and len(state.agents) >= MAX_AGENTS):
        return None
    return state.agents.setdefault(agent_id, Agent(agent_id))


_TAKES: Final[dict[str, Callable[[WorkflowState, Fields, Event], None]]] = {
    "workflow_created": _created,
    "workflow_status": _status,
    "agent_spawned": _spawned,
    "agent_output": _output,
    "agent_completed": _completed,
    "agent_failed": _failed,
    "workflow_progress": _progress,
    "resource_metrics": _resources,
    "approval_requested": _requested,
    "approval_resolved": _resolved,
    "workflow_command": _command,
    "workflow_complete": _complete,
    "workflow_error": _error,
}


WORKFLOW_STATE: Final = Fold("workflow", 2, WorkflowState, step, keep_every=16)
