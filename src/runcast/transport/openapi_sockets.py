"""What the OpenAPI document says of WebSockets, under `x-websockets`: OpenAPI itself has no word for them.

`SOCKETS` has every socket of the app; a test holds that none is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from starlette.routing import BaseRoute, WebSocketRoute

from runcast.transport.permission import permission_of


class Socket(NamedTuple):
    """One socket: what it is for, what it takes in its query, and what is said there."""

    summary: str
    query: tuple[str, ...]
    says: str


_AFTER: Final = "after"
_SESSION: Final = ("filter", _AFTER, "batch_size", "poll_interval", "max_rate", "format")
_SESSION_SAYS: Final = (
    'It tells batch (or event, with format=event), gap, reset, end and error; it takes {"type": "ping"} and '
    '{"type": "auth", "token": "…"}.'
)

SOCKETS: Final[dict[str, Socket]] = {
    "/api/v1/stream": Socket(
        "Any streams, as many as one likes",
        (),
        "It takes subscribe, unsubscribe, publish, auth and ping, each with an id that the reply repeats; it tells "
        "events, checkpoint, gap, reset, end and ping.",
    ),
    "/ws/events/{session_id}": Socket("The events of a session", _SESSION, _SESSION_SAYS),
    "/ws/events": Socket("The events of all sessions", _SESSION, _SESSION_SAYS),
    "/api/v1/ws/workflows/{workflow_id}": Socket(
        "A workflow, from its start to its end",
        ("event_types", "agent_id", "min_confidence", _AFTER),
        "It tells connected, then every event of the workflow that passes the filter, the terminal one in any case, "
        "and closes with 1000 then. It takes ping, pong and status as plain text.",
    ),
    "/api/v1/ws/system/events": Socket(
        "What happens to the server as a whole",
        (_AFTER,),
        "It tells connected, then agents, approvals, documents, nodes and the status as they change. It takes ping, pong "
        "and stats as plain text.",
    ),
    "/api/v1/ws/system/nodes": Socket(
        "What the nodes of this log are at",
        (_AFTER,),
        "It tells connected, then node_joined, node_load, node_left and node_lost. It takes ping, pong and stats as plain "
        "text.",
    ),
    "/ws/agent-progress/{task_id}": Socket(
        "A task, from the start of its run to its end",
        (_AFTER,),
        "It tells connected, then the task's messages, heartbeats between them, and closes with 1000 after completed or "
        "failed. It takes ping.",
    ),
    "/ws/chat": Socket(
        "A person's conversations",
        ("token", "partial", "sessions"),
        "It tells auth_success or auth_error first, then progress, token, complete, error and what members do; it takes "
        "auth, message, cancel, resume, typing, read, edit and delete, and attachments as binary messages.",
    ),
    "/api/v1/streaming/ws/{client_id}": Socket(
        "Plans, subscribed to by action",
        ("plan_id", _AFTER),
        'It takes {"action": "subscribe", "plan_id": "…"}, and the actions unsubscribe, ping, pause, resume, cancel, '
        "retry_step and skip_step; it tells the events of the plans.",
    ),
}

DESCRIPTIONS: Final[dict[str, str]] = {
    "after": "start, now, or a cursor: the last event that was seen",
    "agent_id": "what these agents tell; several by commas",
    "batch_size": "events in a message, 1 to 1,000",
    "event_types": "events of these types; several by commas",
    "filter": "which events are wanted, as JSON",
    "format": "batch or event",
    "max_rate": "events per second",
    "token": "a token or an API key; or in the first message",
    "sessions": "1 tells session_changed when one of the person's conversations changes",
    "partial": "0 leaves partial_response out of token frames",
    "min_confidence": "events of at least this confidence, 0 to 1",
    "plan_id": "a plan to be subscribed to from the beginning",
    "poll_interval": "milliseconds: at most one message in so many",
}


def described_sockets(routes: Iterable[BaseRoute]) -> list[dict[str, Any]]:
    """The sockets of an app, by what is known of them."""
    return [
        _describe(path, SOCKETS[path], route)
        for route in routes
        if isinstance(route, WebSocketRoute) and (path := route.path_format) in SOCKETS
    ]


def _describe(path: str, socket: Socket, route: WebSocketRoute) -> dict[str, Any]:
    permission = permission_of(route.app)
    query = [
        {"name": name, "in": "query", "schema": {"type": "string", "description": DESCRIPTIONS[name]}}
        for name in socket.query
    ]
    return {
        "path": path,
        "summary": socket.summary,
        "says": socket.says,
        "parameters": query,
        "x-permission": permission.name if permission else None,
    }
