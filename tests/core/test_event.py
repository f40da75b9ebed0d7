"""Names, ids, times and cursors: what is taken, what is refused, and that nothing is lost in writing it down."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import NOW_US, PURE, kinds, make_event, printable, stream_ids, times_us

from runcast.core.event import (
    DAY_US,
    START,
    Cursor,
    check_id,
    check_kind,
    check_type,
    cursor_of,
    epoch_belongs,
    format_time,
    id_tag,
    new_epoch,
    parse_cursor,
    parse_time,
    split_stream,
    stream_name,
)
from runcast.errors import InvalidCursor, InvalidEvent, InvalidStreamName


class TestNames:
    @PURE
    @given(kinds, stream_ids)
    def test_a_name_comes_apart_as_it_was_joined(self, kind: str, stream_id: str):
        assert split_stream(stream_name(kind, stream_id)) == (kind, stream_id)

    @pytest.mark.parametrize(
        "stream_id",
        ["", ".", "..", "a/b", "../x", "a\0", "a b", "a:b", "ä", "a\n", "x" * 201, "%2e", "*", "a\\b", "a?"],
    )
    def test_an_id_with_a_character_or_length_that_it_must_not_have_is_refused(self, stream_id: str):
        with pytest.raises(InvalidStreamName, match="session id: 1 to 200 characters") as caught:
            stream_name("session", stream_id)
        assert caught.value.field == "stream"

    @pytest.mark.parametrize("kind", ["", "Session", "1st", "_x", "a-b", "x" * 33, "ä", "a\n", "*"])
    def test_a_kind_is_a_short_lower_case_word(self, kind: str):
        with pytest.raises(InvalidStreamName) as caught:
            check_kind(kind)
        assert caught.value.field == "kind"

    @pytest.mark.parametrize("name", ["session", "", ":", "session:", ":x", "session:a:b"])
    def test_a_stream_is_called_by_kind_and_id(self, name: str):
        with pytest.raises(InvalidStreamName):
            split_stream(name)


class TestTypesAndIds:
    @PURE
    @given(st.text(printable, min_size=1, max_size=100))
    def test_a_type_is_an_open_set(self, name: str):
        assert check_type(name) == check_id(name) == name

    @pytest.mark.parametrize("bad", ["", "a\n", "\0", "\ud800", "\u2028", 7, None, ["x"], b"x"])
    def test_what_cannot_be_printed_or_is_no_string_is_refused(self, bad: object):
        with pytest.raises(InvalidEvent, match="event_type") as caught:
            check_type(bad, "event_type")
        assert caught.value.field == "event_type"
        with pytest.raises(InvalidEvent, match=r"^id:"):
            check_id(bad)

    def test_lengths(self):
        check_type("x" * 100)
        check_id("x" * 200)
        with pytest.raises(InvalidEvent, match="1 to 100"):
            check_type("x" * 101)
        with pytest.raises(InvalidEvent, match="1 to 200"):
            check_id("x" * 201)


class TestCursors:
    @PURE
    @given(st.integers(0, 2**40 - 1), st.integers(0, 10**18 - 1), st.integers(0, 0xFFFF))
    def test_a_cursor_reads_as_it_was_written(self, random_bits: int, offset: int, tag: int):
        cursor = Cursor(new_epoch("session:s", random_bits), offset, tag)
        assert parse_cursor(str(cursor)) == cursor

    @pytest.mark.parametrize(
        "text",
        [
            *("", "start", "now", "1", "-1", "0" * 101, f"{'a' * 16}-1", f"{'A' * 16}-1-0000"),
            *(f"{'a' * 15}-1-0000", f"{'a' * 16}-01-0000", f"{'a' * 16}--1-0000", f"{'a' * 16}-1-0000\n"),
            *(f"{'a' * 16}-{10**18}-0000", f"{'a' * 16}-1-00000", f"{'a' * 16}-\u0661-0000"),
        ],
    )
    def test_anything_else_is_refused(self, text: str):
        with pytest.raises(InvalidCursor) as caught:
            parse_cursor(text)
        assert caught.value.field == "after"

    def test_a_cursor_needs_no_escaping_in_a_url(self):
        text = str(cursor_of(make_event(seq=5, id="e")))
        assert text.replace("-", "").isalnum()
        assert text.endswith(f"-5-{id_tag('e'):04x}")

    def test_the_place_in_a_stream_that_does_not_exist_is_its_start(self):
        assert str(Cursor("", 0)) == START

    @PURE
    @given(kinds, stream_ids, st.integers(0))
    def test_an_epoch_belongs_to_its_stream(self, kind: str, stream_id: str, random_bits: int):
        stream = stream_name(kind, stream_id)
        epoch = new_epoch(stream, random_bits)
        assert len(epoch) == 16
        assert epoch_belongs(epoch, stream)
        assert not epoch_belongs(epoch, stream + "x")  # but for one in 16 million


class TestTimes:
    @PURE
    @given(times_us)
    def test_a_time_reads_as_it_was_written(self, time_us: int):
        text = format_time(time_us)
        assert text.endswith("Z")
        assert len(text) in {24, 27}
        assert parse_time(text, NOW_US) == time_us

    @PURE
    @given(times_us, st.integers(-14 * 60, 14 * 60))
    def test_every_zone_tells_the_same_moment(self, time_us: int, minutes: int):
        zone = timezone(timedelta(minutes=minutes))
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
        assert parse_time(moment.astimezone(zone).isoformat(), NOW_US) == time_us

    @pytest.mark.parametrize(
        "text",
        [
            *("2024-01-16T12:00:00Z", "2024-01-16t12:00:00z", "2024-01-16 12:00:00", "2024-01-16T12:00:00"),
            *("2024-01-16T12:00:00.000Z", "2024-01-16T14:00:00+02:00", "2024-01-16T12:00:00.000000000Z"),
        ],
    )
    def test_spellings_of_one_moment(self, text: str):
        assert format_time(parse_time(text, NOW_US)) == "2024-01-16T12:00:00.000Z"

    def test_milliseconds_unless_there_is_more(self):
        assert format_time(1_500) == "1970-01-01T00:00:00.001500Z"
        assert format_time(1_000) == "1970-01-01T00:00:00.001Z"

    @pytest.mark.parametrize("text", ["", "yesterday", "12:00", "2024-13-01T00:00:00Z", "1705406400", "²"])
    def test_what_is_no_time_is_refused(self, text: str):
        with pytest.raises(InvalidEvent, match="timestamp: not a time by RFC 3339") as caught:
            parse_time(text, NOW_US, "timestamp")
        assert caught.value.field == "timestamp"

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("9999-12-31T23:59:59-14:00", "more than a day in the future"),
            (format_time(NOW_US + DAY_US + 1), "more than a day in the future"),
            ("1969-12-31T23:59:59Z", "before 1970"),
            ("0001-01-01T00:00:00+14:00", "before 1970"),
        ],
    )
    def test_times_that_cannot_be(self, text: str, complaint: str):
        with pytest.raises(InvalidEvent, match=complaint):
            parse_time(text, NOW_US)
