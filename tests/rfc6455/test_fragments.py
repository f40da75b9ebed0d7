"""Messages in fragments, with control frames between them (Autobahn's section 5)."""

from __future__ import annotations

import pytest
from tests.support.wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, Received, Wire, frame


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("slowly", [False, True])
def test_fragments_are_one_message(wire: Wire, opcode: int, slowly: bool) -> None:
    parts = frame(opcode, b"first ", fin=False) + frame(CONT, b"second ", fin=False) + frame(CONT, b"third")
    if slowly:
        wire.send_slowly(parts)
    else:
        wire.send(parts)
    assert wire.receive() == Received(opcode, b"first second third")


def test_a_ping_between_fragments_is_answered_at_once(wire: Wire) -> None:
    wire.send(frame(TEXT, b"first ", fin=False), frame(PING, b"between"))
    assert wire.receive() == Received(PONG, b"between")
    wire.send(frame(CONT, b"second ", fin=False), frame(PING, b"again"))
    assert wire.receive() == Received(PONG, b"again")
    wire.send(frame(CONT, b"third"))
    assert wire.receive() == Received(TEXT, b"first second third")


def test_fragments_may_be_empty(wire: Wire) -> None:
    wire.send(frame(TEXT, fin=False), frame(CONT, fin=False), frame(CONT))
    assert wire.receive() == Received(TEXT, b"")
    wire.send(frame(TEXT, fin=False), frame(CONT, b"something", fin=False), frame(CONT))
    assert wire.receive() == Received(TEXT, b"something")


def test_many_small_fragments_are_one_message(wire: Wire) -> None:
    wire.send(frame(BINARY, b"a", fin=False), frame(CONT, b"b", fin=False) * 20_000, frame(CONT, b"c"))
    assert wire.receive() == Received(BINARY, b"a" + b"b" * 20_000 + b"c")


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_a_control_frame_in_fragments_fails_the_connection(wire: Wire, opcode: int) -> None:
    wire.send(frame(opcode, fin=False), frame(CONT))
    (close,) = wire.rest()
    assert close.code == 1002


@pytest.mark.parametrize("fin", [False, True])
@pytest.mark.parametrize("payload", [b"", b"lost"])
def test_a_continuation_of_nothing_fails_the_connection(wire: Wire, fin: bool, payload: bytes) -> None:
    wire.send(frame(CONT, payload, fin=fin), frame(TEXT, b"hello"))
    (close,) = wire.rest()
    assert close.code == 1002


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_continuation_after_a_whole_message_fails_the_connection(wire: Wire, opcode: int) -> None:
    wire.send(frame(TEXT, b"whole"))
    assert wire.receive() == Received(TEXT, b"whole")
    wire.send(frame(opcode, b"a", fin=False), frame(CONT, b"b"))
    assert wire.receive() == Received(opcode, b"ab")
    wire.send(frame(CONT, b"c"))
    (close,) = wire.rest()
    assert close.code == 1002


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [False, True])
def test_a_message_within_another_fails_the_connection(wire: Wire, opcode: int, fin: bool) -> None:
    wire.send(frame(TEXT, b"begun", fin=False), frame(opcode, b"another", fin=fin))
    (close,) = wire.rest()
    assert close.code == 1002
