"""permessage-deflate as the fast path agrees to it (Autobahn's sections 12 and 13; RFC 7692)."""

from __future__ import annotations

import random
import zlib

import pytest
from tests.rfc6455.conftest import Connect
from tests.support.wire import CONT, PING, PONG, TEXT, Received, Wire, frame

RSV1 = 0b100
OFFERS = [
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; client_max_window_bits=9; server_max_window_bits=9",
    "permessage-deflate; client_max_window_bits=15; server_max_window_bits=15",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    "permessage-deflate; unknown_parameter, permessage-deflate; client_max_window_bits",
]


def offer(text: str) -> str:
    return f"Sec-WebSocket-Extensions: {text}\r\n"


def deflate(data: bytes) -> bytes:
    """With the smallest window, which every agreement allows."""
    packer = zlib.compressobj(wbits=-9)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflate(received: Received | None) -> bytes:
    assert received is not None
    if not received.rsv:
        return received.payload
    return zlib.decompressobj(wbits=-15).decompress(received.payload + b"\x00\x00\xff\xff")


@pytest.mark.parametrize("size", [0, 16, 1_024, 70_000])
@pytest.mark.parametrize("text", OFFERS)
def test_deflated_messages_come_back(connect: Connect, text: str, size: int) -> None:
    wire = connect(more=offer(text))
    assert "permessage-deflate" in wire.head
    assert "server_no_context_takeover" in wire.head
    data = bytes(random.Random(size).choices(b"abcdefgh {}[]", k=size))
    for _ in range(3):
        wire.send(frame(TEXT, deflate(data), rsv=RSV1))
        assert inflate(wire.receive()) == data


def test_deflated_fragments_are_one_message(connect: Connect) -> None:
    wire = connect(more=offer("permessage-deflate; client_max_window_bits"))
    data = b"a long text that is cut " * 500
    packed = deflate(data)
    wire.send(
        frame(TEXT, packed[:10], fin=False, rsv=RSV1),
        frame(PING, b"between"),
        *[frame(CONT, bytes((byte,)), fin=False) for byte in packed[10:]],
        frame(CONT),
    )
    assert wire.receive() == Received(PONG, b"between")
    assert inflate(wire.receive()) == data


def test_a_plain_message_is_allowed_beside_deflated_ones(connect: Connect) -> None:
    wire = connect(more=offer("permessage-deflate"))
    wire.send(frame(TEXT, b"plain"))
    assert inflate(wire.receive()) == b"plain"


@pytest.mark.parametrize(
    "bad",
    [
        frame(TEXT, b"\xff\xff\xff\xff", rsv=RSV1),
        frame(TEXT, b"a", rsv=RSV1 | 0b010),
        frame(PING, b"a", rsv=RSV1),
        frame(TEXT, b"a", fin=False) + frame(CONT, b"b", rsv=RSV1),
    ],
    ids=["no deflate", "another bit", "a ping", "a later fragment"],
)
def test_what_is_not_deflated_as_agreed_fails_the_connection(connect: Connect, bad: bytes) -> None:
    wire = connect(more=offer("permessage-deflate"))
    wire.send(bad)
    (close,) = wire.rest()
    assert close.code == 1002


def test_without_an_agreement_a_deflated_message_fails_the_connection(wire: Wire) -> None:
    assert "permessage-deflate" not in wire.head
    wire.send(frame(TEXT, deflate(b"hello"), rsv=RSV1))
    (close,) = wire.rest()
    assert close.code == 1002
