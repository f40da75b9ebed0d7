"""`WS /ws/events/{session_id}` and `WS /ws/events`: live and replayed session events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

import msgspec
from starlette.types import Receive, Send
from starlette.types import Scope as ASGIScope

from runcast.core.closing import NORMAL
from runcast.core.event import stream_name
from runcast.core.pacing import limit_rate
from runcast.core.rate import TokenBucket
from runcast.core.scope import Scope
from runcast.errors import InvalidInput, RuncastError, TooLarge, TooMany, Unauthenticated
from runcast.feeds.sessions.wire import (
    BatchCodec,
    EventCodec,
    authenticated_message,
    error_message,
    pong_message,
)
from runcast.live.bus import Bus
from runcast.live.codec import Codec, Message
from runcast.live.cohort import Wish
from runcast.live.connection import Connection
from runcast.live.hub import NOW
from runcast.live.subscriber import Subscriber
from runcast.transport.access import Access, access_of
from runcast.transport.params import choice_param, filter_param, integer_param, text_param
from runcast.transport.permission import KNOWN
from runcast.transport.websocket import WebSocketPeer, close_code

MAX_BATCH_SIZE = 1_000
MAX_POLL_INTERVAL_MS = 60_000
MAX_RATE = 1_000_000
"""Events per second that `max_rate` may ask for; 0 is no limit."""


class Ping(msgspec.Struct, tag="ping"):
    """Is answered by a `pong`."""


class Auth(msgspec.Struct, tag="auth"):
    """Says who the client is: an API key or a token."""

    token: str


Said = Ping | Auth

_decode = msgspec.json.Decoder(Said).decode


class SessionSocket:
    """The ASGI endpoint. Defaults of `batch_size` and the limit of clients are the bus's settings."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    permission = KNOWN
    """It says who it is when it connects, or in its first message; then it reads what it may."""

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Serve one client until it goes.

        It has its place before it hears that it is connected: whatever is published from then on is for it.
        """
        peer = WebSocketPeer(scope, receive, send, self._bus.hub.buffer_limit_bytes())
        try:
            await self._identify(scope, peer)
            client = await self._admit(scope, peer)
        except RuncastError as error:
            self._bus.refused[error.code] += 1
            message = error_message(error, self._bus.now_us())
            await peer.refuse(message.payload.decode(), close_code(error), error.code)
        else:
            try:
                await peer.run(client.connection, client.receive, client.opened)
            finally:
                client.release()

    async def _identify(self, scope: ASGIScope, peer: WebSocketPeer) -> None:
        """Wait for an `auth` message, from a client that has not shown who it is."""
        access = access_of(scope)
        if access.principal is None:
            with access.unknown():
                said = read_message(await peer.first_message(self._bus.settings.unauthenticated_s))
            if not isinstance(said, Auth):
                raise Unauthenticated
            await access.identify(said.token)

    async def _admit(self, scope: ASGIScope, peer: WebSocketPeer) -> _Client:
        wanted, after, wish = self._read_request(scope, peer)
        client = _Client(self._bus, peer, wish, access_of(scope), wanted)
        try:
            client.release = await access_of(scope).hold(wanted, client.refused)
            await self._bus.hub.subscribe(client.connection, wanted, wish, after)
        except BaseException:
            client.connection.closed()
            client.release()
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
        visible = access_of(scope).visible(wanted, filter_param(query))
        wish = Wish(codec, peer.framing, visible, size, interval_s)
        return wanted, text_param(query, "after", NOW), wish


class _Client:
    """What a session's client may say, and what it hears back."""

    def __init__(self, bus: Bus, peer: WebSocketPeer, wish: Wish, access: Access, wanted: Scope) -> None:
        self._bus = bus
        self._access = access
        self._wanted = wanted
        self._peer = peer
        self._wish = wish
        self._loop = asyncio.get_running_loop()
        self._bucket = TokenBucket(bus.settings.inbound_rate, bus.settings.inbound_burst)
        self.release: Callable[[], None] = lambda: None
        self._error: RuncastError | None = None
        self.connection: Connection = bus.hub.connect(peer.sink, self._ended)
        self.connection.is_blocked = True  # until the handshake is complete, see `WebSocketPeer.run`

    def receive(self, message: str | bytes | RuncastError) -> Awaitable[None] | None:
        """Answer one message of the client; what is returned is to be awaited before the next one."""
        if isinstance(message, RuncastError):
            self.refused(message)
            return None
        try:
            said = self._check(message)
        except RuncastError as error:
            self._bus.refused[error.code] += 1
            self._tell(error_message(error, self._bus.now_us()))
            if isinstance(error, TooLarge | TooMany):
                self._peer.sink.close(close_code(error), error.code)
        else:
            if isinstance(said, Auth):
                return self._renew(said)
            self._tell(pong_message(self._bus.now_us()))
        return None

    def _check(self, message: str | bytes) -> Said:
        limits = self._bus.settings
        if not self._bucket.take(self._loop.time()):
            raise TooMany(f"More than {limits.inbound_rate} messages per second; reconnect more calmly.")
        size = len(message.encode() if isinstance(message, str) else message)
        if size > limits.inbound_max_bytes:
            raise TooLarge(
                f"message: {size} bytes; the limit is {limits.inbound_max_bytes}.", field="message"
            )
        return read_message(message)

    async def _renew(self, said: Auth) -> None:
        """Go on as who a new token says; the grants must still allow what is read here."""
        try:
            renewed = await self._access.renew(said.token, self._wanted, self.refused)
        except RuncastError as error:
            self.refused(error)
        else:
            self.release()
            self.release = renewed
            self._tell(authenticated_message(self._bus.now_us(), self._access.known()))

    def opened(self) -> None:
        """The handshake is complete: now can be said what came meanwhile."""
        if self._error is not None:
            self.refused(self._error)

    def refused(self, error: RuncastError) -> None:
        """What this connection rested on counts no longer: say so, and close; not before it is open."""
        if not self._peer.is_accepted:
            self._error = error
            return
        self._bus.refused[error.code] += 1
        self._tell(error_message(error, self._bus.now_us()))
        self._peer.sink.close(close_code(error), error.code)

    def _tell(self, message: Message) -> None:
        self._peer.sink.write(self._wish.framing.frame([message], 0))

    def _ended(self, subscriber: Subscriber) -> None:
        del subscriber
        self._peer.sink.close(NORMAL, "the session has ended")


def read_message(message: str | bytes) -> Said:
    """What a client says.

    Raises:
        InvalidInput: nothing that is known here.
    """
    if isinstance(message, bytes):
        raise InvalidInput("message: a text is expected, not binary data.", field="message")
    try:
        return _decode(message)
    except msgspec.ValidationError:
        raise InvalidInput(
            'type: what can be said here is {"type": "ping"} and {"type": "auth", "token": "…"}.',
            field="type",
        ) from None
    except (ValueError, RecursionError):
        raise InvalidInput("message: not valid JSON.", field="message") from None
