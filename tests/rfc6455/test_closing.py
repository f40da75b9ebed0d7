"""How a connection is closed, and with which codes (Autobahn's section 7; RFC 6455 §5.5.1, §7)."""

from __future__ import annotations

import pytest
from tests.support.wire import CLOSE, CONT, PING, TEXT, Received, Wire, frame

ALLOWED = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
NOT_ALLOWED = [0, 1, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535]


@pytest.mark.parametrize("reason", [b"", b"goodbye", "κόσμε".encode(), b"*" * 123])
@pytest.mark.parametrize("code", ALLOWED)
def test_a_close_is_answered_by_the_same_code_and_then_the_server_closes(
    wire: Wire, code: int, reason: bytes
) -> None:
    wire.send(frame(CLOSE, code.to_bytes(2, "big") + reason))
    (close,) = wire.rest()
    assert close.code == code


def test_a_close_without_a_code_is_answered(wire: Wire) -> None:
    wire.send(frame(CLOSE))
    assert wire.rest() == [Received(CLOSE, b"")]


@pytest.mark.parametrize("code", NOT_ALLOWED)
def test_a_code_that_must_not_be_sent_fails_the_connection(wire: Wire, code: int) -> None:
    wire.send(frame(CLOSE, code.to_bytes(2, "big")))
    (close,) = wire.rest()
    assert close.code == 1002


def test_half_a_code_fails_the_connection(wire: Wire) -> None:
    wire.send(frame(CLOSE, b"\x03"))
    (close,) = wire.rest()
    assert close.code == 1002


@pytest.mark.parametrize(
    "more", [frame(PING, b"late"), frame(TEXT, b"late"), frame(CLOSE, b"\x03\xe9"), frame(CONT, b"late")]
)
def test_what_comes_after_a_close_is_not_answered(wire: Wire, more: bytes) -> None:
    wire.send(frame(CLOSE, b"\x03\xe8"), more)
    (close,) = wire.rest()
    assert close.code == 1000


def test_a_close_within_a_message_ends_it(wire: Wire) -> None:
    wire.send(frame(TEXT, b"begun", fin=False), frame(CLOSE, b"\x03\xe8"), frame(CONT, b"done"))
    (close,) = wire.rest()
    assert close.code == 1000


def test_a_message_before_the_close_is_answered(wire: Wire) -> None:
    wire.send(frame(TEXT, b"a last word"))
    assert wire.receive() == Received(TEXT, b"a last word")
    wire.send(frame(CLOSE, b"\x03\xe8"))
    (close,) = wire.rest()
    assert close.code == 1000


def test_a_long_message_and_then_a_broken_frame_is_still_told_the_code(wire: Wire) -> None:
    wire.send(frame(TEXT, b"x", rsv=4), frame(TEXT, b"*" * 2_000_000))
    (close,) = wire.rest()
    assert close.code == 1002  # not lost to a connection that was reset
