"""RFC 6455 frames as a server sends them: made once, written to many."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import Final

TEXT: Final = 0x1
CLOSE: Final = 0x8
PING: Final = 0x9

_FIN = 0x80
_RSV1 = 0x40  # "this message is deflated", RFC 7692 §6
_head_of_16_bits = struct.Struct(">BBH").pack
_head_of_64_bits = struct.Struct(">BBQ").pack
_EMPTY_BLOCK = b"\x00\x00\xff\xff"

DEFLATE_MIN_BYTES = 256
"""Below this a message goes out plain: deflating would cost more than it saves (RFC 7692 §6 allows both)."""

DEFLATE_WINDOW_BITS = 12
"""The largest window that we use towards clients (RFC 7692 §7.1.2.1): 4 KiB, so that a client needs little memory."""


def header(opcode: int, length: int, *, rsv1: bool = False) -> bytes:
    """The head of one whole, unmasked frame (RFC 6455 §5.2; a server does not mask, §5.1)."""
    first = _FIN | opcode | (_RSV1 if rsv1 else 0)
    if length < 126:
        return bytes((first, length))
    if length < 0x1_0000:
        return _head_of_16_bits(first, 126, length)
    return _head_of_64_bits(first, 127, length)


def text_frame(payload: bytes) -> bytes:
    """A text message of UTF-8 `payload` in one frame."""
    return header(TEXT, len(payload)) + payload


def deflated_text_frame(payload: bytes) -> bytes:
    """The same message for a client that agreed to permessage-deflate.

    Every message is compressed by itself (`server_no_context_takeover`, RFC 7692 §7.1.1.1), so one frame
    serves all clients whose agreed window is at least `DEFLATE_WINDOW_BITS`.
    """
    if len(payload) < DEFLATE_MIN_BYTES:
        return text_frame(payload)
    deflate = zlib.compressobj(level=1, wbits=-DEFLATE_WINDOW_BITS, memLevel=8)
    data = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
    packed = data.removesuffix(_EMPTY_BLOCK)  # RFC 7692 §7.2.1, step 3
    if len(packed) >= len(payload):
        return text_frame(payload)
    return header(TEXT, len(packed), rsv1=True) + packed


def text_frames(payloads: Iterable[bytes], *, deflate: bool) -> bytes:
    """Several text messages as one piece of bytes, for one write."""
    make = deflated_text_frame if deflate else text_frame
    return b"".join([make(payload) for payload in payloads])
