"""What the sockets with flat frames have in common: plain words of the client, and pings in the feed's own words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from starlette.types import Scope as ASGIScope

from runcast.errors import InvalidInput, RuncastError
from runcast.live.bus import Bus
from runcast.live.codec import Message
from runcast.transport.feed_socket import FeedClient
from runcast.transport.flat_frames import FlatFrames
from runcast.transport.websocket import WebSocketPeer


class _Said(msgspec.Struct):
    type: str


_decode = msgspec.json.Decoder(_Said).decode

Answer = Callable[[], Awaitable[None] | None]


class FlatClient(FeedClient):
    """A client that is told flat frames and says single words: `ping`, `pong`, and what `words` has.

    A word may also come as `{"type": word}`. It is sent `{"type": "ping"}` every `ping_interval_s` of the settings;
    if it does not answer, nothing happens: dead peers are found by the protocol's own pings.
    """

    frames: FlatFrames

    def __init__(self, bus: Bus, peer: WebSocketPeer, scope: ASGIScope) -> None:
        super().__init__(bus, peer, scope)
        self.words: Mapping[str, Answer] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def hear(self, text: str) -> Awaitable[None] | None:
        """Answer a word; raises `InvalidInput` for another."""
        word = _word(text)
        if word == "ping":
            self.tell(self.frames.control("pong", self.bus.now_us()))
        elif word != "pong":
            answer = self.words.get(word)
            if answer is None:
                known = ", ".join(sorted({"ping", "pong", *self.words}))
                raise InvalidInput(f"message: what can be said here is {known}.", field="message")
            return answer()
        return None

    def word(self, error: RuncastError) -> Message:
        """An `error` frame."""
        return self.frames.error(error, self.bus.now_us())

    def renewed(self) -> Message:
        """An `authenticated` frame."""
        return self.frames.authenticated(self.access.known(), self.bus.now_us())

    def opened(self) -> None:
        """Greet, and ping from now on."""
        super().opened()
        self._ping_later()

    def left(self) -> None:
        """Ping no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _ping_later(self) -> None:
        self._timer = self._loop.call_later(self.bus.settings.ping_interval_s, self._ping)

    def _ping(self) -> None:
        if not self.connection.is_blocked:  # enough waits for it already, and says as much
            self.tell(self.frames.control("ping", self.bus.now_us()))
        self._ping_later()


def _word(text: str) -> str:
    said = text.strip()
    if said.startswith("{"):
        try:
            return _decode(said).type
        except (ValueError, RecursionError):  # no JSON, or without a type: no word that is known
            return ""
    return said
