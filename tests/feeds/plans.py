"""What the plan feed's tests share: sockets that are none, a server that has the feed, and what its clients say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.support.clients import Frames, open_ws, receive
from tests.support.server import Server
from websockets.sync.client import ClientConnection

FIELDS = {"event_type", "plan_id", "step_id", "data", "timestamp", "event_id"}
"""What documented clients read without checking."""


class BareSocket:
    """Nothing but `async send_text(str)`; takes what it gets, unless it is told to wait or to fail."""

    def __init__(self) -> None:
        self.frames: Frames = []
        self.error: Exception | None = None
        self.free = asyncio.Event()
        self.free.set()
        self._came = asyncio.Event()

    async def send_text(self, data: str) -> None:
        await self.free.wait()
        if self.error is not None:
            raise self.error
        self.frames.append(json.loads(data))
        self._came.set()

    @property
    def types(self) -> list[str]:
        """What came, but for the welcome."""
        return [frame["event_type"] for frame in self.frames[1:]]

    @property
    def seqs(self) -> list[int]:
        return [frame["seq"] for frame in self.frames if "seq" in frame]

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not done():
                self._came.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):  # what is waited for may be no frame
                        await self._came.wait()


class ClosingSocket(BareSocket):
    """One that can be closed, too."""

    def __init__(self) -> None:
        super().__init__()
        self.closed: tuple[int, str] | None = None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed = (code, reason)
        self._came.set()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


def publish(server: Server, plan_id: str, *events: dict[str, Any], secret: str = "") -> dict[str, Any]:
    """Publish native events to a plan; returns the receipt."""
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    path = f"/api/v1/streams/plan:{plan_id}/events"
    response = server.http.post(path, json=list(events), headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


def progress(number: int, step_id: str = "s1") -> dict[str, Any]:
    """A native event with an id that says its number."""
    data = {"step_id": step_id, "data": {"progress": 0.5, "message": f"{number}"}}
    return {"type": "step_progress", "id": f"e{number}", "data": data}


def progresses(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [progress(number) for number in range(first, first + count)]


@contextmanager
def watch(server: Server, client_id: str = "c1", **query: Any) -> Iterator[ClientConnection]:
    """A client that has taken its welcome."""
    with open_ws(server.ws(f"/api/v1/streaming/ws/{client_id}", **query), max_queue=None) as ws:
        welcome = receive(ws)
        assert (welcome["event_type"], welcome["plan_id"]) == ("ping", "system")
        yield ws


def act(ws: ClientConnection, action: str, plan_id: str | None = None, **more: Any) -> None:
    said = {"action": action, **({"plan_id": plan_id} if plan_id is not None else {}), **more}
    ws.send(json.dumps(said))


def take(ws: ClientConnection, count: int) -> Frames:
    """The next `count` frames."""
    return [receive(ws) for _ in range(count)]


def meanwhile(ws: ClientConnection) -> Frames:
    """Everything that came before the answer to a ping: whatever was sent before it is here after it."""
    act(ws, "ping", id="meanwhile")
    frames: Frames = []
    while not frames or frames[-1]["data"].get("id") != "meanwhile":
        frames.append(receive(ws))
    assert frames[-1]["event_type"] == "pong"
    return frames[:-1]


def ids(frames: Frames) -> list[str]:
    return [frame["event_id"] for frame in frames]
