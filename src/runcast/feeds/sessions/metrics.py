"""The numbers that the session feed documents: clients, and what was sent to them, in this process."""

from __future__ import annotations

import time
from typing import Any

from runcast.core.scope import Scope
from runcast.live.bus import Bus
from runcast.live.topic import Topic

KIND = "session"


def session_metrics(bus: Bus, session_id: str) -> dict[str, Any]:
    """One session's numbers, or `{}` if nobody here watches it. Never blocks; needs no running loop."""
    topic = bus.topic(Scope(stream=f"{KIND}:{session_id}"))
    return {} if topic is None else {"session_id": session_id, **_numbers(topic)}


def global_metrics(bus: Bus) -> dict[str, Any]:
    """All sessions that are watched here, and totals since the start. Never blocks; needs no running loop."""
    topics = _topics(bus)
    traffic = bus.traffic(KIND)
    return {
        "active_sessions": sum(1 for topic in topics if topic.tail.scope.stream),
        "total_connected_clients": sum(len(topic.subscribers) for topic in topics),
        "total_events_broadcast": traffic.events,
        "total_bytes_sent": traffic.bytes,
        "sessions": {
            topic.tail.scope.stream.partition(":")[2]: _numbers(topic)
            for topic in topics
            if topic.tail.scope.stream
        },
    }


def _topics(bus: Bus) -> list[Topic]:
    return [topic for topic in bus.topics() if str(topic.tail.scope).startswith(f"{KIND}:")]


def _numbers(topic: Topic) -> dict[str, Any]:
    return {
        "connected_clients": len(topic.subscribers),
        "total_events_sent": topic.traffic.events,
        "total_bytes_sent": topic.traffic.bytes,
        "uptime_seconds": round(time.monotonic() - topic.traffic.since, 3),
    }
