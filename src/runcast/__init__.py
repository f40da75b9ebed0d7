"""The live layer for AI agents: durable streams of events, watched live from anywhere in them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runcast.app import create_app
    from runcast.config import Settings
    from runcast.core.filters import EventSubscriptionFilter
    from runcast.feeds.plans.events import EventType, StreamEvent
    from runcast.feeds.plans.manager import StreamingManager
    from runcast.feeds.plans.registered import ClientConnection
    from runcast.feeds.plans.streaming_routes import create_streaming_router
    from runcast.feeds.plans.wrapper import StreamingExecutionWrapper
    from runcast.feeds.sessions.manager import WebSocketManager
    from runcast.feeds.sessions.routes import create_sessions_router
    from runcast.feeds.workflows.manager import ConnectionManager
    from runcast.live.bus import Bus
    from runcast.runners.chat.responder import responder
    from runcast.runners.plans.context import StepContext
    from runcast.runners.plans.doing import StepError
    from runcast.runners.plans.registry import plan_gate, plan_step
    from runcast.runners.tasks.context import TaskContext
    from runcast.runners.tasks.failure import TaskError
    from runcast.runners.tasks.registry import task
    from runcast.runners.workflows.context import Agent, AgentContext, AgentResult, Context
    from runcast.runners.workflows.failure import AgentFailed, Cancelled, WorkflowError
    from runcast.runners.workflows.registry import workflow
    from runcast.sources.progress import ProgressPublisher

    __version__: str

__all__ = [
    "Agent",
    "AgentContext",
    "AgentFailed",
    "AgentResult",
    "Bus",
    "Cancelled",
    "ClientConnection",
    "ConnectionManager",
    "Context",
    "EventSubscriptionFilter",
    "EventType",
    "ProgressPublisher",
    "Settings",
    "StepContext",
    "StepError",
    "StreamEvent",
    "StreamingExecutionWrapper",
    "StreamingManager",
    "TaskContext",
    "TaskError",
    "WebSocketManager",
    "WorkflowError",
    "create_app",
    "create_sessions_router",
    "create_streaming_router",
    "plan_gate",
    "plan_step",
    "responder",
    "task",
    "workflow",
]

_HOMES = {
    "Agent": "runcast.runners.workflows.context",
    "AgentContext": "runcast.runners.workflows.context",
    "AgentFailed": "runcast.runners.workflows.failure",
    "AgentResult": "runcast.runners.workflows.context",
    "Bus": "runcast.live.bus",
    "Cancelled": "runcast.runners.workflows.failure",
    "ClientConnection": "runcast.feeds.plans.registered",
    "ConnectionManager": "runcast.feeds.workflows.manager",
    "Context": "runcast.runners.workflows.context",
    "EventSubscriptionFilter": "runcast.core.filters",
    "EventType": "runcast.feeds.plans.events",
    "ProgressPublisher": "runcast.sources.progress",
    "Settings": "runcast.config",
    "StepContext": "runcast.runners.plans.context",
    "StepError": "runcast.runners.plans.doing",
    "StreamEvent": "runcast.feeds.plans.events",
    "StreamingExecutionWrapper": "runcast.feeds.plans.wrapper",
    "StreamingManager": "runcast.feeds.plans.manager",
    "TaskContext": "runcast.runners.tasks.context",
    "TaskError": "runcast.runners.tasks.failure",
    "WebSocketManager": "runcast.feeds.sessions.manager",
    "WorkflowError": "runcast.runners.workflows.failure",
    "create_app": "runcast.app",
    "create_sessions_router": "runcast.feeds.sessions.routes",
    "create_streaming_router": "runcast.feeds.plans.streaming_routes",
    "plan_gate": "runcast.runners.plans.registry",
    "plan_step": "runcast.runners.plans.registry",
    "responder": "runcast.runners.chat.responder",
    "task": "runcast.runners.tasks.registry",
    "workflow": "runcast.runners.workflows.registry",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: what needs one part does not wait for the others (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - it takes 30 ms, and few ask

        return version("runcast")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
