"""An echo over the fast path's own protocol: for our tests of RFC 6455, and for the Autobahn test suite."""

from __future__ import annotations

from collections import Counter
from typing import Any

from runcast.config import Settings
from runcast.transport.limits import LIMITS, ClientLimits

WIDE = Settings(inbound_max_bytes=16 * 1024 * 1024, inbound_frame_rate=1_000_000)
"""Limits that no case of the suite reaches: it sends messages of 16 MiB, in very small fragments."""


class Echo:
    """The ASGI app. It sends back every message, as text or as bytes."""

    def __init__(self, settings: Settings = WIDE) -> None:
        self.limits = ClientLimits(settings, Counter())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        match scope["type"]:
            case "lifespan":
                await self._live(scope, receive, send)
            case "websocket":
                await self._echo(receive, send)
            case _:
                await send({"type": "http.response.start", "status": 404, "headers": []})
                await send({"type": "http.response.body"})

    async def _live(self, scope: Any, receive: Any, send: Any) -> None:
        scope["state"][LIMITS] = self.limits
        for moment in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{moment}.complete"})

    async def _echo(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            content = {name: message[name] for name in ("text", "bytes") if message.get(name) is not None}
            await send({"type": "websocket.send", **content})
