"""A WebSocket of somebody's own app as a client of the hub: whatever object has `async send_text(str)`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from starlette.websockets import WebSocketState

from runcast.live.bus import Bus
from runcast.live.codec import Message
from runcast.live.connection import Connection
from runcast.live.subscriber import Subscriber
from runcast.transport.framing import TEXTS
from runcast.transport.sender import SenderSink, ending

logger = logging.getLogger("runcast.transport")


class TextSocket(Protocol):
    """What a manager needs of a WebSocket; Starlette's and FastAPI's have it."""

    async def send_text(self, data: str) -> None:
        """Send one text message."""
        ...


class TextClient:
    """One such WebSocket, served by a task of the bus's, from `begin` until it is gone or `leave`.

    `on_gone` is called once when nothing is sent to it any more, whoever ended that. A WebSocket that raises while
    something is sent is gone. Everything belongs to the event loop.

    Raises:
        Restarting, TooMany: the hub takes nobody more.
    """

    def __init__(
        self,
        bus: Bus,
        websocket: TextSocket,
        on_end: Callable[[Subscriber], None],
        on_gone: Callable[[], None],
    ) -> None:
        self.websocket = websocket
        self.sink = SenderSink(_sending(websocket), _closing(websocket), bus.hub.buffer_limit_bytes())
        self.connection: Connection = bus.hub.connect(self.sink, on_end)
        self._bus = bus
        self._on_gone = on_gone
        self._is_gone = False

    async def begin(self) -> None:
        """Send what is written to the sink, from now on."""
        await self._bus.spawn(self._serve())

    def tell(self, *messages: Message) -> None:
        """Write messages that are for this client alone, after what is written already."""
        if messages:
            self.sink.write(TEXTS.frame(messages, 0))

    def leave(self) -> None:
        """Send nothing more; the WebSocket is not closed: it is its owner's. Idempotent."""
        if not self._is_gone:
            self._is_gone = True
            self.sink.stop()
            self.connection.closed()
            self._on_gone()

    async def _serve(self) -> None:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(None) as giving_up:
                    self.sink.attach(self.connection, ending(giving_up))
                    await self.sink.run()
        finally:
            self.leave()


async def accept(websocket: TextSocket) -> None:
    """Complete the handshake of a Starlette WebSocket, if that was not done."""
    if getattr(websocket, "application_state", None) is WebSocketState.CONNECTING:
        await websocket.accept()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


async def close(websocket: TextSocket, code: int, reason: str) -> None:
    """Close a WebSocket, if it is one that can be closed."""
    closing = getattr(websocket, "close", None)
    if closing is not None:
        await closing(code, reason)


def _sending(websocket: TextSocket) -> Any:
    async def send(data: bytes | str) -> None:
        try:
            await websocket.send_text(data if isinstance(data, str) else data.decode())
        except Exception as error:  # whatever a WebSocket of any make raises: the client cannot be reached
            logger.debug("a client is gone: %s", error)
            raise ConnectionError from error

    return send


def _closing(websocket: TextSocket) -> Any:
    async def close_it(code: int, reason: str) -> None:
        try:
            await close(websocket, code, reason)
        except Exception as error:  # as above
            raise ConnectionError from error

    return close_it
