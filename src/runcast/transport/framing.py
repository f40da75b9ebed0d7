"""How messages become what one write carries: frames, deflated frames, or plain texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runcast.core.frames import text_frames
from runcast.live.codec import Chunk, Message


class FrameFraming:
    """RFC 6455 text frames for the fast path, deflated or not; the same bytes for everybody."""

    def __init__(self, *, deflate: bool) -> None:
        self.key = "deflate" if deflate else "frames"
        self._deflate = deflate

    def frame(self, messages: Sequence[Message], events: int) -> Chunk:
        """All messages as frames, in one piece."""
        data = text_frames([message.payload for message in messages], deflate=self._deflate)
        return Chunk(data, len(data), events)


class TextFraming:
    """Texts for the portable path, where the ASGI server makes the frames."""

    key = "texts"

    def frame(self, messages: Sequence[Message], events: int) -> Chunk:
        """All messages as texts."""
        return Chunk(
            tuple(message.payload.decode() for message in messages),
            sum(len(m.payload) for m in messages),
            events,
        )


FRAMES: Final = FrameFraming(deflate=False)
DEFLATED: Final = FrameFraming(deflate=True)
TEXTS: Final = TextFraming()
