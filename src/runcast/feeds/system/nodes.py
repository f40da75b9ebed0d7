"""`GET /api/v1/nodes`: the nodes of this log, as they have told it; the one that answers as it is now."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from runcast.core.event import format_time
from runcast.feeds.system.presence import Presence
from runcast.kinds.system_nodes import NODES, NODES_STATE, UP, Node
from runcast.live.bus import Bus
from runcast.transport.rest import json_response


class Nodes:
    """The handler. It raises `RuncastError`, which the app answers as a problem."""

    def __init__(self, bus: Bus, presence: Presence | None) -> None:
        self._bus = bus
        self._presence = presence

    async def index(self, request: Request) -> Response:
        """Those that are up, the oldest first; then those that went, the last one first."""
        del request
        found = dict((await self._bus.fold(NODES, NODES_STATE)).nodes)
        here = self._presence.here() if self._presence else None
        if here is not None:
            found[here.node_id] = here
        up = sorted((node for node in found.values() if node.status == UP), key=lambda node: node.joined)
        gone = [node for node in found.values() if node.status != UP]
        own_id = here.node_id if here else ""
        listed = [*up, *sorted(gone, key=lambda node: -node.gone)]
        return json_response(
            {
                "nodes": [_describe(node, own_id) for node in listed],
                "total": len(up),
                "shared": bool(self._presence and self._presence.is_shared),
            }
        )


def _describe(node: Node, own_id: str) -> dict[str, Any]:
    return {
        "node_id": node.node_id,
        "status": node.status,
        "is_this": node.node_id == own_id,
        "host": node.host,
        "pid": node.pid,
        "version": node.version,
        "interval_s": node.interval_s,
        "started_at": node.started_at or None,
        "joined_at": format_time(node.joined),
        "seen_at": format_time(node.seen),
        "gone_at": format_time(node.gone) if node.gone else None,
        "reason": node.reason or None,
        "load": msgspec.to_builtins(node.load),
    }
