"""`WS /api/v1/ws/system/events`: what happens to the server as a whole, from now on or from wherever one left off.

`…/nodes` is the same of what its nodes are at.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.types import Scope as ASGIScope

from runcast.core.filters import EVERYTHING
from runcast.core.scope import Scope
from runcast.feeds.system.wire import WELCOME, connection_stats, system_frames
from runcast.kinds.system import EVENTS
from runcast.kinds.system_nodes import NODES
from runcast.live.bus import Bus
from runcast.live.codec import Message
from runcast.live.cohort import Wish
from runcast.live.hub import NOW
from runcast.transport.feed_socket import FeedSocket
from runcast.transport.flat_socket import FlatClient
from runcast.transport.params import text_param
from runcast.transport.websocket import WebSocketPeer


def system_socket(bus: Bus) -> FeedSocket:
    """The ASGI endpoint."""
    return FeedSocket(bus, SystemClient)


def nodes_socket(bus: Bus) -> FeedSocket:
    """The ASGI endpoint of what the nodes are at."""
    return FeedSocket(bus, NodesClient)


class SystemClient(FlatClient):
    """A watcher of the system's stream."""

    stream = EVENTS

    def __init__(self, bus: Bus, peer: WebSocketPeer, scope: ASGIScope) -> None:
        super().__init__(bus, peer, scope)
        self.frames = system_frames()
        self.words = {"stats": self._tell_stats}

    async def admit(self) -> None:
        """Subscribe to the stream; see `FeedClient.subscribe` for what it raises."""
        scope = self.holds = Scope.of_stream(self.stream)
        self.access.check_read(self.stream)
        wish = Wish(self.frames, self.peer.framing, EVERYTHING, self.bus.settings.batch_size)
        await self.subscribe(scope, wish, text_param(self.query, "after", NOW))

    def greeting(self) -> Sequence[Message]:
        """`connected`."""
        return [self.frames.control("connected", self.bus.now_us(), {"message": WELCOME})]

    def _tell_stats(self) -> None:
        stats = connection_stats(self.bus, self.access.grants.may_read)
        self.tell(self.frames.control("stats", self.bus.now_us(), {"stats": stats}))


class NodesClient(SystemClient):
    """A watcher of the nodes' stream."""

    stream = NODES
