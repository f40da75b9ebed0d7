"""Text is UTF-8, however it is cut into fragments (Autobahn's section 6; RFC 3629 §3, §10)."""

from __future__ import annotations

import pytest
from tests.support.wire import BINARY, CLOSE, CONT, TEXT, Received, Wire, frame

VALID = [
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\0",
    "\x7f",
    "\x80",
    "\u07ff",
    "\u0800",
    "\ud7ff",
    "\ue000",
    "\ufffd",
    "\ufffe",
    "\uffff",
    "\U00010000",
    "\U0001fffe",
    "\U0010ffff",
    "🙂 " * 5_000,
]
BROKEN = {
    "a lone continuation": b"\x80",
    "the last continuation": b"\xbf",
    "many continuations": bytes(range(0x80, 0xC0)),
    "a first byte of two alone": b"\xc3 ",
    "a first byte of three alone": b"\xe2 ",
    "a first byte of four alone": b"\xf0 ",
    "two of three bytes": b"\xe2\x82",
    "three of four bytes": b"\xf0\x9f\x99",
    "a character that is cut": "κόσμ".encode() + b"\xce",
    "FE": b"\xfe",
    "FF": b"\xff",
    "an overlong slash": b"\xc0\xaf",
    "an overlong slash of three": b"\xe0\x80\xaf",
    "an overlong slash of four": b"\xf0\x80\x80\xaf",
    "an overlong null": b"\xc0\x80",
    "an overlong of the last two": b"\xc1\xbf",
    "half a surrogate pair": b"\xed\xa0\x80",
    "the other half": b"\xed\xbf\xbf",
    "a whole surrogate pair": b"\xed\xa0\xbd\xed\xb9\x82",
    "beyond the last": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "six bytes": b"\xfc\x84\x80\x80\x80\x80",
}


@pytest.mark.parametrize("text", VALID, ids=ascii)
def test_a_valid_text_comes_back(wire: Wire, text: str) -> None:
    wire.send(frame(TEXT, text.encode()))
    assert wire.receive() == Received(TEXT, text.encode())


def test_a_text_may_be_cut_in_the_midst_of_a_character(wire: Wire) -> None:
    data = "κόσμε-🙂-µ".encode()
    first, *middle, last = [bytes((byte,)) for byte in data]
    wire.send(
        frame(TEXT, first, fin=False), *[frame(CONT, one, fin=False) for one in middle], frame(CONT, last)
    )
    assert wire.receive() == Received(TEXT, data)


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("around", [b"", b"Hello-"])
def test_a_broken_text_is_closed_with_1007(wire: Wire, data: bytes, around: bytes) -> None:
    wire.send(frame(TEXT, around + data + around))
    (close,) = wire.rest()
    assert close.code == 1007


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_a_broken_text_in_fragments_is_closed_with_1007(wire: Wire, data: bytes) -> None:
    wire.send(frame(TEXT, b"begun ", fin=False), frame(CONT, data, fin=False), frame(CONT, b" done"))
    (close,) = wire.rest()
    assert close.code == 1007


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_bytes_may_be_anything(wire: Wire, data: bytes) -> None:
    wire.send(frame(BINARY, data))
    assert wire.receive() == Received(BINARY, data)


def test_a_broken_reason_is_closed_with_1007(wire: Wire) -> None:
    wire.send(frame(CLOSE, b"\x03\xe8\xff\xfe"))
    (close,) = wire.rest()
    assert close.code == 1007
