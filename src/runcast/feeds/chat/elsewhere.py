"""Typing for the clients of other processes: passed on by a log that can, and never stored."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from runcast.errors import LogError
from runcast.live.bus import Bus
from runcast.live.codec import Message
from runcast.live.hub import Hub
from runcast.log.passing import PassesOn

MAX_ON_THEIR_WAY: Final = 16
"""More at once are dropped: who goes on typing says so again."""

MAX_CHARS: Final = 8_192
"""Of what is passed on; a longer text is not of ours."""


class _Passed(msgspec.Struct):
    process: str
    stream: str
    but: str
    frame: msgspec.Raw


_decode = msgspec.json.Decoder(_Passed).decode
_encode = msgspec.json.Encoder().encode


class Elsewhere:
    """What clients here say to those who are connected elsewhere. Belongs to the event loop.

    Args:
        tell: tells the clients of a conversation here, but those of one person.
    """

    def __init__(self, bus: Bus, tell: Callable[[str, Message, str], None]) -> None:
        self._bus = bus
        self._tell = tell
        self._process = secrets.token_hex(8)
        self._hub: Hub | None = None
        self._on_their_way = 0

    def listen(self) -> None:
        """Hear of what others say, from now on. Idempotent within one loop."""
        log = self._bus.log
        if self._hub is not self._bus.hub and isinstance(log, PassesOn):
            hub = self._hub = self._bus.hub
            loop = asyncio.get_running_loop()

            def hear(text: str) -> None:
                with suppress(RuntimeError):  # the loop was closed
                    loop.call_soon_threadsafe(self._hear, hub, text)

            log.listen(hear)

    async def say(self, stream: str, message: Message, but: str) -> None:
        """Tell those who are elsewhere, soon; nobody hears whether that has worked."""
        log = self._bus.log
        if isinstance(log, PassesOn) and self._on_their_way < MAX_ON_THEIR_WAY:
            passed = _Passed(self._process, stream, but, msgspec.Raw(message.payload))
            self._on_their_way += 1
            await self._bus.spawn(self._pass_on(log, _encode(passed).decode()))

    async def _pass_on(self, log: PassesOn, text: str) -> None:
        try:
            with suppress(LogError):
                await self._bus.call(log.pass_on, text)
        finally:
            self._on_their_way -= 1

    def _hear(self, hub: Hub, text: str) -> None:
        if hub is not self._hub or len(text) > MAX_CHARS:
            return
        try:
            passed = _decode(text)
        except ValueError:  # of another version, or of somebody else
            return
        if passed.process != self._process:
            self._tell(passed.stream, Message(bytes(passed.frame), "", "typing"), passed.but)
