"""Clients of tasks, as the document has them: `websockets`, one per task, in a process of their own."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from redis import asyncio as redis
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

_CONTEXT = get_context("spawn")


@dataclass
class Told:
    """What they were told, until the end of each task."""

    latencies_ms: list[float] = field(default_factory=list[float])
    """From right before PUBLISH to the frame, read and decoded."""
    heard_ms: list[float] = field(default_factory=list[float])
    """The first part of it: to when the node has read the message, by the frame's own timestamp."""
    redis_ms: list[float] = field(default_factory=list[float])
    """The same messages, by a plain subscriber of Redis in a thread of the same process."""
    completed: int = 0


class TaskWatchers:
    """One client for each of `urls`; each stops at `completed`. With `subscribe` a plain subscriber listens, too."""

    def __init__(self, urls: Sequence[str], redis_url: str, core: int | None, *, subscribe: bool) -> None:
        self._pipe, theirs = _CONTEXT.Pipe()
        arguments = (list(urls), redis_url if subscribe else "", core, theirs)
        self._process = _CONTEXT.Process(target=_main, args=arguments, daemon=True)
        self._process.start()

    def wait_ready(self) -> None:
        """Until all are connected."""
        self._pipe.recv()

    def told(self, within_s: float) -> Told:
        """What all of them heard, when all tasks are over, or time is."""
        self._pipe.send(within_s)
        told: Told = self._pipe.recv()
        self._process.join(10)
        return told


def _main(urls: list[str], redis_url: str, core: int | None, pipe: Connection) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})
    asyncio.run(_watch(urls, redis_url, pipe))


async def _watch(urls: list[str], redis_url: str, pipe: Connection) -> None:
    told = Told()
    ready = [asyncio.Event() for _ in urls]
    async with asyncio.TaskGroup() as group:
        listener = group.create_task(_subscribe(redis_url, told)) if redis_url else None
        watching = [
            group.create_task(_client(url, told, event)) for url, event in zip(urls, ready, strict=True)
        ]
        for event in ready:
            await event.wait()
        pipe.send("ready")
        within_s = await asyncio.to_thread(pipe.recv)
        _, late = await asyncio.wait(watching, timeout=within_s)
        for task in [*late, *([listener] if listener else [])]:
            task.cancel()
    pipe.send(told)


async def _client(url: str, told: Told, ready: asyncio.Event) -> None:
    async with connect(url) as websocket:
        while True:
            try:
                data = json.loads(await websocket.recv())
            except ConnectionClosed:
                return
            if data.get("heartbeat"):
                continue
            if data["step"] == "connected":
                ready.set()
            elif data["step"] == "completed":
                told.completed += 1
                return
            else:
                told.latencies_ms.append(since(data))
                told.heard_ms.append(
                    (datetime.fromisoformat(data["timestamp"]).timestamp() - data["sent_s"]) * 1000
                )


def since(data: Mapping[str, Any]) -> float:
    """Milliseconds since right before it was published."""
    return (time.monotonic() - float(data["message"])) * 1000


async def _subscribe(url: str, told: Told) -> None:
    client = redis.Redis.from_url(url)
    pubsub = client.pubsub()
    try:
        await pubsub.psubscribe("agent_progress:*")
        async for message in pubsub.listen():
            if message["type"] == "pmessage":
                data = json.loads(message["data"])
                if data["step"] == "reasoning":
                    told.redis_ms.append(since(data))
    finally:
        await pubsub.aclose()
        await client.aclose()
