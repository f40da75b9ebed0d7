"""The document's Swift struct as a decoder that is as strict: a field of another type fails, null and absent do not."""

from __future__ import annotations

import msgspec


class ProgressMessage(msgspec.Struct):
    step: str | None = None
    tool: str | None = None
    message: str | None = None
    percent: int | None = None
    timestamp: str | None = None
    error: bool | None = None
    heartbeat: bool | None = None


decode = msgspec.json.Decoder(ProgressMessage, strict=True).decode


def check(text: str | bytes) -> ProgressMessage:
    """Decode a frame as the Swift client does; but for heartbeats, all that clients read must be there."""
    frame = decode(text)
    assert frame.timestamp is not None
    assert frame.timestamp.endswith("Z")
    if frame.heartbeat is None:
        assert frame.step
        assert frame.message is not None
        assert frame.percent is not None
        assert 0 <= frame.percent <= 100
        assert frame.error is not None
    return frame
