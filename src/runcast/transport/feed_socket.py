"""What the feeds' WebSockets have in common: who it is, its limits, its subscriptions, its refusals, its end.

A feed derives from `FeedClient` and says in its own words what is told and what may be said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import parse_qs

import msgspec
from starlette.types import Receive, Send
from starlette.types import Scope as ASGIScope

from runcast.core.closing import NORMAL
from runcast.core.rate import TokenBucket
from runcast.core.scope import Scope
from runcast.errors import InvalidInput, RuncastError, TooLarge, TooMany, Unauthenticated
from runcast.live.bus import Bus
from runcast.live.codec import Message
from runcast.live.cohort import Wish
from runcast.live.connection import Connection
from runcast.live.subscriber import Subscriber
from runcast.transport.access import Access, access_of
from runcast.transport.params import Query
from runcast.transport.permission import KNOWN
from runcast.transport.websocket import WebSocketPeer, close_code


class _Auth(msgspec.Struct):
    """Says who the client is, by an API key or a token. Each feed has its own word for what a message is."""

    token: object = None
    type: object = None
    op: object = None
    action: object = None


_decode_auth = msgspec.json.Decoder(_Auth).decode


class FeedClient:
    """One client of a feed: what it is subscribed to, what it hears, what it may say.

    `admit` subscribes it before it hears that it is connected, so whatever is published from then on is for it;
    `greeting` is the first that it hears, before any event. `holds` is what it must be allowed to read for as long
    as it is connected; with None it goes on as long as all that it may do stays the same. Everything belongs to the
    event loop.
    """

    holds: Scope | None = None
    goodbye = "everything was told"
    """Why the socket is closed by 1000 when its subscription has ended."""

    def __init__(self, bus: Bus, peer: WebSocketPeer, scope: ASGIScope) -> None:
        self.bus = bus
        self.access: Access = access_of(scope)
        self.connection: Connection
        self.query: Query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        self.path: dict[str, str] = scope.get("path_params", {})
        self.peer = peer
        self._release: Callable[[], None] = lambda: None
        self._refusal: RuncastError | None = None
        self._bucket = TokenBucket(bus.settings.inbound_rate, bus.settings.inbound_burst)
        self._now_s = asyncio.get_running_loop().time

    # what a feed says in its own words

    async def admit(self) -> None:
        """Read the request and subscribe; raises `RuncastError` to refuse it."""
        raise NotImplementedError

    def greeting(self) -> Sequence[Message]:
        """What is said first."""
        return ()

    def hear(self, text: str) -> Awaitable[None] | None:
        """Take what the client says; what is returned is awaited before the next message. May raise `RuncastError`."""
        raise NotImplementedError

    def word(self, error: RuncastError) -> Message:
        """An error as this feed tells it."""
        raise NotImplementedError

    def renewed(self) -> Message:
        """The answer to an `auth` message of a client that was known already."""
        raise NotImplementedError

    def ended(self, subscriber: Subscriber) -> None:
        """Everything there was to tell `subscriber` is written."""
        del subscriber
        self.peer.sink.close(NORMAL, self.goodbye)

    def left(self) -> None:
        """The client has gone."""

    # what they have in common

    def tell(self, *messages: Message) -> None:
        """Write messages that are for this client alone."""
        if messages:
            self.peer.sink.write(self.peer.framing.frame(messages, 0))

    async def subscribe(self, scope: Scope, wish: Wish, after: str) -> Subscriber:
        """See `Hub.subscribe`."""
        return await self.bus.hub.subscribe(self.connection, scope, wish, after)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Send nothing more of it. Idempotent."""
        subscriber.detach()
        if subscriber in self.connection.subscribers:
            self.connection.subscribers.remove(subscriber)

    async def begin(self) -> None:
        """Take a place: connected, held, admitted; on failure nothing is left behind."""
        self.connection = self.bus.hub.connect(self.peer.sink, self.ended)
        self.connection.is_blocked = True  # until the handshake is complete, see `WebSocketPeer.run`
        try:
            await self.admit()
            self._release = await self.access.hold(self.holds, self.refused)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Give up what `begin` took. Idempotent."""
        self.connection.closed()
        self._release()
        self.left()

    def receive(self, message: str | bytes | RuncastError) -> Awaitable[None] | None:
        """Answer one message of the client; what is returned is to be awaited before the next one."""
        if isinstance(message, RuncastError):
            self.refused(message)
            return None
        try:
            text = self._check(message)
            token = token_in(text)
            return self.hear(text) if token is None else self._renew(token)
        except RuncastError as error:
            self.answer(error)
            return None

    def answer(self, error: RuncastError) -> None:
        """Tell the client what was wrong with what it said; it goes on unless it said too much."""
        self.bus.refused[error.code] += 1
        self.tell(self.word(error))
        if isinstance(error, TooLarge | TooMany):
            self.peer.sink.close(close_code(error), error.code)

    def opened(self) -> None:
        """The handshake is complete: now can be said what is first, and what came meanwhile."""
        if self._refusal is not None:
            self.refused(self._refusal)
        else:
            self.tell(*self.greeting())

    def refused(self, error: RuncastError) -> None:
        """What this connection rested on counts no longer: say so, and close; not before it is open."""
        if not self.peer.is_accepted:
            self._refusal = error
            return
        self.bus.refused[error.code] += 1
        self.tell(self.word(error))
        self.peer.sink.close(close_code(error), error.code)

    def _check(self, message: str | bytes) -> str:
        limits = self.bus.settings
        if not self._bucket.take(self._now_s()):
            raise TooMany(f"More than {limits.inbound_rate} messages per second; reconnect more calmly.")
        if isinstance(message, bytes):
            raise InvalidInput("message: a text is expected, not binary data.", field="message")
        size = len(message.encode())
        if size > limits.inbound_max_bytes:
            raise TooLarge(
                f"message: {size} bytes; the limit is {limits.inbound_max_bytes}.", field="message"
            )
        return message

    async def _renew(self, token: str) -> None:
        """Go on as who a new token says; the grants must still allow what is read here."""
        try:
            renewed = await self.access.renew(token, self.holds, self.refused)
        except RuncastError as error:
            self.refused(error)
        else:
            self._release()
            self._release = renewed
            self.tell(self.renewed())


MakeClient = Callable[[Bus, WebSocketPeer, ASGIScope], FeedClient]


class FeedSocket:
    """The ASGI endpoint of a feed's WebSocket, over what makes its clients."""

    permission = KNOWN
    """It says who it is when it connects, or in its first message; then it reads what it may."""

    def __init__(self, bus: Bus, make: MakeClient) -> None:
        self._bus = bus
        self._make = make

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Serve one client until it goes."""
        peer = WebSocketPeer(scope, receive, send, self._bus.hub.buffer_limit_bytes())
        client = self._make(self._bus, peer, scope)
        try:
            await self._identify(client)
            await client.begin()
        except RuncastError as error:
            self._bus.refused[error.code] += 1
            await peer.refuse(client.word(error).payload.decode(), close_code(error), error.code)
            return
        try:
            await peer.run(client.connection, client.receive, client.opened)
        finally:
            client.end()

    async def _identify(self, client: FeedClient) -> None:
        """Wait for an `auth` message, from a client that has not shown who it is."""
        access = client.access
        if access.principal is None:
            with access.unknown():
                message = await client.peer.first_message(self._bus.settings.unauthenticated_s)
            token = token_in(message) if isinstance(message, str) else None
            if token is None:
                raise Unauthenticated
            await access.identify(token)


def token_in(text: str) -> str | None:
    """What an `auth` message shows, `{"type": "auth", "token": "…"}` (or `op`, or `action`); None if it is another one.

    Raises:
        InvalidInput: it is an `auth` message without a token.
    """
    if '"auth"' not in text:
        return None
    try:
        said = _decode_auth(text)
    except (ValueError, RecursionError):
        return None
    if "auth" not in {str(said.type), str(said.op), str(said.action)}:
        return None
    if not isinstance(said.token, str):
        raise InvalidInput("token: a string is expected in an auth message.", field="token")
    return said.token
