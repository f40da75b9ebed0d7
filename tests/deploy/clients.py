"""Clients over TLS for tests. They live in the test's loop: Python's TLS sockets are not for two threads at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
from tests.deploy.proxy import AS_OWNER, KEY, Nginx
from tests.support.clients import WAIT_S, Frames, events_of
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

PATIENCE_S = 0.02
"""Between two tries while nobody answers."""


def open_wss(nginx: Nginx, path: str, *, source: str = "127.0.0.1", **options: Any) -> connect:
    """The `websockets` client through nginx, at an address of its own."""
    return connect(
        nginx.ws(path),
        ssl=nginx.context,
        proxy=None,
        open_timeout=WAIT_S,
        local_addr=(source, 0),
        **options,
    )


def session(name: str, *, after: str = "now", token: str = KEY) -> str:
    return f"/ws/events/{name}?after={after}&token={token}"


async def receive(ws: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_S):
        return json.loads(await ws.recv())


async def ids(ws: ClientConnection, count: int) -> list[str]:
    """The ids of the next `count` events; fails if more come with them."""
    frames: Frames = []
    while len(events_of(frames)) < count:
        frames.append(await receive(ws))
    found = [event["event_id"] for event in events_of(frames)]
    assert len(found) == count
    return found


async def pong(ws: ClientConnection) -> None:
    """It is let in: its ping is answered, and no refusal came before."""
    await ws.send(json.dumps({"type": "ping"}))
    while (frame := await receive(ws))["type"] != "pong":
        assert frame["type"] != "error", frame


async def rest(ws: ClientConnection) -> tuple[Frames, int]:
    """What comes until the server closes, and its code; 1006 without one."""
    frames: Frames = []
    try:
        while True:
            frames.append(await receive(ws))
    except ConnectionClosed as closed:
        return frames, closed.rcvd.code if closed.rcvd else 1006


class EventStream:
    """Server-sent events as they come."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def line(self) -> str:
        async with asyncio.timeout(WAIT_S):
            return await anext(self._lines)

    async def event(self) -> dict[str, Any]:
        while not (line := await self.line()).startswith("data:"):
            pass
        return json.loads(line.removeprefix("data:"))


@asynccontextmanager
async def open_sse(nginx: Nginx, name: str, **headers: str) -> AsyncIterator[EventStream]:
    """The events of a session from its start, or from `Last-Event-ID`."""
    path = f"/api/v1/streams/session:{name}/sse"
    after = {} if headers else {"after": "start"}
    async with (
        httpx2.AsyncClient(base_url=nginx.url(), verify=nginx.context, timeout=WAIT_S) as client,
        client.stream("GET", path, params=after, headers={**AS_OWNER, **headers}) as response,
    ):
        yield EventStream(response)


class Watcher:
    """Comes again with its cursor, over whatever happens, until it has all the events that it waits for."""

    def __init__(self, nginx: Nginx, name: str, *, until: int) -> None:
        self.events: list[tuple[int, str]] = []
        self.frames: set[str] = set()
        self.connections = 0
        self.closed_with: list[int] = []
        self._nginx, self._name, self._until = nginx, name, until
        self._cursor = "start"

    async def run(self) -> None:
        while len(self.events) < self._until:
            with suppress(OSError, WebSocketException, TimeoutError):
                await self._watch()
            await asyncio.sleep(PATIENCE_S)

    async def _watch(self) -> None:
        async with open_wss(self._nginx, session(self._name, after=self._cursor), close_timeout=1) as ws:
            self.connections += 1
            try:
                while len(self.events) < self._until:
                    self._take(await receive(ws))
            except ConnectionClosed as closed:
                self.closed_with.append(closed.rcvd.code if closed.rcvd else 1006)

    def _take(self, frame: dict[str, Any]) -> None:
        self.frames.add(frame["code"] if frame["type"] == "error" else frame["type"])
        for event in events_of([frame]):
            self.events.append((event["seq"], event["event_id"]))
            self._cursor = event["cursor"]


class Publisher:
    """Publishes one event after the other, each again and again until it is acknowledged."""

    def __init__(self, nginx: Nginx, name: str, prefix: str, count: int) -> None:
        self.acknowledged: list[str] = []
        self.answers: list[int] = []
        self._nginx, self._path = nginx, f"/api/sessions/{name}/events"
        self._ids = [f"{prefix}-{number}" for number in range(count)]

    async def run(self) -> None:
        options: Any = {"base_url": self._nginx.url(), "verify": self._nginx.context, "timeout": WAIT_S}
        async with httpx2.AsyncClient(headers=AS_OWNER, **options) as client:
            for event_id in self._ids:
                while not await self._is_stored(client, event_id):
                    await asyncio.sleep(PATIENCE_S)
                self.acknowledged.append(event_id)

    async def _is_stored(self, client: httpx2.AsyncClient, event_id: str) -> bool:
        event = {"event_id": event_id, "event_type": "message"}
        try:
            answer = await client.post(self._path, json=event)
        except httpx2.TransportError:
            self.answers.append(0)
            return False
        self.answers.append(answer.status_code)
        return answer.status_code == 200
