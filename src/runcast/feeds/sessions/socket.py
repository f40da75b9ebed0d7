"""`WS /ws/events/{session_id}` and `WS /ws/events`: live and replayed session events."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, Literal

import msgspec

from runcast.core.event import stream_name
from runcast.core.pacing import limit_rate
from runcast.core.scope import Scope
from runcast.errors import InvalidInput, RuncastError
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
from runcast.live.hub import NOW
from runcast.transport.feed_socket import FeedClient, FeedSocket
from runcast.transport.params import choice_param, filter_param, integer_param, text_param

MAX_BATCH_SIZE: Final = 1_000
MAX_POLL_INTERVAL_MS: Final = 60_000
MAX_RATE: Final = 1_000_000
"""Events per second that `max_rate` may ask for; 0 is no limit."""


class Ping(msgspec.Struct):
    """Is answered by a `pong`; all else that can be said is `auth`, which every feed has."""

    type: Literal["ping"]


_decode = msgspec.json.Decoder(Ping).decode


class SessionClient(FeedClient):
    """One client of a session, or of all of them. Defaults of `batch_size` and the rest are the bus's settings."""

    goodbye = "the session has ended"

    async def admit(self) -> None:
        """Subscribe to what the path names."""
        session_id = self.path.get("session_id")
        wanted = (
            Scope.firehose("session")
            if session_id is None
            else Scope.of_stream(stream_name("session", session_id))
        )
        self.holds = wanted
        await self.subscribe(wanted, self._wish(wanted), text_param(self.query, "after", NOW))

    def hear(self, text: str) -> Awaitable[None] | None:
        """Answer a `ping`."""
        read_message(text)
        self.tell(pong_message(self.bus.now_us()))
        return None

    def word(self, error: RuncastError) -> Message:
        """An `error` frame."""
        return error_message(error, self.bus.now_us())

    def renewed(self) -> Message:
        """An `authenticated` frame."""
        return authenticated_message(self.bus.now_us(), self.access.known())

    def _wish(self, wanted: Scope) -> Wish:
        query = self.query
        size = integer_param(query, "batch_size", self.bus.settings.batch_size, 1, MAX_BATCH_SIZE)
        interval_ms = integer_param(query, "poll_interval", 0, 0, MAX_POLL_INTERVAL_MS)
        max_rate = integer_param(query, "max_rate", 0, 0, MAX_RATE)
        size, interval_s = limit_rate(size, interval_ms / 1000, max_rate)
        batches = choice_param(query, "format", ("batch", "event")) == "batch"
        codec: Codec = BatchCodec(size) if batches else EventCodec()
        visible = self.access.visible(wanted, filter_param(query))
        return Wish(codec, self.peer.framing, visible, size, interval_s)


def session_socket(bus: Bus) -> FeedSocket:
    """The ASGI endpoint of both paths, over `bus`."""
    return FeedSocket(bus, SessionClient)


def read_message(message: str) -> Ping:
    """What a client says.

    Raises:
        InvalidInput: nothing that is known here.
    """
    try:
        return _decode(message)
    except msgspec.ValidationError:
        raise InvalidInput(
            'type: what can be said here is {"type": "ping"} and {"type": "auth", "token": "…"}.',
            field="type",
        ) from None
    except (ValueError, RecursionError):
        raise InvalidInput("message: not valid JSON.", field="message") from None
