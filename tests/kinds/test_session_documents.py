"""The flat document: read from a publisher, written for a reader."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import (
    NOW_US,
    PURE,
    json_values,
    make_event,
    printable,
    stream_ids,
    texts,
    times_us,
)

from runcast.core.event import cursor_of, format_time
from runcast.errors import InvalidEvent, InvalidStreamName
from runcast.kinds.base import accept
from runcast.kinds.session import SESSION, encode_document, from_document, to_document

DOCUMENTED = (
    *("event_id", "agent_id", "event_type", "timestamp", "tool_name", "input_summary", "output_summary"),
    *("session_id", "status", "model", "parent_event_id", "execution_duration_seconds", "cost_tokens"),
    "feature_id",
)

FLAT: dict[str, Any] = {
    "event_id": "evt-12345",
    "agent_id": "claude-code",
    "event_type": "tool_call",
    "timestamp": "2024-01-16T12:00:00.000Z",
    "tool_name": "Edit",
    "input_summary": "Edit: src/main.py",
    "output_summary": "done",
    "session_id": "session-123",
    "status": "completed",
    "model": "claude-opus",
    "parent_event_id": None,
    "execution_duration_seconds": 0.345,
    "cost_tokens": 125,
    "feature_id": "feat-456",
}


def through_the_log(session_id: str, document: dict[str, Any]) -> dict[str, Any]:
    new = accept(SESSION, from_document(session_id, document), NOW_US, 256 * 1024)
    event = make_event(new.data, stream=new.stream, type=new.type, id=new.id, time=new.time, seq=7)
    return to_document(event)


class TestThere:
    def test_and_back(self):
        cursor = str(cursor_of(make_event(id="evt-12345", seq=7)))
        assert through_the_log("session-123", FLAT) == {**FLAT, "seq": 7, "cursor": cursor}

    @PURE
    @given(
        stream_ids,
        st.text(printable, min_size=1, max_size=40),
        times_us,
        texts,
        st.dictionaries(texts.map("own ".__add__), json_values, max_size=2),
    )
    def test_and_back_whatever_it_says(
        self, session_id: str, name: str, time_us: int, summary: str, own: dict[str, Any]
    ):
        own = msgspec.json.decode(msgspec.json.encode(own))
        document = {
            **own,
            "event_id": name,
            "event_type": name,
            "timestamp": format_time(time_us),
            "output_summary": summary,
        }
        got = through_the_log(session_id, document)
        assert {key: got[key] for key in document} == document
        assert got["session_id"] == session_id
        assert set(got) == {*DOCUMENTED, *own, "seq", "cursor"}

    def test_only_the_type_is_required(self):
        new = from_document("s", {"event_type": "start"})
        assert (new.stream, new.type, new.data, new.id, new.time) == ("session:s", "start", {}, None, None)
        assert set(through_the_log("s", {"event_type": "start"})) == {*DOCUMENTED, "seq", "cursor"}

    def test_null_is_as_good_as_absent(self):
        nothing = {"event_id": None, "timestamp": None, "session_id": None}
        assert from_document("s", {"event_type": "x", **nothing}) == from_document("s", {"event_type": "x"})

    def test_the_given_document_is_left_alone(self):
        before = dict(FLAT)
        from_document("session-123", FLAT)
        assert before == FLAT

    @pytest.mark.parametrize(
        ("wrong", "field"),
        [
            ({"event_type": None}, "event_type"),
            ({"event_type": ""}, "event_type"),
            ({"event_type": 5}, "event_type"),
            ({"event_type": "x" * 101}, "event_type"),
            ({"event_id": ""}, "event_id"),
            ({"event_id": 12345}, "event_id"),
            ({"event_id": "x" * 201}, "event_id"),
            ({"timestamp": "yesterday"}, "timestamp"),
            ({"timestamp": 1705406400}, "timestamp"),
            ({"timestamp": "1969-01-01T00:00:00Z"}, "timestamp"),
            ({"session_id": "another"}, "session_id"),
            ({"session_id": 5}, "session_id"),
        ],
    )
    def test_an_error_names_the_field_as_the_publisher_knows_it(self, wrong: dict[str, Any], field: str):
        with pytest.raises(InvalidEvent, match=f"^{field}: ") as caught:
            from_document("session-123", {**FLAT, **wrong})
        assert caught.value.field == field

    @pytest.mark.parametrize("session_id", ["..", "a/b", "", "a\0"])
    def test_no_session_is_called_so(self, session_id: str):
        with pytest.raises(InvalidStreamName):
            from_document(session_id, {"event_type": "x"})


class TestBytes:
    def test_the_stored_data_is_joined_on_as_it_is(self):
        event = make_event(b'{"agent_id":"a","own":{"x":[1.50]}}', id="e", type="t", seq=7, time=1_000)
        assert encode_document(event, "c") == (
            b'{"event_id":"e","event_type":"t","timestamp":"1970-01-01T00:00:00.001Z","session_id":"s",'
            b'"seq":7,"cursor":"c","agent_id":"a","own":{"x":[1.50]}}'
        )

    def test_empty_data_is_joined_too(self):
        document = msgspec.json.decode(encode_document(make_event(b"{}"), "c"))
        assert document["cursor"] == "c"

    @PURE
    @given(texts, texts)
    def test_names_are_escaped(self, name: str, cursor: str):
        event = make_event(b'{"a":1}', id=name or "e", type=name or "t")
        document = msgspec.json.decode(encode_document(event, cursor))
        assert document["event_id"] == (name or "e")
        assert document["event_type"] == (name or "t")
        assert document["cursor"] == cursor

    def test_a_firehose_gives_its_own_cursor(self):
        assert to_document(make_event(), "of-the-firehose")["cursor"] == "of-the-firehose"
