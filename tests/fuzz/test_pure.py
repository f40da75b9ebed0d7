"""Whatever is given to a parser: it is taken, or refused by a documented error."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.strategies import NOW_US, json_values, make_event, texts

from runcast.core.event import parse_cursor, parse_time, split_stream
from runcast.core.filters import parse_filter
from runcast.core.scope import Scope
from runcast.errors import InvalidInput
from runcast.kinds.base import Kind, Publish, accept
from runcast.kinds.session import SESSION, from_document
from runcast.live.hub import read_cursor
from runcast.sources.claude_code.hooks import decode_hook, publishes_of
from runcast.sources.otlp import decode, logs, spans
from runcast.transport.body import decode_mappings, native_publish

FUZZ = settings(max_examples=150, deadline=None)
EVENT_MAX_BYTES = 4_096

FIELDS = [
    "event_id",
    "event_type",
    "session_id",
    "agent_id",
    "tool_name",
    "timestamp",
    "status",
    "model",
    "feature_id",
    "parent_event_id",
    "input_summary",
    "output_summary",
    "execution_duration_seconds",
    "cost_tokens",
    "usage",
    "cost_usd",
    "type",
    "seq",
    "cursor",
    "stream",
    "data",
    "id",
    "time",
    "hook_event_name",
    "tool_use_id",
    "tool_input",
    "tool_response",
    "transcript_path",
    "prompt",
    "cwd",
    "source",
    "reason",
]
FILTER_KEYS = [
    "event_types",
    "session_id",
    "tool_names",
    "cost_threshold_tokens",
    "statuses",
    "feature_ids",
    "other",
]


def _json(value: Any) -> bytes:
    with suppress(ValueError):
        return msgspec.json.encode(value)
    return b"null"


documents = st.dictionaries(st.sampled_from(FIELDS) | texts, json_values, max_size=8)
bodies = st.binary(max_size=60) | st.one_of(json_values, documents, st.lists(documents, max_size=3)).map(
    _json
)
any_text = st.text(max_size=60) | texts
Parser = Callable[[str], object]


@pytest.mark.parametrize(
    "parse",
    [
        parse_filter,
        parse_cursor,
        split_stream,
        lambda text: parse_time(text, NOW_US),
        lambda text: read_cursor(Scope.of_stream("session:s"), text),
        lambda text: read_cursor(Scope.firehose("session"), text),
        Scope.firehose,
    ],
    ids=["filter", "cursor", "stream", "time", "stream cursor", "firehose cursor", "kind"],
)
@given(text=any_text)
@FUZZ
def test_any_text(parse: Parser, text: str) -> None:
    with suppress(InvalidInput):
        parse(text)


@given(
    wanted=st.dictionaries(st.sampled_from(FILTER_KEYS), json_values | st.lists(texts, max_size=4)),
    data=documents,
    event_type=texts,
)
@FUZZ
def test_any_filter_over_any_event(wanted: dict[str, Any], data: dict[str, Any], event_type: str) -> None:
    with suppress(InvalidInput):
        chosen = parse_filter(_json(wanted))
        passes = chosen.compile() or (lambda event: True)
        event = make_event(_json(data), type=event_type)
        flat = {**msgspec.json.decode(event.data), "event_type": event_type, "session_id": "s"}
        assert passes(event) == chosen.matches_event(flat)


@given(text=st.from_regex(r"[0-9a-f]{16}-[0-9]{1,20}-[0-9a-f]{4}", fullmatch=True))
@FUZZ
def test_any_cursor_of_the_right_form(text: str) -> None:
    with suppress(InvalidInput):
        assert str(parse_cursor(text)) == text


@given(body=bodies, lines=st.booleans())
@FUZZ
def test_any_body_of_events(body: bytes, lines: bool) -> None:
    with suppress(InvalidInput):
        values = decode_mappings(body, "application/x-ndjson" if lines else "application/json")
        for index, value in enumerate(values):
            with suppress(InvalidInput):
                accept(Kind(name="task"), native_publish("task:t", value, index), NOW_US, EVENT_MAX_BYTES)
            with suppress(InvalidInput):
                accept(SESSION, from_document("s", value), NOW_US, EVENT_MAX_BYTES)


@given(
    data=documents,
    event_type=texts,
    event_id=st.none() | texts,
    time=st.none() | texts | st.integers(),
    kind=st.sampled_from([SESSION, Kind(name="task")]),
)
@FUZZ
def test_any_event_is_stored_as_valid_json_or_refused(
    data: dict[str, Any], event_type: str, event_id: str | None, time: str | int | None, kind: Kind
) -> None:
    publish = Publish(stream=f"{kind.name}:s", type=event_type, data=data, id=event_id, time=time)
    with suppress(InvalidInput):
        new = accept(kind, publish, NOW_US, EVENT_MAX_BYTES)
        assert len(new.data) <= EVENT_MAX_BYTES
        assert isinstance(msgspec.json.decode(new.data), dict)
        assert b"\n" not in new.data


@given(body=bodies)
@FUZZ
def test_any_hook(body: bytes) -> None:
    with suppress(InvalidInput):
        for publish in publishes_of(decode_hook(body), NOW_US):
            accept(SESSION, publish, NOW_US, EVENT_MAX_BYTES)


attribute = st.fixed_dictionaries(
    {
        "key": st.sampled_from(
            ["session.id", "event.name", "input_tokens", "gen_ai.usage.input_tokens", "model"]
        )
        | texts,
        "value": st.one_of(
            json_values,
            st.dictionaries(
                st.sampled_from(["stringValue", "intValue", "doubleValue", "boolValue", "bytesValue"]),
                json_values,
            ),
        ),
    }
)
attributes = st.lists(attribute, max_size=4) | json_values
record = st.dictionaries(
    st.sampled_from(
        [
            "timeUnixNano",
            "startTimeUnixNano",
            "endTimeUnixNano",
            "body",
            "attributes",
            "name",
            "traceId",
            "spanId",
            "status",
        ]
    ),
    attributes | json_values,
)


def _telemetry(outer: str, scope: str, inner: str) -> st.SearchStrategy[bytes]:
    scopes = st.lists(st.fixed_dictionaries({inner: st.lists(record, max_size=3) | json_values}), max_size=2)
    resources = st.lists(
        st.fixed_dictionaries({"resource": st.just({}) | json_values, scope: scopes | json_values}),
        max_size=2,
    )
    return st.fixed_dictionaries({outer: resources | json_values}).map(_json) | bodies


@given(
    body=_telemetry("resourceLogs", "scopeLogs", "logRecords"),
    content_type=st.sampled_from([decode.JSON, decode.PROTOBUF]),
)
@FUZZ
def test_any_log_records(body: bytes, content_type: str) -> None:
    _read(decode.read_logs, logs.publishes, body, content_type)


@given(
    body=_telemetry("resourceSpans", "scopeSpans", "spans"),
    content_type=st.sampled_from([decode.JSON, decode.PROTOBUF]),
)
@FUZZ
def test_any_spans(body: bytes, content_type: str) -> None:
    _read(decode.read_spans, spans.publishes, body, content_type)


@given(body=st.binary(max_size=200), encoding=st.sampled_from(["gzip", "deflate", "", "br", "gzip, gzip"]))
@FUZZ
def test_any_packing(body: bytes, encoding: str) -> None:
    with suppress(InvalidInput):
        decode.unpack(body, encoding, EVENT_MAX_BYTES)


def _read(read: Any, tell: Any, body: bytes, content_type: str) -> None:
    with suppress(InvalidInput):
        for one in read(body, content_type):
            if not isinstance(one, decode.Malformed):
                with suppress(InvalidInput):
                    for publish in tell(one):
                        accept(SESSION, publish, NOW_US, EVENT_MAX_BYTES)
