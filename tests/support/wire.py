"""WebSocket frames written and read by hand: also those that no library would send (RFC 6455 §5.2)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple, Self
from urllib.parse import urlsplit

WAIT_S = 20.0
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MASK = b"\x37\xfa\x21\x3d"

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)


class Received(NamedTuple):
    """A frame of the server."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0

    @property
    def code(self) -> int | None:
        """The code of a close frame."""
        assert self.opcode == CLOSE, self
        return int.from_bytes(self.payload[:2], "big") if self.payload else None


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    claimed: int | None = None,
) -> bytes:
    """A frame as a client sends it; `claimed` is a length that is said in place of the payload's own."""
    length = len(payload) if claimed is None else claimed
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if masked else 0
    if length < 126:
        head = bytes((first, bit | length))
    elif length < 0x1_0000:
        head = bytes((first, bit | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, bit | 127)) + length.to_bytes(8, "big")
    return head + (MASK + mask(payload) if masked else payload)


def mask(payload: bytes) -> bytes:
    """The payload under `MASK` (RFC 6455 §5.3)."""
    key = (MASK * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(len(payload), "big")


class Wire:
    """A client on a raw socket. `head` is the answer to its handshake."""

    def __init__(
        self, url: str, *, more: str = "", receive_buffer: int | None = None, timeout_s: float = WAIT_S
    ) -> None:
        parts = urlsplit(url)
        self.socket = socket.socket()
        self.socket.settimeout(timeout_s)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect((parts.hostname, parts.port))
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        self.socket.sendall(HANDSHAKE.format(path=path, more=more).encode())
        self._buffer = b""
        while b"\r\n\r\n" not in self._buffer and self._read_some():
            pass
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        self.head = head.decode("latin-1")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *frames: bytes) -> None:
        """All in one piece; what the server does not want any more is nobody's business here."""
        with suppress(ConnectionError):
            self.socket.sendall(b"".join(frames))

    def send_slowly(self, data: bytes) -> None:
        """A byte at a time, each in a packet of its own."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            self.socket.sendall(bytes((byte,)))

    def receive(self) -> Received | None:
        """The next frame; None when the server has closed its side."""
        head = self._take(2)
        if head is None:
            return None
        length = head[1]
        assert not length & 0x80, "a server does not mask (RFC 6455 §5.1)"
        if length > 125:
            more = self._take(2 if length == 126 else 8)
            assert more is not None
            length = int.from_bytes(more, "big")
        payload = self._take(length)
        assert payload is not None
        return Received(head[0] & 0xF, payload, bool(head[0] & 0x80), head[0] >> 4 & 7)

    def rest(self) -> list[Received]:
        """All frames until the server closes."""
        return list(self._frames())

    def is_closed(self) -> bool:
        """Whether the server closes now, with nothing more to say."""
        return self.receive() is None

    def _frames(self) -> Iterator[Received]:
        while (received := self.receive()) is not None:
            yield received

    def _take(self, count: int) -> bytes | None:
        while len(self._buffer) < count:
            if not self._read_some():
                assert not self._buffer, f"the server broke off in a frame: {self._buffer!r}"
                return None
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _read_some(self) -> bool:
        data = self.socket.recv(65_536)
        self._buffer += data
        return bool(data)
