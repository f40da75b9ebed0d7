"""Frames of every length, pings and pongs, reserved bits and opcodes (Autobahn's sections 1 to 4)."""

from __future__ import annotations

import pytest
from tests.support.wire import BINARY, CLOSE, PING, PONG, TEXT, Received, Wire, frame

LENGTHS = [0, 1, 125, 126, 127, 128, 65_535, 65_536, 200_000]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_message_of_any_length_comes_back(wire: Wire, opcode: int, length: int) -> None:
    wire.send(frame(opcode, b"*" * length))
    assert wire.receive() == Received(opcode, b"*" * length)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("length", [0, 125, 126, 997])
def test_a_message_may_come_a_byte_at_a_time(wire: Wire, opcode: int, length: int) -> None:
    wire.send_slowly(frame(opcode, b"*" * length))
    assert wire.receive() == Received(opcode, b"*" * length)


def test_bytes_that_are_no_text_come_back(wire: Wire) -> None:
    payload = bytes(range(256)) * 3
    wire.send(frame(BINARY, payload))
    assert wire.receive() == Received(BINARY, payload)


def test_many_messages_at_once_come_back_in_order(wire: Wire) -> None:
    wire.send(*[frame(TEXT, b"%d" % number) for number in range(2_000)])
    assert [wire.receive() for _ in range(2_000)] == [Received(TEXT, b"%d" % n) for n in range(2_000)]


@pytest.mark.parametrize("payload", [b"", b"hello", b"\x00\xff\xfe\xfd", b"\xfe" * 125])
def test_a_ping_is_answered_by_its_own_payload(wire: Wire, payload: bytes) -> None:
    wire.send(frame(PING, payload))
    assert wire.receive() == Received(PONG, payload)


def test_a_ping_may_come_a_byte_at_a_time(wire: Wire) -> None:
    wire.send_slowly(frame(PING, b"\xfe" * 125))
    assert wire.receive() == Received(PONG, b"\xfe" * 125)


def test_ten_pings_at_once_are_answered_in_order(wire: Wire) -> None:
    wire.send(*[frame(PING, b"%d" % number) for number in range(10)])
    assert [wire.receive() for _ in range(10)] == [Received(PONG, b"%d" % n) for n in range(10)]


def test_a_pong_that_nobody_asked_for_is_ignored(wire: Wire) -> None:
    wire.send(frame(PONG), frame(PONG, b"unasked"), frame(PING, b"asked"))
    assert wire.receive() == Received(PONG, b"asked")


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_a_control_frame_over_125_bytes_fails_the_connection(wire: Wire, opcode: int) -> None:
    wire.send(frame(opcode, b"\x03\xe8" + b"a" * 124))
    (close,) = wire.rest()
    assert close.code == 1002


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, PONG, CLOSE])
@pytest.mark.parametrize("rsv", range(1, 8))
def test_a_reserved_bit_fails_the_connection(wire: Wire, opcode: int, rsv: int) -> None:
    wire.send(frame(opcode, rsv=rsv))
    (close,) = wire.rest()
    assert close.code == 1002


@pytest.mark.parametrize("rsv", range(1, 8))
def test_what_comes_behind_a_reserved_bit_is_not_looked_at(wire: Wire, rsv: int) -> None:
    wire.send(frame(TEXT, b"first"))
    assert wire.receive() == Received(TEXT, b"first")
    wire.send(frame(TEXT, b"second", rsv=rsv), frame(PING, b"third"))
    (close,) = wire.rest()
    assert close.code == 1002


@pytest.mark.parametrize("opcode", [*range(0x3, 0x8), *range(0xB, 0x10)])
@pytest.mark.parametrize("payload", [b"", b"reserved"])
def test_an_opcode_that_has_no_meaning_fails_the_connection(wire: Wire, opcode: int, payload: bytes) -> None:
    wire.send(frame(opcode, payload), frame(PING))
    (close,) = wire.rest()
    assert close.code == 1002


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_a_client_that_does_not_mask_is_refused(wire: Wire, opcode: int) -> None:
    wire.send(frame(opcode, b"\x03\xe8", masked=False))
    (close,) = wire.rest()
    assert close.code == 1002  # RFC 6455 §5.1


@pytest.mark.parametrize("length", [2**63, 2**64 - 1])
def test_a_length_that_cannot_be_is_refused_before_anything_comes(wire: Wire, length: int) -> None:
    wire.send(frame(BINARY, claimed=length))
    (close,) = wire.rest()
    assert close.code in {1002, 1009}
