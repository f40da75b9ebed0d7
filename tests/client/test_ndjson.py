"""NDJSON into batches: whole lines wherever the text is cut, and a bad one by its number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast.client.ndjson import BATCH_EVENTS, MAX_LINE_BYTES, NdjsonPublisher
from runcast.client.values import Receipt
from runcast.errors import InvalidEvent, InvalidInput, InvalidStreamName, TooLarge


class Server:
    """Stores events as a server does: all or none; those of type `bad` are refused, and ids stored once."""

    def __init__(self, most: int = 1_000) -> None:
        self.stored: list[dict[str, Any]] = []
        self.batches: list[int] = []
        self._most = most

    def publish(self, events: Sequence[dict[str, Any]]) -> Receipt:
        if len(events) > self._most:
            raise TooLarge("events: too many at once.", field="events")
        for index, event in enumerate(events):
            if event["type"] == "bad":
                raise InvalidEvent(f"body[{index}].type: bad.", field="type")
        known = {event["id"] for event in self.stored if "id" in event}
        new = [event for event in events if event.get("id") not in known]
        self.stored += new
        self.batches.append(len(events))
        return Receipt(
            stream="a:b",
            epoch="e",
            first_seq=1,
            last_seq=len(self.stored),
            count=len(events),
            duplicates=len(events) - len(new),
            cursor=f"c{len(self.stored)}",
        )


def lines(*types: str) -> bytes:
    return b"".join(msgspec.json.encode({"type": one}) + b"\n" for one in types)


def types_of(server: Server) -> list[str]:
    return [event["type"] for event in server.stored]


@given(st.lists(st.integers(0, 200), max_size=8))
def test_it_does_not_matter_where_the_text_is_cut(cuts: list[int]) -> None:
    text = lines(*"abcdefgh").removesuffix(b"\n")
    server = Server()
    publisher = NdjsonPublisher(server.publish)
    begin = 0
    for cut in (*sorted(cuts), len(text)):
        publisher.feed(text[begin:cut])
        begin = cut
    tally = publisher.finish()
    assert types_of(server) == list("abcdefgh")
    assert (tally.lines, tally.stored, tally.cursor) == (8, 8, "c8")


def test_what_is_complete_is_published_at_once() -> None:
    server = Server()
    publisher = NdjsonPublisher(server.publish)
    publisher.feed(lines("a", "b") + b'{"type": "c"')
    assert types_of(server) == ["a", "b"]


def test_much_at_once_is_divided() -> None:
    server = Server()
    publisher = NdjsonPublisher(server.publish)
    publisher.feed(lines(*["x"] * (2 * BATCH_EVENTS + 1)))
    assert server.batches == [BATCH_EVENTS, BATCH_EVENTS, 1]


def test_a_server_that_takes_less_at_once_is_given_less() -> None:
    server = Server(most=3)
    publisher = NdjsonPublisher(server.publish)
    publisher.feed(lines(*"abcdefg"))
    assert types_of(server) == list("abcdefg")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nope", "not valid JSON"),
        (b"[1]", "a JSON object"),
        (b'{"type": "\xff"}', "UTF-8"),
        (b"[" * 100_000, "nested"),
        (b'{"type": "bad"}', "type: bad."),
    ],
)
def test_the_first_bad_line_is_named_and_all_before_it_are_stored(line: bytes, reason: str) -> None:
    server = Server()
    publisher = NdjsonPublisher(server.publish)
    with pytest.raises(InvalidEvent, match=f"^line 4: .*{reason}"):
        publisher.feed(lines("a", "b") + b"\n" + line + b"\n" + lines("c"))
    assert types_of(server) == ["a", "b"]


def test_bad_lines_can_be_left_out() -> None:
    server, told = Server(), list[tuple[int, str]]()

    def on_bad(number: int, error: InvalidInput) -> None:
        told.append((number, error.code))

    publisher = NdjsonPublisher(server.publish, on_bad)
    publisher.feed(lines("a", "bad", "b") + b"nope\n" + lines("bad", "c"))
    assert types_of(server) == ["a", "b", "c"]
    assert told == [(2, "invalid_event"), (4, "invalid_event"), (5, "invalid_event")]
    assert publisher.finish().bad == 3


def test_what_was_there_before_is_counted() -> None:
    server = Server()
    text = b'{"type": "a", "id": "1"}\n{"type": "b", "id": "2"}\n'
    NdjsonPublisher(server.publish).feed(text)
    publisher = NdjsonPublisher(server.publish)
    publisher.feed(text + b'{"type": "c", "id": "3"}\r\n')
    tally = publisher.finish()
    assert (tally.stored, tally.duplicates, tally.lines) == (1, 2, 3)


def test_what_tail_prints_can_be_published_again() -> None:
    server = Server()
    event = {"stream": "x:y", "seq": 7, "cursor": "c", "id": "i", "type": "a", "time": "t", "data": {"k": 1}}
    NdjsonPublisher(server.publish).feed(msgspec.json.encode(event) + b"\n")
    assert server.stored == [{"id": "i", "type": "a", "time": "t", "data": {"k": 1}}]


def test_a_line_without_an_end_is_refused() -> None:
    publisher = NdjsonPublisher(Server().publish)
    publisher.feed(lines("a"))
    with pytest.raises(TooLarge, match="line 2"):
        for _ in range(9):
            publisher.feed(b"x" * (MAX_LINE_BYTES // 8))


def test_a_stream_that_cannot_be_is_no_fault_of_a_line() -> None:
    def refuse(_: Sequence[dict[str, Any]]) -> Receipt:
        raise InvalidStreamName

    with pytest.raises(InvalidStreamName):
        NdjsonPublisher(refuse).feed(lines("a", "b"))
