"""`WS /ws/events/{session_id}` and `WS /ws/events`: live and replayed session events."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

import msgspec
from starlette.types import Receive, Send
from starlette.types import Scope as ASGIScope

from runcast.core.closing import NORMAL
from runcast.core.event import stream_name
from runcast.core.pacing import limit_rate
from runcast.core.rate import TokenBucket
from runcast.core.scope import Scope
from runcast.errors import InvalidInput, RuncastError, TooLarge, TooMany
from runcast.feeds.sessions.wire import BatchCodec, EventCodec, error_message, pong_message
from runcast.live.bus import Bus
from runcast.live.codec import Codec, Message
from runcast.live.cohort import Wish
from runcast.live.connection import Connection
from runcast.live.hub import NOW
from runcast.live.subscriber import Subscriber
from runcast.transport.params import choice_param, filter_param, integer_param, text_param
from runcast.transport.websocket import WebSocketPeer, close_code

MAX_BATCH_SIZE = 1_000
MAX_POLL_INTERVAL_MS = 60_000
MAX_RATE = 1_000_000
"""Events per second that `max_rate` may ask for; 0 is no limit."""


class SessionSocket:
    """The ASGI endpoint. Defaults of `batch_size` and the limit of clients are the bus's settings."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Serve one client until it goes.

        It has its place before it hears that it is connected: whatever is published from then on is for it.
        """
        peer = WebSocketPeer(scope, receive, send, self._bus.hub.buffer_limit_bytes())
        try:
            client = await self._admit(scope, peer)
        except RuncastError as error:
            self._bus.refused[error.code] += 1
            message = error_message(error, self._bus.now_us())
            await peer.refuse(message.payload.decode(), close_code(error), error.code)
        else:
            await peer.run(client.connection, client.receive)

    async def _admit(self, scope: ASGIScope, peer: WebSocketPeer) -> _Client:
        wanted, after, wish = self._read_request(scope, peer)
        client = _Client(self._bus, peer, wish)
        try:
            await self._bus.hub.subscribe(client.connection, wanted, wish, after)
        except BaseException:
            client.connection.closed()
            raise
        return client

    def _read_request(self, scope: ASGIScope, peer: WebSocketPeer) -> tuple[Scope, str, Wish]:
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        session_id = scope.get("path_params", {}).get("session_id")
        wanted = (
            Scope.firehose("session")
            if session_id is None
            else Scope.of_stream(stream_name("session", session_id))
        )
        size = integer_param(query, "batch_size", self._bus.settings.batch_size, 1, MAX_BATCH_SIZE)
        interval_ms = integer_param(query, "poll_interval", 0, 0, MAX_POLL_INTERVAL_MS)
        max_rate = integer_param(query, "max_rate", 0, 0, MAX_RATE)
        size, interval_s = limit_rate(size, interval_ms / 1000, max_rate)
        batches = choice_param(query, "format", ("batch", "event")) == "batch"
        codec: Codec = BatchCodec(size) if batches else EventCodec()
        wish = Wish(codec, peer.framing, filter_param(query), size, interval_s)
        return wanted, text_param(query, "after", NOW), wish


class _Client:
    """What a session's client may say, and what it hears back."""

    def __init__(self, bus: Bus, peer: WebSocketPeer, wish: Wish) -> None:
        self._bus = bus
        self._peer = peer
        self._wish = wish
        self._loop = asyncio.get_running_loop()
        self._bucket = TokenBucket(bus.settings.inbound_rate, bus.settings.inbound_burst)
        self.connection: Connection = bus.hub.connect(peer.sink, self._ended)
        self.connection.is_blocked = True  # until the handshake is complete, see `WebSocketPeer.run`

    def receive(self, message: str | bytes) -> None:
        """Answer one message of the client."""
        try:
            self._check(message)
        except RuncastError as error:
            self._bus.refused[error.code] += 1
            self._tell(error_message(error, self._bus.now_us()))
            if isinstance(error, TooLarge | TooMany):
                self._peer.sink.close(close_code(error), error.code)
        else:
            self._tell(pong_message(self._bus.now_us()))

    def _check(self, message: str | bytes) -> None:
        limits = self._bus.settings
        if not self._bucket.take(self._loop.time()):
            raise TooMany(f"More than {limits.inbound_rate} messages per second; reconnect more calmly.")
        size = len(message.encode() if isinstance(message, str) else message)
        if size > limits.inbound_max_bytes:
            raise TooLarge(
                f"message: {size} bytes; the limit is {limits.inbound_max_bytes}.", field="message"
            )
        if isinstance(message, bytes):
            raise InvalidInput("message: a text is expected, not binary data.", field="message")
        try:
            said = msgspec.json.decode(message)
        except (ValueError, RecursionError):
            raise InvalidInput("message: not valid JSON.", field="message") from None
        if not isinstance(said, dict) or said.get("type") != "ping":  # pyright: ignore[reportUnknownMemberType]
            raise InvalidInput('type: the only message to send here is {"type": "ping"}.', field="type")

    def _tell(self, message: Message) -> None:
        self._peer.sink.write(self._wish.framing.frame([message], 0))

    def _ended(self, subscriber: Subscriber) -> None:
        del subscriber
        self._peer.sink.close(NORMAL, "the session has ended")
