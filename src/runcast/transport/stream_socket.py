"""`WS /api/v1/stream`: many streams over one socket, and publishing to them. PROTOCOL.md is its normative text."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Final

import msgspec
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import Scope as ASGIScope

from runcast.core.event import Event, split_stream
from runcast.core.filters import EVERYTHING, filter_of
from runcast.core.scope import Scope
from runcast.core.subscription import Notice
from runcast.errors import InvalidInput, RuncastError, TooMany
from runcast.live.bus import Bus
from runcast.live.codec import Message, Piece, split
from runcast.live.cohort import Wish
from runcast.live.hub import NOW
from runcast.live.subscriber import Subscriber
from runcast.transport.body import native_publish
from runcast.transport.feed_socket import FeedClient, FeedSocket
from runcast.transport.native import NativeCodec, native_event
from runcast.transport.rest import receipt
from runcast.transport.websocket import WebSocketPeer

PING_S: Final = 25.0
"""Between two `ping` pushes, each behind the `checkpoint`s that are due: a page cannot see the protocol's own pings."""
BATCH_OVERHEAD_BYTES: Final = 512

Id = str | int | None


class Subscribe(msgspec.Struct, tag_field="op", tag="subscribe", forbid_unknown_fields=True):
    """Read `stream` (`kind:id`, or a firehose: `kind:*`, `*:*`) after a cursor, from `start`, or from `now`."""

    stream: str
    id: Id = None
    after: str = ""
    filter: dict[str, Any] | None = None


class Unsubscribe(msgspec.Struct, tag_field="op", tag="unsubscribe", forbid_unknown_fields=True):
    """Read it no longer."""

    stream: str
    id: Id = None


class PublishOp(msgspec.Struct, tag_field="op", tag="publish", forbid_unknown_fields=True):
    """Store events in one stream, all or none."""

    stream: str
    events: list[dict[str, Any]]
    id: Id = None


class Ping(msgspec.Struct, tag_field="op", tag="ping", forbid_unknown_fields=True):
    """Is answered by a `pong`."""

    id: Id = None


Op = Subscribe | Unsubscribe | PublishOp | Ping
_decode = msgspec.json.Decoder(Op).decode


class _Named(msgspec.Struct):
    """What an operation is called, even if the rest of it is wrong: so that its error can be told apart."""

    id: Id = None


_decode_id = msgspec.json.Decoder(_Named).decode


class StreamCodec:
    """`events` pushes of one subscription's scope, native events in them; notices name the scope, too."""

    piece_key = "native"

    def __init__(self, scope: Scope, batch_size: int) -> None:
        self.key = f"stream/{scope}/{batch_size}"
        self._batch_size = batch_size
        self._stream = str(scope)
        self._head = b'{"type":"events","stream":' + msgspec.json.encode(self._stream) + b',"events":['
        self._native = NativeCodec()

    def piece(self, event: Event, cursor: str) -> bytes:
        """See `native_event`."""
        return native_event(event, cursor)

    def messages(self, pieces: Sequence[Piece], now_us: int) -> list[Message]:
        """As many pushes as it takes."""
        del now_us
        return [self._push(run) for run in split(pieces, self._batch_size, BATCH_OVERHEAD_BYTES)]

    def notice(self, notice: Notice, now_us: int) -> list[Message]:
        """As `NativeCodec` words it, with the scope's name."""
        named = b'{"stream":' + msgspec.json.encode(self._stream) + b","
        return [
            Message(named + one.payload[1:], one.cursor, one.event)
            for one in self._native.notice(notice, now_us)
        ]

    def _push(self, run: Sequence[Piece]) -> Message:
        events, cursor = b",".join([piece.data for piece in run]), run[-1].cursor
        tail = b'],"cursor":' + msgspec.json.encode(cursor) + b"}"
        return Message(b"".join((self._head, events, tail)), cursor)


class StreamClient(FeedClient):
    """One client with any number of subscriptions, at most one of each scope."""

    def __init__(self, bus: Bus, peer: WebSocketPeer, scope: ASGIScope) -> None:
        super().__init__(bus, peer, scope)
        self._subscribed: dict[Scope, Subscriber] = {}
        self._told: dict[Scope, str] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    async def admit(self) -> None:
        """Everybody who is known may come in; what they may do is looked at when they ask for it."""
        self.access.known()
        self._timer = self._loop.call_later(PING_S, self._keep_alive)

    def left(self) -> None:
        """No more pings."""
        if self._timer is not None:
            self._timer.cancel()

    def word(self, error: RuncastError) -> Message:
        """An error that answers nothing in particular."""
        return _error(error, None)

    def renewed(self) -> Message:
        """The answer to `auth`."""
        expires_s = self.access.known().expires_s
        return _message("authenticated", sub=self.access.known().sub, expires_s=expires_s)

    def ended(self, subscriber: Subscriber) -> None:
        """The `end` of one subscription was told; the others go on."""
        for scope, one in list(self._subscribed.items()):
            if one is subscriber:
                self._drop(scope)

    def hear(self, text: str) -> Awaitable[None] | None:
        """Do one operation. Its error repeats its `id`."""
        try:
            op = _read(text)
        except InvalidInput as error:
            self.bus.refused[error.code] += 1
            self.tell(_error(error, _id_of(text)))
            return None
        match op:
            case Ping():
                self.tell(_message("pong", id=op.id))
                return None
            case Unsubscribe():
                return self._answering(op.id, self._unsubscribe(op))
            case Subscribe():
                return self._answering(op.id, self._subscribe(op))
            case PublishOp():
                return self._answering(op.id, self._publish(op))

    async def _answering(self, name: Id, work: Awaitable[None]) -> None:
        try:
            await work
        except RuncastError as error:
            self.bus.refused[error.code] += 1
            self.tell(_error(error, name))

    async def _subscribe(self, op: Subscribe) -> None:
        scope = read_scope(op.stream)
        wanted = EVERYTHING if op.filter is None else filter_of(op.filter)
        visible = self.access.visible(scope, wanted)
        if scope in self._subscribed:
            raise InvalidInput(f"stream: subscribed to {scope} already.", field="stream")
        most = self.bus.settings.max_subscriptions
        if len(self._subscribed) >= most:
            raise TooMany(
                f"{most} streams are subscribed to here, which is the limit; unsubscribe one first."
            )
        size = self.bus.settings.batch_size
        after = op.after or (self.bus.kind(scope.stream).watch_from if scope.stream else NOW)
        wish = Wish(StreamCodec(scope, size), self.peer.framing, visible, size)
        self._subscribed[scope] = await self.subscribe(scope, wish, after)
        self.tell(_message("subscribed", id=op.id, stream=str(scope), after=after))

    async def _unsubscribe(self, op: Unsubscribe) -> None:
        scope = read_scope(op.stream)
        if scope not in self._subscribed:
            raise InvalidInput(f"stream: not subscribed to {scope}.", field="stream")
        self._drop(scope)
        self.tell(_message("unsubscribed", id=op.id, stream=str(scope)))

    async def _publish(self, op: PublishOp) -> None:
        split_stream(op.stream)
        self.access.check_write([op.stream])
        if not op.events:
            raise InvalidInput("events: at least one is expected.", field="events")
        events = [native_publish(op.stream, value, index) for index, value in enumerate(op.events)]
        self.access.check_publish(self.bus.kind(op.stream), events)
        appended = await self.bus.publish_all(events)
        self.tell(_message("published", id=op.id, **receipt(op.stream, appended)))

    def _drop(self, scope: Scope) -> None:
        self.unsubscribe(self._subscribed.pop(scope))
        self._told.pop(scope, None)

    def _keep_alive(self) -> None:
        """Say where each subscription stands that has been told nothing of it lately, then `ping`."""
        if self.connection.is_closed:
            return
        self._timer = self._loop.call_later(PING_S, self._keep_alive)
        if self.connection.is_blocked:
            return
        for scope, subscriber in self._subscribed.items():
            place = str(subscriber.place) if subscriber.place is not None else ""
            if place and self._told.get(scope) != place:
                self._told[scope] = place
                self.tell(_message("checkpoint", stream=str(scope), cursor=place))
        self.tell(_message("ping"))


def create_stream_socket(bus: Bus) -> BaseRoute:
    """The route of the socket, over `bus`."""
    return WebSocketRoute("/api/v1/stream", FeedSocket(bus, StreamClient), name="stream")


def read_scope(name: str) -> Scope:
    """The scope that `name` is: a stream, `kind:*`, or `*:*`.

    Raises:
        InvalidStreamName: it is none.
    """
    kind, _, rest = name.partition(":")
    if rest != "*":
        return Scope.of_stream(name)
    return Scope.firehose("" if kind == "*" else kind)


def _read(text: str) -> Op:
    try:
        return _decode(text)
    except msgspec.ValidationError as error:
        raise _misread(str(error)) from None
    except (ValueError, RecursionError):
        raise InvalidInput("message: not valid JSON.", field="message") from None


def _misread(reason: str) -> InvalidInput:
    if "`$.op`" in reason or "`op`" in reason:
        return InvalidInput("op: one of subscribe, unsubscribe, publish, auth and ping.", field="op")
    return InvalidInput(f"message: {reason}.", field="message")


def _id_of(text: str) -> Id:
    try:
        return _decode_id(text).id
    except (ValueError, RecursionError):
        return None


def _error(error: RuncastError, name: Id) -> Message:
    fields: dict[str, Any] = {"code": error.code, "message": str(error), "retryable": error.retryable}
    if isinstance(error, InvalidInput) and error.field:
        fields["field"] = error.field
    return _message("error", id=name, **fields)


def _message(kind: str, **fields: Any) -> Message:
    return Message(msgspec.json.encode({"type": kind, **fields}), event=kind)
