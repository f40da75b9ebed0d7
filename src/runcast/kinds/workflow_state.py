"""What a workflow has come to: a fold over its stream, for those who ask and for a runner that goes on.

Bounded, whatever was published: see the limits below. What comes after the first terminal event changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import msgspec

from runcast.core.event import Event, format_time
from runcast.kinds.base import Fold
from runcast.kinds.session import cut_text

MAX_AGENTS: Final = 200
MAX_APPROVALS: Final = 200
MAX_KEPT_CHARS: Final = 1_000_000
"""Of the outputs of all agents together; those that come later are cut to `CUT_CHARS`."""
CUT_CHARS: Final = 1_000
MAX_DETAILS_BYTES: Final = 16_384
"""Details of an approval that are longer are read from the stream by who wants them."""
MAX_COUNT: Final = 2**53 - 1
OVER: Final = frozenset({"completed", "failed", "cancelled"})


class Agent(msgspec.Struct):
    """One agent. `content` is empty until it has completed; `spawn_time` in seconds since the run began."""

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
    def pending_approvals(self) -> list[Approval]:
        """Those that nobody has answered; none once the run is over."""
        if self.is_over:
            return []
        return [approval for approval in self.approvals.values() if approval.approved is None]


Fields = dict[str, Any]


def step(state: WorkflowState, event: Event) -> None:
    """Take one event into `state`, in place."""
    if not state.created_at:
        state.created_at, state.status = event.time or 1, "pending"
    if state.is_over:
        return
    state.updated_at = max(event.time, state.updated_at)
    take = _TAKES.get(event.type)
    if take is not None:
        take(state, _fields_of(event), event.time)


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


def _created(state: WorkflowState, fields: Fields, time: int) -> None:
    if state.managed:
        return
    state.managed, state.created_at = True, time or 1
    state.task, state.workflow = _text(fields, "task") or "", _text(fields, "workflow") or "research"
    state.max_steps = _whole(fields, "max_steps") or None
    state.parent_workflow_id, state.by = _text(fields, "parent_workflow_id"), _text(fields, "by")


def _status(state: WorkflowState, fields: Fields, time: int) -> None:
    status = _text(fields, "status") or state.status
    if status == "pending" and not state.managed:
        state.status = status
    elif status not in {"pending", *OVER}:  # of its end only the terminal event tells
        state.status = status
        state.began_at = state.began_at or time
        state.attempt = max(state.attempt, _whole(fields, "attempt") or 1)


def _spawned(state: WorkflowState, fields: Fields, _: int) -> None:
    agent = _agent(state, fields)
    if agent is None:
        return
    agent.agent_type = _text(fields, "agent_type") or agent.agent_type
    agent.spawn_time = _number(fields, "spawn_time") or 0.0
    agent.confidence = _number(fields, "confidence")
    agent.status, agent.error = "running", None


def _output(state: WorkflowState, fields: Fields, _: int) -> None:
    agent = _agent(state, fields)
    confidence = _number(fields, "confidence")
    if agent is not None and confidence is not None:
        agent.confidence = confidence


def _completed(state: WorkflowState, fields: Fields, _: int) -> None:
    agent = _agent(state, fields)
    if agent is None:
        return
    content = _text(fields, "content") or ""
    state.kept_chars -= len(agent.content)
    if state.kept_chars + len(content) > MAX_KEPT_CHARS:
        content = cut_text(content, CUT_CHARS)
    state.kept_chars += len(content)
    agent.status, agent.content, agent.error = "completed", content, None
    confidence = _number(fields, "confidence")
    agent.confidence = agent.confidence if confidence is None else confidence
    agent.tokens, agent.llm_calls = _whole(fields, "tokens") or 0, _whole(fields, "llm_calls") or 0
    agent.seconds, agent.model = _number(fields, "seconds") or 0.0, _text(fields, "model")
    state.model = agent.model or state.model


def _failed(state: WorkflowState, fields: Fields, _: int) -> None:
    agent = _agent(state, fields)
    if agent is not None:
        agent.status, agent.error = "failed", _text(fields, "error") or ""


def _progress(state: WorkflowState, fields: Fields, _: int) -> None:
    percent, eta_s = _number(fields, "percent") or 0.0, _number(fields, "eta_seconds")
    state.progress = Progress(percent, eta_s, _text(fields, "message") or "")


def _resources(state: WorkflowState, fields: Fields, _: int) -> None:
    state.resources = Resources(
        _whole(fields, "tokens") or 0,
        _whole(fields, "llm_calls") or 0,
        _number(fields, "llm_latency_ms") or 0.0,
        _number(fields, "memory_mb") or 0.0,
    )


def _requested(state: WorkflowState, fields: Fields, time: int) -> None:
    approval_id = _text(fields, "approval_id")
    if approval_id is None or approval_id in state.approvals or len(state.approvals) >= MAX_APPROVALS:
        return
    details = msgspec.json.encode(_object(fields, "details"))
    kept = details if len(details) <= MAX_DETAILS_BYTES else b"{}"
    state.approvals[approval_id] = Approval(approval_id, _text(fields, "question") or "", kept, time)


def _resolved(state: WorkflowState, fields: Fields, time: int) -> None:
    approval_id, approved = _text(fields, "approval_id"), fields.get("approved")
    if approval_id is None or not isinstance(approved, bool):
        return
    if approval_id not in state.approvals and len(state.approvals) >= MAX_APPROVALS:
        return
    approval = state.approvals.setdefault(approval_id, Approval(approval_id, requested_at=time))
    if approval.approved is None:  # the first answer counts
        approval.approved = approved
        approval.by, approval.comment = _text(fields, "by"), _text(fields, "comment")


def _command(state: WorkflowState, fields: Fields, _: int) -> None:
    if fields.get("command") == "cancel" and not state.cancel:
        state.cancel, state.cancelled_by = True, _text(fields, "by")
        state.cancel_reason = _text(fields, "reason")


def _complete(state: WorkflowState, fields: Fields, time: int) -> None:
    state.status, state.completed_at = "completed", time or 1
    synthesis, performance = _object(fields, "synthesis"), _object(fields, "performance_metrics")
    state.synthesis = Synthesis(
        _text(synthesis, "content") or "",
        _number(synthesis, "confidence") or 0.0,
        _whole(synthesis, "agents_synthesized") or 0,
        _whole(synthesis, "token_count") or 0,
    )
    state.performance = Performance(
        _number(performance, "total_duration") or 0.0,
        _whole(performance, "llm_calls") or 0,
        _whole(performance, "total_tokens") or 0,
    )
    state.model = _text(fields, "model") or state.model


def _error(state: WorkflowState, fields: Fields, time: int) -> None:
    state.status = "cancelled" if fields.get("status") == "cancelled" else "failed"
    state.completed_at, state.error = time or 1, _text(fields, "error") or "The workflow failed."
    for agent in state.agents.values():
        if agent.status == "running":
            agent.status = "stopped"


def _agent(state: WorkflowState, fields: Fields) -> Agent | None:
    """The agent that an event names, begun if it is not there; None if it has none or there are too many."""
    agent_id = _text(fields, "agent_id")
    if agent_id is None or (agent_id not in state.agents and len(state.agents) >= MAX_AGENTS):
        return None
    return state.agents.setdefault(agent_id, Agent(agent_id))


_TAKES: Final[dict[str, Callable[[WorkflowState, Fields, int], None]]] = {
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


# --- reading fields: a log may hold what an older version let pass ------------------------------


def _fields_of(event: Event) -> Fields:
    try:
        fields = msgspec.json.decode(event.data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return cast("Fields", fields) if isinstance(fields, dict) else {}


def _text(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and value else None


def _number(fields: Fields, name: str) -> float | None:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= MAX_COUNT else None


def _whole(fields: Fields, name: str) -> int | None:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_COUNT else None


def _object(fields: Fields, name: str) -> Fields:
    value = fields.get(name)
    return cast("Fields", value) if isinstance(value, dict) else {}


WORKFLOW_STATE: Final = Fold("workflow", 1, WorkflowState, step, keep_every=16)
