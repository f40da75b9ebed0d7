"""One accepted WebSocket of any ASGI server: read its messages, and give the hub a sink to write to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from starlette.types import Message, Receive, Scope, Send

from runcast.core.closing import MESSAGE_TOO_BIG, POLICY_VIOLATION, SERVICE_RESTART, TRY_AGAIN_LATER
from runcast.errors import LogError, Restarting, RuncastError, TooLarge, Unauthenticated
from runcast.live.codec import Framing
from runcast.live.connection import Connection
from runcast.live.sink import Pressure, Sink
from runcast.transport.framing import DEFLATED, FRAMES, TEXTS
from runcast.transport.sender import SenderSink, ending

EXTENSION = "runcast.frames"
"""The scope extension of a server with the fast path: a `FrameLink`."""

OnMessage = Callable[[str | bytes | RuncastError], Awaitable[None] | None]
"""Takes a message, or why the server takes nothing more from this client: then it is to be told, and closed.

What it returns is awaited before the next one."""

REFUSAL = "runcast.refusal"
"""In a message of the fast path: the error that the client is to be told before it is closed."""


DRAIN_S = "runcast.drain_s"
"""In the lifespan's state: over how many seconds the hub tells its clients of a restart."""


class FrameLink(Sink, Protocol):
    """A sink for prepared frames, straight to the client's transport."""

    @property
    def deflate(self) -> bool:
        """Whether the client takes deflated frames that were made for all (RFC 7692 §7.1.2)."""
        ...

    def attach(self, pressure: Pressure, limit_bytes: int) -> None:
        """Tell `pressure` when over `limit_bytes` wait, when less than a quarter does, and of the end."""
        ...

    def allow_messages(self, limit_bytes: int) -> None:
        """Take messages of up to `limit_bytes` from this client, which may be more than from others."""
        ...


class WebSocketPeer:
    """A client and its two directions.

    Where the server offers `runcast.frames`, frames are written straight to its transport (the fast path);
    elsewhere one bounded sender per client uses ASGI's own messages (the portable path).
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit_bytes: int) -> None:
        self._receive = receive
        self._send = send
        self.is_accepted = False
        self._is_gone = False
        self._limit_bytes = limit_bytes
        self._link: FrameLink | None = scope.get("extensions", {}).get(EXTENSION)
        self._sender = (
            SenderSink(self._send_text, self._send_close, limit_bytes) if self._link is None else None
        )

    @property
    def sink(self) -> Sink:
        """Where to write what this client gets."""
        sink = self._link or self._sender
        assert sink is not None
        return sink

    @property
    def framing(self) -> Framing:
        """What the sink takes."""
        if self._link is None:
            return TEXTS
        return DEFLATED if self._link.deflate else FRAMES

    async def _accept(self) -> bool:
        """Complete the handshake, if it is not yet; False if the client has gone already."""
        if self._is_gone:
            return False
        if self.is_accepted:
            return True
        message = await self._receive()
        if message["type"] != "websocket.connect":
            return False
        await self._send({"type": "websocket.accept"})
        self.is_accepted = True
        return True

    async def first_message(self, within_s: float) -> str | bytes:
        """Accept, and wait for the client to say who it is.

        Raises:
            Unauthenticated: it has not said anything in time, or has gone.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                if await self._accept():
                    message = await self._receive()
                    if message["type"] == "websocket.receive":
                        return _content(message)
                    self._is_gone = True
        raise Unauthenticated

    def allow_messages(self, limit_bytes: int) -> None:
        """Take messages of up to `limit_bytes` from this client; elsewhere the ASGI server has a limit of its own."""
        if self._link is not None:
            self._link.allow_messages(limit_bytes)

    async def say(self, text: str) -> None:
        """Send a message to a client that has yet to say who it is: before `run`, and after `first_message`."""
        with suppress(OSError):  # it may have gone meanwhile
            if await self._accept():
                await self._send_text(text)

    async def refuse(self, text: str, code: int, reason: str) -> None:
        """Accept, say why in a message of the feed's own words, and close: instead of `run`."""
        with suppress(OSError):  # it may have gone meanwhile
            if await self._accept():
                await self._send_text(text)
                await self._send_close(code, reason)

    async def run(
        self, connection: Connection, on_message: OnMessage, on_open: Callable[[], None] = lambda: None
    ) -> None:
        """Accept, read until the client has gone, and tell `connection` all that happens to writing.

        It may be blocked so far, that nothing is written before the handshake is complete; then it is free.
        """
        try:
            if not await self._accept():
                return
            on_open()
            if self._link is not None:
                self._link.attach(connection, self._limit_bytes)
                connection.drained()
                await self._read(on_message)
            elif self._sender is not None:
                await self._run_portable(self._sender, connection, on_message)
        finally:
            connection.closed()

    async def _run_portable(self, sender: SenderSink, connection: Connection, on_message: OnMessage) -> None:
        """The reader ends when the client goes or is told goodbye; a blocked client is not waited for."""
        with suppress(TimeoutError):
            async with asyncio.timeout(None) as giving_up, asyncio.TaskGroup() as group:
                sender.attach(connection, ending(giving_up))
                connection.drained()
                sending = group.create_task(sender.run())
                await self._read(on_message)
                sending.cancel()

    async def _read(self, on_message: OnMessage) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            answer = on_message(message.get(REFUSAL) or _content(message))
            if answer is not None:
                await answer

    async def _send_text(self, data: bytes | str) -> None:
        await self._send({"type": "websocket.send", "text": data})

    async def _send_close(self, code: int, reason: str) -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": reason})


def _content(message: Message) -> str | bytes:
    text = message.get("text")
    return message.get("bytes", b"") if text is None else text


def close_code(error: RuncastError) -> int:
    """The code to close with (RFC 6455 §7.4.1 and its registry): clients reconnect on 1012 and 1013 only."""
    match error:
        case TooLarge():
            return MESSAGE_TOO_BIG
        case Restarting():
            return SERVICE_RESTART
        case LogError():
            return TRY_AGAIN_LATER
        case _:
            return POLICY_VIOLATION
