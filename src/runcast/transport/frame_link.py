"""What the fast path offers to an app in the scope of a WebSocket: prepared frames, written straight to the transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from websockets.extensions.permessage_deflate import PerMessageDeflate

from runcast.core.frames import DEFLATE_WINDOW_BITS
from runcast.live.codec import Chunk
from runcast.live.sink import Pressure

if TYPE_CHECKING:
    from runcast.transport.uvicorn_ws import FrameProtocol


class TransportLink:
    """What the scope extension offers: a sink for prepared frames. Belongs to the loop's thread."""

    __slots__ = ("_protocol", "_write")

    def __init__(self, protocol: FrameProtocol) -> None:
        self._protocol = protocol
        self._write: Callable[[bytes], None] = protocol.transport.write

    @property
    def deflate(self) -> bool:
        """Whether the client takes deflated frames that were made for all (RFC 7692 §7.1.2)."""
        return any(
            isinstance(extension, PerMessageDeflate)
            and extension.local_max_window_bits >= DEFLATE_WINDOW_BITS
            for extension in self._protocol.conn.extensions
        )

    def attach(self, pressure: Pressure, limit_bytes: int) -> None:
        """Tell `pressure` when over `limit_bytes` wait, when less than a quarter does, and of the end."""
        if self._protocol.disconnected:
            pressure.closed()  # it left while it was let in; its transport can be asked nothing any more
            return
        self._protocol.transport.set_write_buffer_limits(high=limit_bytes, low=limit_bytes // 4)
        self._protocol.pressure = pressure

    def allow_messages(self, limit_bytes: int) -> None:
        """Take messages of up to `limit_bytes` from this client, which may be more than from others."""
        self._protocol.allow_messages(limit_bytes)

    def write(self, chunk: Chunk) -> None:
        """Hand over whole frames; nothing after a close frame (RFC 6455 §5.5.1)."""
        if not self._protocol.close_sent and not self._protocol.transport.is_closing():
            self._write(chunk.data)  # pyright: ignore[reportArgumentType] - the framings of this path make bytes

    def buffered_bytes(self) -> int:
        """What the transport holds."""
        return self._protocol.transport.get_write_buffer_size()

    def close(self, code: int, reason: str) -> None:
        """See `Sink.close`; works for a client that takes nothing, too."""
        self._protocol.close(code, reason)
