"""Waiting for the answer to one question, in whichever process it is made."""

from __future__ import annotations

from typing import Any

import msgspec

from runcast.errors import LogClosed
from runcast.kinds.chat import COMPLETE, ERROR
from runcast.live.bus import Bus
from runcast.runners.chat.service import Receipt


class Answer(msgspec.Struct):
    """What became of a question: a response, or an error."""

    message_id: str | None = None
    response: str = ""
    metadata: dict[str, Any] = {}
    cancelled: bool = False
    error: str | None = None


_decode = msgspec.json.Decoder(Answer).decode


async def answer_to(bus: Bus, receipt: Receipt) -> Answer:
    """The answer, when it has come to its end. Cancellation-safe: it is made all the same.

    Raises:
        LogError: the stream could not be read, or has ended without it.
    """
    async for event in bus.subscribe(receipt.appended.stream, after=str(receipt.appended.cursor)):
        if event.type in {COMPLETE, ERROR}:
            answer = _decode(event.data)
            if answer.message_id == receipt.answer_id:
                return answer
    raise LogClosed("The conversation was closed before the answer was there.")
