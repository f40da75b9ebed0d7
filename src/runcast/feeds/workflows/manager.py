"""The documented Python class of the workflow feed, over a bus: any WebSocket object with `async send_text(str)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from runcast.core.closing import NORMAL
from runcast.core.event import stream_name
from runcast.core.filters import EVERYTHING
from runcast.core.scope import Scope
from runcast.feeds.workflows.socket import THE_END
from runcast.feeds.workflows.wire import connected_frame, from_frame, workflow_frames
from runcast.kinds.base import Publish
from runcast.kinds.system import EVENTS, SYSTEM
from runcast.kinds.system import encode_frame as encode_system_frame
from runcast.kinds.workflow import NAME, WORKFLOW
from runcast.live.bus import Bus
from runcast.live.codec import Message
from runcast.live.cohort import Wish
from runcast.live.hub import NOW, START
from runcast.live.subscriber import Subscriber
from runcast.transport.flat_frames import FlatFrames, publish_of
from runcast.transport.framing import TEXTS
from runcast.transport.own_bus import own_bus
from runcast.transport.text_client import TextClient, TextSocket, accept


class _Place(NamedTuple):
    """One connected WebSocket, and the workflow that it watches, if any."""

    client: TextClient
    workflow_id: str | None


class ConnectionManager:
    """Connects WebSockets of one's own app to workflows, and tells them something.

    What is sent to a workflow or to all is an event, stored first; so it reaches those who are connected to other
    processes on the same log, too, and those who come later. Without a `bus` the log is `RUNCAST_LOG` or one in memory.
    It starts by itself in the loop that first awaits it. Everything but `get_connection_stats` belongs to that loop.
    """

    def __init__(self, bus: Bus | None = None) -> None:
        self._bus = bus or own_bus([WORKFLOW, SYSTEM])
        self._places: dict[int, _Place] = {}
        """By the identity of the WebSocket, which need not be hashable and lives as long as its place."""

    async def connect(self, websocket: TextSocket, workflow_id: str | None = None) -> None:
        """Send `connected` to `websocket`, then the workflow's events from its start, and what is sent to all from now on.

        Accepts a WebSocket that is not accepted yet. One that is connected already begins anew. It is closed with
        1000 after the workflow's terminal frame, if it can be closed. The workflow need not be there yet.

        Raises:
            InvalidStreamName: no workflow can be called so.
            Restarting, TooMany, LogError: it is not connected.
        """
        scope = None if workflow_id is None else Scope.of_stream(stream_name(NAME, workflow_id))
        await accept(websocket)
        self.disconnect_now(websocket)
        client = TextClient(self._bus, websocket, self._ended, lambda: self._forget(websocket, client))
        self._places[id(websocket)] = _Place(client, workflow_id)
        try:
            await self._subscribe(client, scope, workflow_id or "")
            await client.begin()
        except BaseException:
            client.leave()
            raise

    async def disconnect(self, websocket: TextSocket) -> None:
        """Send nothing more to it. It is not closed: it is yours. Idempotent."""
        self.disconnect_now(websocket)

    def disconnect_now(self, websocket: TextSocket) -> None:
        """As `disconnect`, where nothing can be awaited."""
        place = self._places.get(id(websocket))
        if place is not None:
            place.client.leave()

    async def send_personal(self, websocket: TextSocket, message: Mapping[str, Any]) -> None:
        """Send to one WebSocket alone, connected or not; nothing is stored.

        Raises:
            TypeError: `message` is not representable as JSON.
        """
        payload = msgspec.json.encode(message)
        place = self._places.get(id(websocket))
        if place is None:
            await websocket.send_text(payload.decode())
        else:
            place.client.tell(Message(payload))

    async def send_to_workflow(self, workflow_id: str, message: Mapping[str, Any]) -> int:
        """Publish `{"type", …}` to a workflow; returned means stored. Returns how many clients here it is for.

        Raises:
            InvalidEvent, InvalidStreamName, TooLarge, LogError: nothing was stored.
        """
        return await self._publish(from_frame(workflow_id, message))

    async def send_to_all(self, message: Mapping[str, Any]) -> int:
        """Publish `{"type", …}` to everybody who is connected; returned means stored. Returns how many are here.

        Raises:
            InvalidEvent, TooLarge, LogError: nothing was stored.
        """
        return await self._publish(publish_of(EVENTS, message))

    def get_connection_stats(self) -> dict[str, Any]:
        """How many are connected by this manager, in all and by workflow. Plain; inside a loop or outside."""
        watching: dict[str, int] = {}
        for _, workflow_id in list(self._places.values()):
            if workflow_id is not None:
                watching[workflow_id] = watching.get(workflow_id, 0) + 1
        traffic = self._bus.traffic(NAME)
        return {
            "total_connections": len(self._places),
            "active_workflows": len(watching),
            "workflow_connections": watching,
            "total_events_sent": traffic.events,
            "total_bytes_sent": traffic.bytes,
        }

    async def close(self) -> None:
        """Let all go and close the log."""
        for client, _ in list(self._places.values()):
            client.leave()
        await self._bus.close()

    async def _subscribe(self, client: TextClient, scope: Scope | None, workflow_id: str) -> None:
        """`connected` is written first; then comes what is sent to all, and the workflow."""
        hub, frames = self._bus.hub, workflow_frames(workflow_id)
        client.tell(connected_frame(frames, self._bus.now_us()))
        size = self._bus.settings.batch_size
        everybody = Wish(FlatFrames("system", encode_system_frame), TEXTS, EVERYTHING, size)
        await hub.subscribe(client.connection, Scope.of_stream(EVENTS), everybody, NOW)
        if scope is not None:
            wish = Wish(frames, TEXTS, EVERYTHING, size, ends_with=WORKFLOW.terminals)
            await hub.subscribe(client.connection, scope, wish, START)

    async def _publish(self, publish: Publish) -> int:
        topic = self._bus.hub.topic(Scope.of_stream(publish.stream))
        clients = len(topic.subscribers) if topic else 0  # a terminal event lets them go
        return clients if await self._bus.publish_all([publish]) else 0

    def _ended(self, subscriber: Subscriber) -> None:
        subscriber.connection.sink.close(NORMAL, THE_END)

    def _forget(self, websocket: TextSocket, client: TextClient) -> None:
        place = self._places.get(id(websocket))
        if place is not None and place.client is client:
            del self._places[id(websocket)]
