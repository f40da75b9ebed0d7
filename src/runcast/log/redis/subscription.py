"""A subscription to the wake-ups of all partitions of a log."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from typing import Any, Self

from runcast.log.redis.server import Server


class Subscription:
    """Open within its `with`. For one thread.

    Raises:
        RedisError, OSError: any of its methods may, when the connection is broken.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._probe_channel = f"{server.root(0)}probe:{secrets.token_hex(8)}"
        self._stack = ExitStack()
        self._pubsub: Any = None

    def __enter__(self) -> Self:
        pubsub = self._pubsub = self._server.client().pubsub(ignore_subscribe_messages=True)
        self._stack.callback(pubsub.close)
        pubsub.subscribe(self._server.root(0) + "wake", self._probe_channel)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def next(self, timeout_s: float) -> str | None:
        """What arrives next: a position, or a probe; None if nothing has, or nothing of interest."""
        message = self._pubsub.get_message(timeout=timeout_s)
        return message["data"].decode() if message and message["type"] in {"message", "smessage"} else None

    def probe(self, text: str) -> None:
        """Publish something that has to arrive here."""
        self._server.client().execute_command(self._server.wake_command, self._probe_channel, text)
