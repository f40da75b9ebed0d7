"""Publishers and subscribers that outlive the node they are at, as careful clients do."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import httpx2
from redis.asyncio import Redis
from redis.exceptions import RedisError
from tests.nodes.fleet import AS_OWNER, Fleet
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

STREAMS = tuple(f"session:s{number}" for number in range(4))
FIREHOSE = "session:*"
PAUSE_S = 0.02
"""Between two tries."""
PACE_S = 0.02
"""Between two publications of one publisher."""
PORTION_MAX = 5
ANSWER_S = 30.0
Event = dict[str, Any]
QUIET_S = 60.0
"""A client that has heard nothing for so long takes its connection for dead (PROTOCOL.md, 3.6)."""


def open_ws(url: str) -> connect:
    return connect(
        url, proxy=None, additional_headers=AS_OWNER, open_timeout=5, close_timeout=1, max_size=None
    )


class Publisher:
    """Publishes portion after portion, each again and again, with the same ids, until that is acknowledged."""

    keeps = True
    """Whether what was acknowledged is to be kept."""

    def __init__(self, fleet: Fleet, number: int, streams: Sequence[str] = STREAMS) -> None:
        self.number = number
        self.begun = 0
        """The newest portion that was begun."""
        self.acknowledged: dict[str, str] = {}
        """The stream of each event, by its id."""
        self.refused = 0
        self.is_done = False
        self._fleet = fleet
        self._streams = streams
        self._turn = number
        self._stop = False

    def is_heard_in(self, scope: str) -> bool:
        """Whether a subscription of this scope gets what it publishes."""
        kind = self._streams[0].partition(":")[0]
        return scope in self._streams or scope == f"{kind}:*"

    def stop(self) -> None:
        """Nothing is begun any more; what is under way is finished."""
        self._stop = True

    async def run(self) -> None:
        while not self._stop:
            self.begun += 1
            stream = self._streams[self.begun % len(self._streams)]
            events = [
                {"id": f"p{self.number}-{self.begun}-{place}", "type": "note", "data": {"n": self.begun}}
                for place in range(1 + self.begun % PORTION_MAX)
            ]
            while not await self._is_stored(stream, events):
                self.refused += 1
                await asyncio.sleep(PAUSE_S)
            self.acknowledged |= dict.fromkeys((event["id"] for event in events), stream)
            await asyncio.sleep(PACE_S)
        self.is_done = True

    async def _is_stored(self, stream: str, events: list[dict[str, Any]]) -> bool:
        raise NotImplementedError


class HttpPublisher(Publisher):
    """By POST."""

    def __init__(self, fleet: Fleet, number: int, streams: Sequence[str] = STREAMS) -> None:
        super().__init__(fleet, number, streams)
        self._client = httpx2.AsyncClient(headers=AS_OWNER, timeout=httpx2.Timeout(ANSWER_S, connect=2.0))

    async def run(self) -> None:
        async with self._client:
            await super().run()

    async def _is_stored(self, stream: str, events: list[dict[str, Any]]) -> bool:
        url = self._fleet.address(self._turn).url(f"/api/v1/streams/{stream}/events")
        try:
            answer = await self._client.post(url, json=events)
        except httpx2.TransportError:
            self._turn += 1
            return False
        assert answer.status_code in {200, 429, 503}, answer.text
        return answer.status_code == 200


class SocketPublisher(Publisher):
    """By `publish` on a WebSocket (PROTOCOL.md, 2.4)."""

    _ws: ClientConnection | None = None

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            await self._hang_up()

    async def _is_stored(self, stream: str, events: list[dict[str, Any]]) -> bool:
        try:
            reply = await self._publish(stream, events)
        except (OSError, WebSocketException, TimeoutError):
            await self._hang_up()
            self._turn += 1
            return False
        assert reply["type"] == "published" or reply["retryable"], reply
        return reply["type"] == "published"

    async def _publish(self, stream: str, events: list[dict[str, Any]]) -> dict[str, Any]:
        if self._ws is None:
            self._ws = await open_ws(self._fleet.address(self._turn).ws("/api/v1/stream"))
        operation = {"op": "publish", "id": self.begun, "stream": stream, "events": events}
        await self._ws.send(json.dumps(operation))
        async with asyncio.timeout(ANSWER_S):
            while True:
                reply = json.loads(await self._ws.recv())
                if reply.get("id") == self.begun:
                    return reply

    async def _hang_up(self) -> None:
        ws, self._ws = self._ws, None
        if ws is not None:
            with suppress(OSError, WebSocketException):
                await ws.close()


class ChannelPublisher(Publisher):
    """By Redis' own PUBLISH on a task's channel, again until somebody has got it. Nobody promises to keep that."""

    keeps = False

    def __init__(self, fleet: Fleet, number: int, task_id: str, url: str) -> None:
        super().__init__(fleet, number, (f"task:{task_id}",))
        self._client = Redis.from_url(url)
        self.channel = f"agent_progress:{task_id}"

    async def run(self) -> None:
        async with self._client:
            await super().run()

    async def _is_stored(self, stream: str, events: list[dict[str, Any]]) -> bool:
        try:
            heard = [
                await self._client.publish(self.channel, json.dumps({"event_id": one["id"], **one["data"]}))
                for one in events
            ]
        except (RedisError, OSError):
            return False
        return all(heard)


def identity(event: Event, event_id: str, scope: str) -> str:
    """What makes an event one and the same where it is read: its id in a stream, its place in a firehose.

    If Redis has lost an event that was not acknowledged yet, it is stored once more, at another place.
    """
    return f"{event_id} {event['cursor']}" if scope == FIREHOSE else event_id


class Heard:
    """What one subscription has got. A `reset` makes it forget everything, as the protocol asks."""

    def __init__(self, scope: str, who: str) -> None:
        self.scope = scope
        self.who = who
        self.cursor = "start"
        self.ids: list[str] = []
        self.resets: list[str] = []
        self.gaps: list[dict[str, Any]] = []
        self._newest: dict[int, int] = {}

    def has_from(self, publisher: int, portion: int) -> bool:
        """Whether it has got something that this publisher began with this portion, or later."""
        return self._newest.get(publisher, 0) >= portion

    def take(self, event: Event, event_id: str) -> None:
        self.ids.append(identity(event, event_id, self.scope))
        publisher, portion, _ = event_id[1:].split("-")
        self._newest[int(publisher)] = max(int(portion), self._newest.get(int(publisher), 0))

    def told(self, frame: dict[str, Any]) -> None:
        """A frame that is none of events."""
        if frame["type"] == "reset":
            self.resets.append(frame["reason"])
            self.ids.clear()
        elif frame["type"] == "gap":
            self.gaps.append(frame)
        self.cursor = frame.get("cursor", self.cursor)


class Subscriber:
    """Reads for ever, and comes back with its cursors, at the next node if its own is gone."""

    def __init__(self, fleet: Fleet, turn: int) -> None:
        self.heard: list[Heard] = []
        self.connections = 0
        self._fleet = fleet
        self._turn = turn

    async def run(self) -> None:
        for turn in itertools.count(self._turn):
            with suppress(OSError, WebSocketException, TimeoutError):
                await self._read(self._fleet.address(turn))
            await asyncio.sleep(PAUSE_S)

    async def _read(self, node: Any) -> None:
        async with open_ws(self._url(node)) as ws:
            self.connections += 1
            await self._begin(ws)
            while True:
                async with asyncio.timeout(QUIET_S):
                    self._take(json.loads(await ws.recv()))

    def _url(self, node: Any) -> str:
        raise NotImplementedError

    async def _begin(self, ws: ClientConnection) -> None:
        """What is to be said first."""

    def _take(self, frame: dict[str, Any]) -> None:
        raise NotImplementedError


class NativeSubscriber(Subscriber):
    """All the streams and the firehose over one socket (PROTOCOL.md)."""

    def __init__(self, fleet: Fleet, turn: int, scopes: Sequence[str] = (*STREAMS, FIREHOSE)) -> None:
        super().__init__(fleet, turn)
        self._by_scope = {scope: Heard(scope, f"native {turn}") for scope in scopes}
        self.heard = list(self._by_scope.values())

    def _url(self, node: Any) -> str:
        return node.ws("/api/v1/stream")

    async def _begin(self, ws: ClientConnection) -> None:
        for heard in self.heard:
            await ws.send(json.dumps({"op": "subscribe", "stream": heard.scope, "after": heard.cursor}))

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "error":  # the log cannot be read now: it is asked again
            assert frame["retryable"], frame
            raise TimeoutError
        heard = self._by_scope.get(frame.get("stream", ""))
        if heard is None or frame["type"] == "subscribed":
            return
        for event in frame.get("events", ()):
            heard.take(event, event["id"])
        heard.told(frame)


class SessionSubscriber(Subscriber):
    """One session by its documented socket, `WS /ws/events/{session_id}`."""

    def __init__(self, fleet: Fleet, turn: int, stream: str = STREAMS[0]) -> None:
        super().__init__(fleet, turn)
        self._session = stream.removeprefix("session:")
        self._one = Heard(stream, f"session {turn}")
        self.heard = [self._one]

    def _url(self, node: Any) -> str:
        return node.session(self._session, after=self._one.cursor)

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "error":
            assert frame["retryable"], frame
            raise TimeoutError
        for event in frame["events"]:
            self._one.take(event, event["event_id"])
            self._one.cursor = event["cursor"]
        if frame["type"] != "batch":
            self._one.told(frame)


def now() -> float:
    """Seconds of a clock that only goes forwards."""
    return time.monotonic()
