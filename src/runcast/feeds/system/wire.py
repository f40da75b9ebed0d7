"""The frames of the system feed: flat, `{"type", …}`, as those of the workflow feed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from runcast.core.event import split_stream
from runcast.kinds.system import encode_frame
from runcast.live.bus import Bus
from runcast.transport.flat_frames import FlatFrames

KEY: Final = "system"
WELCOME: Final = "Connected to system events"


def system_frames() -> FlatFrames:
    """How the system's stream is told."""
    return FlatFrames(KEY, encode_frame)


def connection_stats(bus: Bus, may_read: Callable[[str], bool]) -> dict[str, Any]:
    """Who is connected to this process, in all and by each workflow that may be read. Needs no running loop."""
    watched = {
        topic.tail.scope.stream: len(topic.subscribers) for topic in bus.topics() if topic.tail.scope.stream
    }
    workflows = {
        workflow_id: count
        for stream, count in watched.items()
        for kind, workflow_id in [split_stream(stream)]
        if kind == "workflow" and may_read(stream)
    }
    traffic = bus.traffic()
    return {
        "total_connections": bus.live_statistics().connections,
        "system_connections": watched.get("system:events", 0),
        "active_workflows": len(workflows),
        "workflow_connections": workflows,
        "total_events_sent": traffic.events,
        "total_bytes_sent": traffic.bytes,
    }
