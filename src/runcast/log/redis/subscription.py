"""A subscription to the wake-ups of all partitions of a log: one connection, or one to each server of a Cluster."""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Self

from runcast.log.redis.errors import FAILURES
from runcast.log.redis.server import Server

LOOK_S = 0.25
"""How often a thread looks whether it should end."""


class Subscription:
    """Open within its `with`. For one thread.

    Raises:
        RedisError, OSError: any of its methods may, when a connection is broken.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._id = secrets.token_hex(8)
        self._stack = ExitStack()
        self._pubsub: Any = None
        self._arrived: queue.SimpleQueue[str | Exception] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._probed: list[int] = []
        self._heard = 0

    def __enter__(self) -> Self:
        try:
            opened = [self._open(*group) for group in self._server.groups()]
        except BaseException:
            self._stack.close()
            raise
        if len(opened) == 1:
            self._pubsub = opened[0]
            return self
        for pubsub in opened:
            thread = threading.Thread(
                target=self._listen, args=(pubsub,), name="runcast-log-wake", daemon=True
            )
            thread.start()
            self._stack.callback(thread.join)
        self._stack.callback(self._stop.set)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def next(self, timeout_s: float) -> str | None:
        """What arrives next: a position, or a probe; None if nothing has, or nothing of interest."""
        if self._pubsub is not None:
            return _text(self._pubsub.get_message(timeout=timeout_s))
        try:
            arrived = self._arrived.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(arrived, Exception):
            raise arrived
        return arrived

    def probe(self, text: str) -> int:
        """Publish something that has to arrive here, so often as is returned."""
        for partition in self._probed:
            self._server.publish(partition, self._probe_channel(partition), text)
        return len(self._probed)

    def _open(self, client: Any, partitions: Sequence[int]) -> Any:
        pubsub = client.pubsub()  # which tells of what the server itself ends, too
        self._stack.callback(pubsub.close)
        channels = [f"{self._server.root(partition)}wake" for partition in partitions]
        channels.append(self._probe_channel(partitions[0]))
        self._probed.append(partitions[0])
        if self._server.wake_command == "SPUBLISH":
            for channel in channels:  # those of one call would have to lie in one slot
                pubsub.ssubscribe(channel)
        else:
            pubsub.subscribe(*channels)
        return pubsub

    def _probe_channel(self, partition: int) -> str:
        return f"{self._server.root(partition)}probe:{self._id}"

    def _listen(self, pubsub: Any) -> None:
        while not self._stop.is_set():
            try:
                text = _text(pubsub.get_message(timeout=LOOK_S))
            except (*FAILURES, ValueError) as error:
                self._arrived.put(error)
                return
            if text is not None:
                self._arrived.put(text)


def _text(message: Any) -> str | None:
    """What was published, if anything was; raises for the end of a subscription that nobody asked for."""
    if not message:
        return None
    if message["type"] == "sunsubscribe":  # its partition has moved to another server
        raise ConnectionError("a partition has moved")
    return message["data"].decode() if message["type"] in {"message", "smessage"} else None
