"""Server-sent events: the same cohorts and codecs over `text/event-stream` (WHATWG HTML §9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from runcast.core.closing import NORMAL, POLICY_VIOLATION
from runcast.core.filters import EventSubscriptionFilter
from runcast.core.scope import Scope as Streams
from runcast.live.bus import Bus
from runcast.live.codec import Chunk, Codec, Message
from runcast.live.cohort import Wish
from runcast.transport.access import access_of
from runcast.transport.sender import SenderSink, ending

HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
]
COMMENT: Final = b":\n\n"


class SSEFraming:
    """An SSE message for each message; its `id` is the cursor to resume from."""

    key = "sse"

    def frame(self, messages: Sequence[Message], events: int) -> Chunk:
        """All messages in one piece."""
        data = b"".join([_sse(message) for message in messages])
        return Chunk(data, len(data), events)


SSE: Final = SSEFraming()


class EventStream(Response):
    """An ASGI response that goes on until the client leaves, the stream ends, or the server restarts."""

    def __init__(
        self, bus: Bus, streams: Streams, after: str, codec: Codec, wanted: EventSubscriptionFilter
    ) -> None:
        super().__init__()
        self._bus = bus
        self._streams = streams
        self._after = after
        self._codec = codec
        self._wanted = wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request; what is wrong with it is raised before the response begins."""

        async def send_body(data: bytes | str) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        async def finish(code: int, reason: str) -> None:
            del code, reason  # a client of SSE reconnects, and gets 204 if the stream has ended
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        hub, access = self._bus.hub, access_of(scope)
        visible = access.visible(self._streams, self._wanted)
        wish = Wish(self._codec, SSE, visible, self._bus.settings.batch_size)
        sink = SenderSink(send_body, finish, hub.buffer_limit_bytes())
        release = await access.hold(self._streams, lambda _: sink.close(POLICY_VIOLATION, ""))
        try:
            connection = hub.connect(sink, lambda _: sink.close(NORMAL, ""))
        except BaseException:
            release()
            raise
        try:
            sink.write(_comment())
            await hub.subscribe(connection, self._streams, wish, self._after)
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            with suppress(TimeoutError):
                async with asyncio.timeout(None) as giving_up, asyncio.TaskGroup() as group:
                    give_up = ending(giving_up)
                    sink.attach(connection, give_up)
                    comments = group.create_task(self._comment(sink))
                    leaving = group.create_task(_until_gone(receive, give_up))
                    await sink.run()
                    comments.cancel()
                    leaving.cancel()
        finally:
            release()
            connection.closed()

    async def _comment(self, sink: SenderSink) -> None:
        """Keep proxies from thinking that the connection is dead."""
        while True:
            await asyncio.sleep(self._bus.settings.sse_comment_interval_s)
            if not sink.buffered_bytes():
                sink.write(_comment())


async def _until_gone(receive: Receive, give_up: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    give_up()


def _comment() -> Chunk:
    return Chunk(COMMENT, len(COMMENT), 0)


def _sse(message: Message) -> bytes:
    lines = [b"data: " + message.payload]
    if message.event:
        lines.append(b"event: " + message.event.encode())
    if message.cursor:
        lines.append(b"id: " + message.cursor.encode())
    return b"\n".join(lines) + b"\n\n"
