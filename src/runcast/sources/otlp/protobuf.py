"""OTLP requests as protobuf. Imported when the first one comes, because `opentelemetry-proto` is an extra."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runcast.errors import InvalidInput
from runcast.sources.otlp.decode import (
    LogRecord,
    Malformed,
    Span,
    check_count,
    checked_span,
)
from runcast.sources.otlp.values import MAX_VALUE_DEPTH, Unreadable, known_id


def read_logs(body: bytes) -> Iterator[LogRecord | Malformed]:
    """The records of an ExportLogsServiceRequest.

    Raises:
        InvalidInput: it is no such message.
        TooLarge: it has more than `MAX_RECORDS`.
    """
    request = _parsed(ExportLogsServiceRequest(), body)
    yield from _each(request.resource_logs, ("scope_logs", "log_records"), _log_record)


def read_spans(body: bytes) -> Iterator[Span | Malformed]:
    """The spans of an ExportTraceServiceRequest.

    Raises:
        InvalidInput: it is no such message.
        TooLarge: it has more than `MAX_RECORDS`.
    """
    request = _parsed(ExportTraceServiceRequest(), body)
    yield from _each(request.resource_spans, ("scope_spans", "spans"), _span)


def _parsed(request: Any, body: bytes) -> Any:
    message: Message = request
    try:
        message.ParseFromString(body)
    except DecodeError:
        raise InvalidInput("body: not the protobuf message that belongs here.", field="body") from None
    return request


def _each(groups: Any, names: tuple[str, str], make: Callable[..., Any]) -> Iterator[Any]:
    of_scope, of_record = names
    scopes = records = 0
    check_count(len(groups))
    for group in groups:
        resource = _shared(group.resource)
        parts = getattr(group, of_scope)
        scopes = check_count(scopes + len(parts))
        for part in parts:
            values = getattr(part, of_record)
            records = check_count(records + len(values))
            for value in values:
                yield _one(make, resource, part.scope.name, value)


def _one(make: Callable[..., Any], resource: dict[str, Any], scope: str, record: Any) -> Any:
    try:
        return make(resource, scope, record)
    except Unreadable as error:
        return Malformed(str(error))


def _log_record(resource: dict[str, Any], scope: str, record: Any) -> LogRecord:
    return LogRecord(
        resource=resource,
        scope=scope,
        event_name=record.event_name,
        body=_value(record.body),
        attributes=_pairs(record.attributes),
        time_ns=record.time_unix_nano,
        observed_ns=record.observed_time_unix_nano,
        trace_id=_id(record.trace_id, 16, "trace_id"),
        span_id=_id(record.span_id, 8, "span_id"),
    )


def _span(resource: dict[str, Any], scope: str, span: Any) -> Span:
    return checked_span(
        Span(
            resource=resource,
            scope=scope,
            name=span.name,
            trace_id=_id(span.trace_id, 16, "trace_id"),
            span_id=_id(span.span_id, 8, "span_id"),
            parent_span_id=_id(span.parent_span_id, 8, "parent_span_id"),
            start_ns=span.start_time_unix_nano,
            end_ns=span.end_time_unix_nano,
            attributes=_pairs(span.attributes),
            status=span.status.code,
            status_message=span.status.message,
        )
    )


def _shared(resource: Any) -> dict[str, Any]:
    try:
        return _pairs(resource.attributes)
    except Unreadable as error:
        raise InvalidInput(f"resource.{error}.", field="resource") from None


def _pairs(pairs: Any, depth: int = 0) -> dict[str, Any]:
    return {pair.key: _value(pair.value, depth + 1) for pair in pairs}


def _value(value: Any, depth: int = 0) -> Any:
    if depth > MAX_VALUE_DEPTH:
        raise Unreadable(f"value: nested deeper than {MAX_VALUE_DEPTH} levels")
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [_value(item, depth + 1) for item in value.array_value.values]
        case "kvlist_value":
            return _pairs(value.kvlist_value.values, depth)
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode()
        case kind:
            return getattr(value, kind)


def _id(value: bytes, size: int, name: str) -> str:
    if value and len(value) != size:
        raise Unreadable(f"{name}: {size} bytes are expected")
    return known_id(value.hex())
