"""The parser of server-sent events, by WHATWG HTML §9.2.6, wherever the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast.client.sse import SseMessage, SseParser
from runcast.errors import ServerError


def parse(text: bytes, *cuts: int) -> list[SseMessage]:
    parser = SseParser()
    found: list[SseMessage] = []
    begin = 0
    for cut in (*sorted(cuts), len(text)):
        found += parser.receive(text[begin:cut])
        begin = cut
    return found


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lines_may_end_in_three_ways(end: bytes) -> None:
    lines = [b"event: gap", b"id: c1", b"data: one", b"data:two", b"", b"data: three", b"", b""]
    assert parse(end.join(lines)) == [SseMessage(b"one\ntwo", "gap", "c1"), SseMessage(b"three", id="c1")]


STREAM = b'\xef\xbb\xbf: hello\r\nid: a\r\ndata: {"x":\r\ndata: 1}\r\n\r\nevent: end\ndata:  \xc3\xa9\n\nid\rdata\r\rretry: 1500\n\n'


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_it_does_not_matter_where_the_bytes_are_cut(cuts: list[int]) -> None:
    assert parse(STREAM, *cuts) == [
        SseMessage(b'{"x":\n1}', id="a"),
        SseMessage(b" \xc3\xa9", "end", "a"),
        SseMessage(b""),
    ]


def test_byte_by_byte() -> None:
    assert parse(STREAM, *range(len(STREAM))) == parse(STREAM)


def test_a_message_that_is_not_finished_is_not_given_out() -> None:
    assert parse(b"data: half") == parse(b"data: half\n") == []


def test_comments_unknown_fields_and_ids_with_nul_mean_nothing() -> None:
    assert parse(b":\n\n: ping\n\nid: a\0b\ncolour: red\ndata: x\n\n") == [SseMessage(b"x")]


def test_an_event_without_data_is_forgotten_but_its_id_is_kept() -> None:
    assert parse(b"event: gap\nid: 7\n\ndata: x\n\n") == [SseMessage(b"x", id="7")]


def test_only_one_byte_order_mark_is_taken_away() -> None:
    assert parse(b"\xef\xbb\xbfdata: x\n\n\xef\xbb\xbfdata: y\n\n") == [SseMessage(b"x")]


def test_the_pause_that_a_server_asks_for() -> None:
    parser = SseParser()
    parser.receive(b"retry: soon\n")
    assert parser.retry_ms is None
    parser.receive(b"retry: 250\n")
    assert parser.retry_ms == 250


@pytest.mark.parametrize("text", [b"data: " + b"x" * 200, b"data: xxxxxxxxxx\n" * 20])
def test_a_message_without_an_end_is_refused(text: bytes) -> None:
    with pytest.raises(ServerError, match="100 bytes"):
        SseParser(max_bytes=100).receive(text)
