"""OTLP requests as plain records: both encodings say the same, and a flawed record stays alone."""

from __future__ import annotations

import contextlib
import gzip
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.otlp import (
    NOW_NS,
    SERVICE,
    TRACE,
    claude_record,
    gen_ai_span,
    logs_request,
    pairs,
    spans_request,
    to_json,
    to_protobuf,
)

from runcast.errors import InvalidInput, TooLarge
from runcast.sources.otlp.decode import (
    JSON,
    MAX_MEMBERS,
    MAX_RECORDS,
    PROTOBUF,
    LogRecord,
    Malformed,
    MissingExtra,
    Span,
    read_logs,
    read_spans,
    unpack,
)

VALUES: dict[str, Any] = {
    "a": "text",
    "b": True,
    "c": -5,
    "d": 0.5,
    "e": ["x", 1],
    "f": {"g": {"h": [2**62]}},
}


def logs(*records: Any) -> list[LogRecord | Malformed]:
    return list(read_logs(to_json(logs_request(*records)), JSON))


class TestRecords:
    def test_both_encodings_give_equal_log_records(self):
        request = logs_request(
            claude_record("tool_result", **VALUES), {"body": {"intValue": 3}, "eventName": "e"}
        )
        first, second = read_logs(to_json(request), JSON)
        assert [first, second] == list(read_logs(to_protobuf(request), PROTOBUF))
        assert isinstance(first, LogRecord)
        assert (first.resource, first.time_ns, first.body) == (SERVICE, NOW_NS, "claude_code.tool_result")
        assert {name: first.attributes[name] for name in VALUES} == VALUES
        assert second == LogRecord(resource=SERVICE, scope=first.scope, body=3, event_name="e")

    def test_both_encodings_give_equal_spans(self):
        failed = gen_ai_span("chat", parentSpanId="00f067aa0ba902b7", status={"code": 2, "message": "no"})
        request = spans_request(failed, gen_ai_span(None, "00f067aa0ba902b7", attributes=VALUES))
        first, second = read_spans(to_json(request), JSON)
        assert [first, second] == list(read_spans(to_protobuf(request), PROTOBUF))
        assert isinstance(first, Span)
        assert isinstance(second, Span)
        assert (first.trace_id, first.parent_span_id, first.status) == (TRACE, second.span_id, 2)
        assert second.attributes == VALUES

    def test_numbers_come_as_texts_or_as_numbers_and_ids_in_any_case(self):
        record = {
            "timeUnixNano": NOW_NS,
            "traceId": TRACE.upper(),
            "spanId": "0" * 16,
            "attributes": [
                {"key": "n", "value": {"intValue": 5}},
                {"key": "x", "value": {"doubleValue": "NaN"}},
            ],
        }
        [read] = logs(record)
        assert isinstance(read, LogRecord)
        assert (read.time_ns, read.trace_id, read.span_id) == (NOW_NS, TRACE, "")
        assert read.attributes["n"] == 5
        assert read.attributes["x"] != read.attributes["x"]

    def test_what_is_absent_or_null_or_unknown_is_no_fault(self):
        assert (
            logs({}, {"body": None, "attributes": None, "severityNumber": 9, "newField": {}})
            == [LogRecord(resource=SERVICE, scope="com.anthropic.claude_code.events")] * 2
        )
        assert list(read_logs(b"{}", JSON)) == list(read_logs(b"", PROTOBUF)) == []
        assert list(read_logs(b'{"resourceLogs":[{"scopeLogs":[{}]},{}]}', JSON)) == []
        odd = b'{"resourceLogs":[{"scopeLogs":[{"scope":{"name":5},"logRecords":[{}]}]}]}'
        assert list(read_logs(odd, JSON)) == [LogRecord()]

    @pytest.mark.parametrize(
        ("record", "reason"),
        [
            (5, "a record is not a JSON object"),
            ({"timeUnixNano": "soon"}, "timeUnixNano"),
            ({"timeUnixNano": -1}, "timeUnixNano"),
            ({"traceId": "abc"}, "traceId: 32 hex digits"),
            ({"attributes": {}}, "attributes: a list"),
            ({"attributes": ["a"]}, "attributes: objects"),
            ({"attributes": [{"value": {}}]}, "attributes.key"),
            ({"attributes": [{"key": "a", "value": "plain"}]}, "value: an object"),
            ({"attributes": [*pairs({"a": 1}), {"key": "b", "value": {"intValue": str(2**63)}}]}, "intValue"),
            ({"body": {"boolValue": 1}}, "boolValue"),
            ({"body": {"bytesValue": "?"}}, "bytesValue"),
            ({"body": {"arrayValue": {"values": 1}}}, "arrayValue"),
        ],
    )
    def test_a_flawed_record_stays_alone(self, record: Any, reason: str):
        before, flawed, after = logs(claude_record("a"), record, claude_record("b"))
        assert isinstance(flawed, Malformed)
        assert reason in flawed.reason
        assert isinstance(before, LogRecord)
        assert isinstance(after, LogRecord)

    @pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
    def test_values_nest_so_deep_and_no_deeper(self, content_type: str):
        write = to_json if content_type == JSON else to_protobuf

        def record(depth: int) -> Any:
            value: dict[str, Any] = {"stringValue": "x"}
            for _ in range(depth):
                value = {"arrayValue": {"values": [value]}}
            return {"body": value}

        kept, refused = read_logs(write(logs_request(record(16), record(17))), content_type)
        assert isinstance(kept, LogRecord)
        assert isinstance(refused, Malformed)
        assert "nested deeper than 16" in refused.reason

    def test_a_span_without_ids_is_flawed(self):
        span = gen_ai_span("chat")
        del span["spanId"]
        [read] = read_spans(to_json(spans_request(span)), JSON)
        assert read == Malformed("traceId and spanId: a span has both")


class TestRequests:
    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"[]", b"\xff", b'{"resourceLogs":5}', b'{"resourceLogs":[5]}', b"[" * 100_000,
         b'{"resourceLogs":[{"resource":{"attributes":5}}]}', b'{"resourceLogs":[{"scopeLogs":[{"scope":1}]}]}'],
    )  # fmt: skip
    def test_what_is_no_request_is_refused_as_a_whole(self, body: bytes):
        with pytest.raises(InvalidInput):
            list(read_logs(body, JSON))

    @pytest.mark.parametrize("body", [b"{}", b"\x0a\x05ab", to_json(logs_request())])
    def test_what_is_no_protobuf_is_refused_as_a_whole(self, body: bytes):
        with pytest.raises(InvalidInput, match="protobuf"):
            list(read_logs(body, PROTOBUF))

    @given(st.binary(max_size=200))
    def test_any_bytes_are_records_or_refused(self, body: bytes):
        for read in (read_logs, read_spans):
            for content_type in (JSON, PROTOBUF):
                with contextlib.suppress(InvalidInput):
                    list(read(body, content_type))

    def test_without_the_extra_one_sentence_says_what_to_do(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delitem(sys.modules, "runcast.sources.otlp.protobuf", raising=False)
        monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.logs.v1.logs_service_pb2", None)
        with pytest.raises(MissingExtra) as caught:
            read_logs(b"", PROTOBUF)
        assert "runcast[otlp]" in str(caught.value)
        assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/json" in str(caught.value)


class TestUnpacking:
    def test_gzip_in_one_member_or_several(self):
        assert unpack(gzip.compress(b"abc"), "gzip", 3) == b"abc"
        assert unpack(gzip.compress(b"abc") + gzip.compress(b"d"), "GZIP", 10) == b"abcd"
        assert unpack(b"abc", "", 1) == unpack(b"abc", "identity", 1) == b"abc"

    def test_a_bomb_is_not_unpacked(self):
        bomb = gzip.compress(bytes(50 * 1024 * 1024))
        with pytest.raises(TooLarge, match="over the limit of 1000 bytes"):
            unpack(bomb, "gzip", 1_000)
        with pytest.raises(TooLarge):
            unpack(gzip.compress(bytes(600)) * 2, "gzip", 1_000)

    @pytest.mark.parametrize("body", [b"abc", gzip.compress(b"abcdefgh")[:-9]], ids=["plain", "cut"])
    def test_what_is_no_gzip_is_refused(self, body: bytes):
        with pytest.raises(InvalidInput, match="gzip"):
            unpack(body, "gzip", 1_000)

    def test_very_many_members_are_refused_before_they_cost_anything(self):
        member = gzip.compress(b"")
        assert unpack(member * MAX_MEMBERS, "gzip", 1_000) == b""
        began = time.thread_time()
        with pytest.raises(InvalidInput, match="gzip of more than 16 parts"):
            unpack(member * (8 * 1024 * 1024 // len(member)), "gzip", 8 * 1024 * 1024)
        assert time.thread_time() - began < 1.0

    def test_another_encoding_is_refused(self):
        with pytest.raises(InvalidInput, match="Content-Encoding"):
            unpack(b"", "zstd", 1_000)


class TestHowMuch:
    @pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
    @pytest.mark.parametrize("level", [0, 1, 2])
    def test_too_many_records_scopes_or_resources_are_refused_before_any_is_made(
        self, content_type: str, level: int
    ):
        def request(count: int, of_record: str) -> bytes:
            values: list[Any] = [{} for _ in range(count)]
            names = [
                f"resource{of_record}",
                f"scope{of_record}",
                {"Logs": "logRecords"}.get(of_record, "spans"),
            ]
            for name in reversed(names[: level + 1]):
                values = [{name: values}]
            return {JSON: to_json, PROTOBUF: to_protobuf}[content_type](values[0])

        for read, of_record in ((read_logs, "Logs"), (read_spans, "Spans")):
            made = list(read(request(MAX_RECORDS, of_record), content_type))
            assert len(made) == (MAX_RECORDS if level == 2 else 0)
            with pytest.raises(TooLarge, match="20001 records; the limit is 20000"):
                next(read(request(MAX_RECORDS + 1, of_record), content_type))
