"""The live layer for AI agents: durable streams of events, watched live from anywhere in them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runcast.app import create_app
    from runcast.config import Settings
    from runcast.core.filters import EventSubscriptionFilter
    from runcast.feeds.sessions.manager import WebSocketManager
    from runcast.feeds.sessions.routes import create_sessions_router
    from runcast.live.bus import Bus

    __version__: str

__all__ = [
    "Bus",
    "EventSubscriptionFilter",
    "Settings",
    "WebSocketManager",
    "create_app",
    "create_sessions_router",
]

_HOMES = {
    "Bus": "runcast.live.bus",
    "EventSubscriptionFilter": "runcast.core.filters",
    "Settings": "runcast.config",
    "WebSocketManager": "runcast.feeds.sessions.manager",
    "create_app": "runcast.app",
    "create_sessions_router": "runcast.feeds.sessions.routes",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: what needs one part does not wait for the others (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - it takes 30 ms, and few ask

        return version("runcast")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
