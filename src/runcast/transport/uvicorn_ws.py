"""The fast path: uvicorn's WebSocket protocol, with prepared frames written straight to the transport.

Given to uvicorn by its `ws=` setting. Each WebSocket scope then has the extension `runcast.frames`, a
`FrameLink`. It leans on internals of uvicorn's sans-I/O protocol; `unsupported` says whether they are there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from runcast.core.frames import DEFLATE_WINDOW_BITS
from runcast.live.codec import Chunk
from runcast.live.sink import Pressure
from runcast.transport.websocket import DRAIN_S, EXTENSION

_NEEDED = frozenset(
    [
        "app_state",
        "close_sent",
        "close_timeout",
        "close_timer",
        "config",
        "conn",
        "connection_lost",
        "curr_msg_data_type",
        "data_received",
        "disconnected",
        "frames",
        "handle_close",
        "handle_connect",
        "handle_parser_exception",
        "handshake_complete",
        "handshake_initiated",
        "keepalive_timeout",
        "loop",
        "pause_writing",
        "pending_ping_payload",
        "ping_timer",
        "pong_timer",
        "queue",
        "read_paused",
        "resume_writing",
        "schedule_ping",
        "send_keepalive_ping",
        "send_receive_event_to_app",
        "shutdown",
        "stop_keepalive",
        "transport",
    ]
)

_EXTENSIONS = [
    # No context is taken over in either direction: a connection needs no memory for it, and frames are shared.
    ServerPerMessageDeflateFactory(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        server_max_window_bits=DEFLATE_WINDOW_BITS,
        client_max_window_bits=DEFLATE_WINDOW_BITS,
        compress_settings={"memLevel": 5},
    )
]


class FrameProtocol(WebSocketsSansIOProtocol):
    """One client of the fast path.

    `DRAIN_S` in the lifespan's state is how long the hub takes to tell its clients of a restart.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn.available_extensions = _EXTENSIONS if self.config.ws_per_message_deflate else None
        self.pressure: Pressure | None = None

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        scope = getattr(self, "scope", None)
        if scope is not None:  # else the handshake was refused
            scope["extensions"][EXTENSION] = TransportLink(self)

    def data_received(self, data: bytes) -> None:
        """Answer a handshake that could not even be read: uvicorn would leave its client waiting for ever."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.handshake_initiated = True
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.pressure is not None:
            self.pressure.blocked()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.pressure is not None:
            self.pressure.drained()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.pressure is not None:
            self.pressure.closed()
            self.pressure = None

    def send_keepalive_ping(self) -> None:
        """While bytes wait for the client, a ping could not reach it: see to it later."""
        if self.transport.get_write_buffer_size():
            self.schedule_ping()
        else:
            super().send_keepalive_ping()

    def keepalive_timeout(self) -> None:
        """Bytes that wait in front of the ping suspend its deadline; a client that takes none is the hub's to close."""
        if self.transport.get_write_buffer_size():
            self.pong_timer = None
            self.pending_ping_payload = None
            self.schedule_ping()
        else:
            super().keepalive_timeout()

    def handle_close(self, event: Frame) -> None:
        super().handle_close(event)
        self._abort_if_it_lingers()

    def handle_parser_exception(self) -> None:
        super().handle_parser_exception()
        self._abort_if_it_lingers()

    def _abort_if_it_lingers(self) -> None:
        """A closing transport waits for its buffer, for ever if the client takes nothing."""
        if self.close_timer is None and not self.disconnected:
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)

    def send_receive_event_to_app(self) -> None:
        """Refuse invalid UTF-8 in a sentence instead of a traceback (RFC 6455 §8.1)."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.close(CloseCode.INVALID_DATA, "a text message must be UTF-8")
                return
        super().send_receive_event_to_app()

    def shutdown(self) -> None:
        """The hub tells its clients of a restart, each at a moment of its own; here is only who was not told."""
        if self.pressure is None:
            super().shutdown()
        else:
            self.loop.call_later(self.app_state.get(DRAIN_S, 0.0), self._go_away)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame behind what is written, and give the client some seconds to answer it."""
        if not self.handshake_complete or self.close_sent or self.disconnected or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.stop_keepalive()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        # Not a mere close: that would wait for ever for a client that takes nothing.
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)

    def _go_away(self) -> None:
        self.close(CloseCode.SERVICE_RESTART, "the server restarts")


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


def unsupported() -> str:
    """Which part of uvicorn's protocol is missing in the installed version; empty if all is there."""
    source = vars(WebSocketsSansIOProtocol)
    made = WebSocketsSansIOProtocol.__init__.__code__.co_names
    return ", ".join(sorted(_NEEDED - source.keys() - set(made)))
