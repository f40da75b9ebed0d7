"""Frames, read back by the parser of an independent library."""

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import PURE, texts
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from runcast.core.frames import (
    CLOSE,
    DEFLATE_MIN_BYTES,
    DEFLATE_WINDOW_BITS,
    PING,
    deflated_text_frame,
    header,
    text_frame,
    text_frames,
)

BORDERS = [0, 1, 125, 126, 127, 0xFFFF, 0x1_0000, 512 * 1024]

payloads = st.one_of(
    st.builds(lambda text, times: text.encode() * times, texts, st.integers(0, 400)),
    st.binary(min_size=DEFLATE_MIN_BYTES, max_size=2_000),  # cannot be deflated to less
)


def agreed(window_bits: int) -> PerMessageDeflate:
    """What a client has after the handshake: the server is the remote side."""
    return PerMessageDeflate(
        remote_no_context_takeover=True,
        local_no_context_takeover=False,
        remote_max_window_bits=window_bits,
        local_max_window_bits=15,
    )


def parse(data: bytes, extension: PerMessageDeflate | None = None) -> list[Frame]:
    """All frames in `data`, as a client of the websockets library reads them."""
    reader, found = StreamReader(), list[Frame]()
    reader.feed_data(data)
    reader.feed_eof()
    while not (at_end := _result(reader.at_eof())):
        frame = _result(
            Frame.parse(reader.read_exact, mask=False, extensions=[extension] if extension else [])
        )
        found.append(frame)
    assert at_end
    return found


def _result(steps):
    try:
        next(steps)
    except StopIteration as done:
        return done.value
    raise AssertionError("the frame is not whole")


@pytest.mark.parametrize("length", BORDERS)
def test_lengths_are_written_in_the_shortest_form(length: int):
    payload = b"x" * length
    assert parse(text_frame(payload)) == [Frame(Opcode.TEXT, payload)]
    assert len(header(1, length)) == (2 if length < 126 else 4 if length < 0x1_0000 else 10)


@pytest.mark.parametrize(("opcode", "meant"), [(PING, Opcode.PING), (CLOSE, Opcode.CLOSE)])
def test_control_frames(opcode: int, meant: Opcode):
    payload = b"\x03\xe8"
    assert parse(header(opcode, len(payload)) + payload) == [Frame(meant, payload)]


@PURE
@given(payloads, st.sampled_from([DEFLATE_WINDOW_BITS, 13, 15]))
def test_a_deflated_frame_is_read_with_any_window_that_is_large_enough(payload: bytes, window_bits: int):
    assert parse(deflated_text_frame(payload), agreed(window_bits)) == [Frame(Opcode.TEXT, payload)]


@PURE
@given(st.lists(payloads, max_size=5), st.booleans())
def test_each_message_stands_for_itself(messages: list[bytes], deflate: bool):
    chunk = text_frames(messages, deflate=deflate)
    frames = parse(chunk, agreed(DEFLATE_WINDOW_BITS))
    assert [frame.data for frame in frames] == messages
    late = text_frames(messages[2:], deflate=deflate)  # who joins later has not seen the first ones
    assert [frame.data for frame in parse(late, agreed(DEFLATE_WINDOW_BITS))] == messages[2:]


def test_the_window_is_small_enough_for_every_client_that_we_share_frames_with():
    assert DEFLATE_WINDOW_BITS == 12
    noise = random.Random(5).randbytes(1_000)
    far_apart = noise + b"filler" * 700 + noise  # 5,200 bytes back: beyond 4 KiB, within 8 KiB
    one_by_one = zlib.decompressobj(wbits=-12)
    packed = deflated_text_frame(far_apart)[4:] + b"\x00\x00\xff\xff"  # RFC 7692 §7.2.2
    # Byte by byte, so that zlib has nothing to look back to but its window.
    assert b"".join(one_by_one.decompress(packed[n : n + 1]) for n in range(len(packed))) == far_apart


def test_a_batch_of_events_becomes_much_smaller():
    batch = b'{"event_type":"tool_call","tool_name":"Edit","status":"completed"}' * 50
    assert len(deflated_text_frame(batch)) < len(batch) / 10


def test_what_would_not_get_smaller_goes_out_plain():
    small = b'{"type":"pong"}'
    assert deflated_text_frame(small) == text_frame(small)
    noise = random.Random(5).randbytes(300)
    assert deflated_text_frame(noise) == text_frame(noise)
