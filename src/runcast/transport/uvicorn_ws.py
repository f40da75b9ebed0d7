"""The fast path: uvicorn's WebSocket protocol, with prepared frames written straight to the transport.

Given to uvicorn by its `ws=` setting. Each WebSocket scope then has the extension `runcast.frames`, a
`FrameLink`. It leans on internals of uvicorn's sans-I/O protocol; `unsupported` says whether they are there.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import PayloadTooBig
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Protocol

from runcast.core.frames import DEFLATE_WINDOW_BITS
from runcast.core.rate import TokenBucket
from runcast.errors import RuncastError, TooLarge, TooMany
from runcast.live.sink import Pressure
from runcast.transport.frame_link import TransportLink
from runcast.transport.limits import LIMITS, TooSlow, limits_in
from runcast.transport.turns import GIVE_WAY_S
from runcast.transport.uvicorn_needs import WEBSOCKET as _NEEDED
from runcast.transport.uvicorn_needs import WEBSOCKETS_LIBRARY as _NEEDED_OF_WEBSOCKETS
from runcast.transport.websocket import DRAIN_S, EXTENSION, REFUSAL, close_code

SLICE_BYTES: Final = 256
"""So much is parsed at a time, and more within a long frame: even this may be dozens of frames."""
MOST_BYTES: Final = 64 * 1024
"""So much at a time within a long frame; also, what is read at a time from a client that is refused."""
FRAMES_AT_ONCE: Final = 32
"""After about so many in one piece, everybody else has their turn."""
MESSAGES_AT_ONCE: Final = 16
"""The same for messages that the app takes without waiting for any."""
PACE_BYTES: Final = 256 * 1024
"""In the time that the rest of a body may take, so much of a long message must come."""
LINGER_BYTES: Final = 16 * 1024 * 1024
"""What is read from a client that is being closed, and thrown away, so that it can read why (RFC 6455 §7.1.1)."""

_BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
"""The library itself answers only those handshakes that it could read."""

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

    In the lifespan's state, `DRAIN_S` is how long the hub takes to tell its clients of a restart, and `LIMITS` what
    a client may send. Without limits there, a message may be as long as uvicorn's `ws_max_size` says.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn.available_extensions = _EXTENSIONS if self.config.ws_per_message_deflate else None
        self.pressure: Pressure | None = None
        self._limits = limits_in(self.app_state)
        self._message_max_bytes = self._limits.settings.inbound_max_bytes
        if LIMITS in self.app_state:
            _limit_messages(self.conn, 2 * self._message_max_bytes)
        rate = self._limits.settings.inbound_frame_rate
        self._frames_left = TokenBucket(rate, 2 * rate)
        self._fragments: bytearray | None = None
        self._unfinished_since: float | None = None
        self._pong: bytes | None = None
        self._is_leaving = False
        self._thrown_away = 0
        self._held = b""  # read, and not parsed yet
        self._has_turn = False
        self._frames_seen = 0
        self._taken = 0  # messages, without waiting

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        scope = getattr(self, "scope", None)
        if scope is not None:  # else the handshake was refused
            scope["extensions"][EXTENSION] = TransportLink(self)

    def data_received(self, data: bytes) -> None:
        """Take what came, a little at a time: it may be thousands of frames, and others are waiting."""
        if self._is_leaving:
            self._throw_away(len(data))
        elif not self.handshake_initiated:
            self._shake_hands(data)
        else:
            self._held = self._held + data if self._held else data
            if not self._has_turn:
                self._parse_held()

    def allow_messages(self, limit_bytes: int) -> None:
        """Take messages of up to `limit_bytes` from this client; at the pace of bodies, see `_is_too_slow`."""
        self._message_max_bytes = limit_bytes
        _limit_messages(self.conn, limit_bytes)

    async def receive(self) -> Any:
        """The next message for the app, which lets others go on after some of them."""
        self._taken = 0 if self.queue.empty() else self._taken + 1
        if self._taken == MESSAGES_AT_ONCE:
            self._taken = 0
            await asyncio.sleep(GIVE_WAY_S)
        message = await super().receive()
        if self._held and not self.read_paused:
            self._wait_for_turn()
        return message

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.pressure is not None:
            self.pressure.blocked()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._pong is not None and not self.close_sent:
            self.transport.write(self._pong)
        self._pong = None
        if self.pressure is not None:
            self.pressure.drained()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._held = b""
        if self.pressure is not None:
            self.pressure.closed()
            self.pressure = None

    def send_keepalive_ping(self) -> None:
        """While bytes wait for the client, a ping could not reach it: see to it later."""
        if self._is_too_slow():
            limit_s = self._limits.settings.request_body_timeout_s
            self.refuse(TooSlow(f"message: the rest of one must come within {limit_s:g} seconds."))
            return
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

    def handle_text(self, event: Frame) -> None:
        if self._may_come():
            self._fragments = None
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        if self._may_come():
            self._fragments = None
            super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        """Join fragments as they come: a message in pieces takes no more memory than a whole one."""
        if not self._may_come():
            return
        if self._fragments is None:
            self._fragments = bytearray(b"".join(self.frames))
            self.frames = []
        self._fragments += event.data
        if event.fin:
            self.frames, self._fragments = [bytes(self._fragments)], None
            self.send_receive_event_to_app()

    def handle_ping(self) -> None:
        """Answer, while the client reads what it is sent; else the latest ping only, later (RFC 6455 §5.5.3)."""
        pongs = self.conn.data_to_send()
        if not self._may_come() or self.close_sent or not pongs:
            return
        if self.writable.is_set():
            self.transport.write(b"".join(pongs))
        else:
            self._pong = pongs[-1]

    def handle_pong(self, event: Frame) -> None:
        if self._may_come():
            super().handle_pong(event)

    def handle_close(self, event: Frame) -> None:
        if self._is_leaving:
            return
        super().handle_close(event)
        if self.close_timer is None and not self.disconnected:
            # A closing transport waits for its buffer, for ever if the client takes nothing.
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)

    def handle_parser_exception(self) -> None:
        """What came was no frame, or one that is too long. The app may tell of the latter in its own words."""
        if (
            isinstance(self.conn.parser_exc, PayloadTooBig)
            and self.pressure is not None
            and not self.close_sent
        ):
            limit = self._message_max_bytes
            self.refuse(TooLarge(f"message: over the limit of {limit} bytes.", field="message"))
            return
        # A client may close within a message of its own: that is a close like any other (RFC 6455 §5.5.1).
        close = self.conn.close_rcvd or self.conn.close_sent
        assert close is not None
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        if not self.close_sent:
            self._write_close(close)
        self._leave()

    def refuse(self, error: RuncastError) -> None:
        """Take nothing more from this client. The app, if it is one of ours, says why before it closes."""
        if self.pressure is None:
            self._limits.refused[error.code] += 1
            self.close(close_code(error), error.code)
        elif not self.close_sent:
            self.queue.put_nowait({"type": "websocket.receive", REFUSAL: error})  # pyright: ignore[reportArgumentType]
        self._leave()

    def send_receive_event_to_app(self) -> None:
        """Refuse invalid UTF-8 in a sentence instead of a traceback (RFC 6455 §8.1)."""
        self._unfinished_since = None
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.close(CloseCode.INVALID_DATA, "a text message must be UTF-8")
                self._leave()
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
        if self.conn.close_sent is None:
            self.conn.send_close(code, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        else:
            self._write_close(Close(code, reason))
        self._read_on()
        if self._is_leaving:
            self._write_eof()

    def _shake_hands(self, data: bytes) -> None:
        """Answer also a handshake that could not even be read: uvicorn would leave its client waiting for ever."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.handshake_initiated = True
            self.transport.write(b"".join(self.conn.data_to_send()) or _BAD_REQUEST)
            self.close_sent = True
            self._leave()

    def _parse_held(self) -> None:
        """As much of it as is good for everybody; the rest when the app has taken the messages, and others their turn."""
        view, at, step, begun = memoryview(self._held), 0, SLICE_BYTES, self._frames_seen
        while at < len(view) and not self._is_leaving and self._frames_seen < begun + FRAMES_AT_ONCE:
            seen = self._frames_seen
            super().data_received(bytes(view[at : at + step]))
            at += step
            step = SLICE_BYTES if self._frames_seen > seen else min(4 * step, MOST_BYTES)
        self._held = b"" if self._is_leaving else bytes(view[at:])
        if not self._held:
            self._note_what_is_unfinished()
        elif self.read_paused:
            pass  # the app has not taken what came
        else:
            self._wait_for_turn()

    def _wait_for_turn(self) -> None:
        """Read nothing more until it is our turn."""
        if not self.disconnected and not self.transport.is_closing():
            self.transport.pause_reading()
            if not self._has_turn:
                self._has_turn = True
                self._limits.turns.wait(self._take_turn)

    def _take_turn(self) -> None:
        self._has_turn = False
        if self.disconnected or self.transport.is_closing():
            return
        if self._held:
            self._parse_held()
        if not self._held and not self.read_paused:
            self.transport.resume_reading()

    def _write_close(self, close: Close) -> None:
        """Instead of what the library would say, which has given this client up."""
        self.conn.data_to_send()
        payload = b"" if close.code == CloseCode.NO_STATUS_RCVD else close.serialize()
        self.transport.write(Frame(Opcode.CLOSE, payload).serialize(mask=False))
        self.close_sent = True

    def _leave(self) -> None:
        """Throw away what still comes, until the client closes: closing first could take our answer from it."""
        self._is_leaving = True
        self._unfinished_since = self._fragments = None
        self._read_on()
        if self.close_sent:
            self._write_eof()

    def _read_on(self) -> None:
        """Until the client has closed, or some seconds are over."""
        self.stop_keepalive()
        if self.read_paused:
            self.read_paused = False
            self._wait_for_turn()
        if self.close_timer is None:
            # Not a mere close: that would wait for ever for a client that takes nothing.
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)

    def _write_eof(self) -> None:
        if not self.transport.is_closing() and self.transport.can_write_eof():
            self.transport.write_eof()

    def _throw_away(self, size_bytes: int) -> None:
        self._thrown_away += size_bytes
        if self._thrown_away > LINGER_BYTES:
            self.transport.abort()
        elif size_bytes >= MOST_BYTES:
            self._wait_for_turn()

    def _may_come(self) -> bool:
        """Whether one more frame may; one too many ends the connection."""
        if self._is_leaving:
            return False
        self._frames_seen += 1
        if self._frames_left.take(self.loop.time()):
            return True
        rate = self._limits.settings.inbound_frame_rate
        self.refuse(TooMany(f"More than {rate} frames per second; reconnect more calmly."))
        return False

    def _is_too_slow(self) -> bool:
        """Whether a message that was begun takes too long; a long one has the time for each 256 KiB of its limit."""
        if self._unfinished_since is None:
            return False
        limit_s = self._limits.settings.request_body_timeout_s * max(1, self._message_max_bytes // PACE_BYTES)
        return self.loop.time() - self._unfinished_since > limit_s

    def _note_what_is_unfinished(self) -> None:
        if self.conn.current_size is None and not self.conn.reader.buffer:
            self._unfinished_since = None
        elif self._unfinished_since is None:
            self._unfinished_since = self.loop.time()

    def _go_away(self) -> None:
        self.close(CloseCode.SERVICE_RESTART, "the server restarts")


def _limit_messages(conn: Any, limit_bytes: int) -> None:
    """Inflated bytes count, too: the library stops inflating there."""
    name = "max_message_size" if hasattr(conn, "max_message_size") else "max_size"  # older versions
    setattr(conn, name, limit_bytes)


def unsupported() -> str:
    """Which part of uvicorn's protocol or of websockets' is missing in the installed version; empty if none is."""
    made = WebSocketsSansIOProtocol.__init__.__code__.co_names
    missing = _NEEDED - vars(WebSocketsSansIOProtocol).keys() - set(made)
    missing |= _NEEDED_OF_WEBSOCKETS - set(Protocol.__init__.__code__.co_names)
    return ", ".join(sorted(missing))
