"""Bodies of OTLP/HTTP requests as plain records: JSON, or protobuf where the extra is installed.

A record that cannot be read is a `Malformed` in its place, so that the rest of its request is taken. OTLP's JSON
is that of protobuf, but for its ids in hex and its enums as numbers (OTLP specification, "JSON Protobuf Encoding").
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar, cast

import msgspec

from runcast.errors import InvalidInput, TooLarge
from runcast.sources.otlp.values import (
    Unreadable,
    attributes_of,
    id_of,
    integer_of,
    text_of,
    time_of,
    value_of,
)

JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"

MAX_RECORDS: Final = 20_000
"""Of one request; so many resources, and so many scopes, may it have as well. Exporters send 512 at once by default."""
MAX_MEMBERS: Final = 16
"""Parts that a gzip body may be made of; exporters send one."""

_GZIP: Final = 16 + zlib.MAX_WBITS


class LogRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One log record with what its resource says. A time is in nanoseconds since the Unix epoch, 0 if unknown.

    Ids are lower-case hex, empty if there is none.
    """

    resource: dict[str, Any] = {}
    scope: str = ""
    event_name: str = ""
    body: Any = None
    attributes: dict[str, Any] = {}
    time_ns: int = 0
    observed_ns: int = 0
    trace_id: str = ""
    span_id: str = ""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One finished span with what its resource says. Times and ids as in `LogRecord`; `status` 2 is an error."""

    resource: dict[str, Any] = {}
    scope: str = ""
    name: str = ""
    trace_id: str
    span_id: str
    parent_span_id: str = ""
    start_ns: int = 0
    end_ns: int = 0
    attributes: dict[str, Any] = {}
    status: int = 0
    status_message: str = ""


class Malformed(msgspec.Struct, frozen=True):
    """A record that cannot be read, and why."""

    reason: str


class MissingExtra(InvalidInput):
    """Protobuf was sent, and what reads it is not installed."""

    code = "missing_extra"
    message = (
        "OTLP as protobuf needs an extra: pip install 'runcast[otlp]'; "
        "or let the exporter send JSON: OTEL_EXPORTER_OTLP_PROTOCOL=http/json."
    )


R = TypeVar("R", LogRecord, Span)


def unpack(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The body without its Content-Encoding, `gzip` or none.

    Raises:
        InvalidInput: it is not gzip of at most `MAX_MEMBERS` parts, or another encoding.
        TooLarge: it unpacks to more than `max_bytes`; the rest is not unpacked.
    """
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip":
            return _gunzip(body, max_bytes)
        case _:
            raise InvalidInput("Content-Encoding: gzip or none is expected.", field="content-encoding")


def read_logs(body: bytes, content_type: str) -> Iterator[LogRecord | Malformed]:
    """The records of an ExportLogsServiceRequest, in its order.

    Raises:
        InvalidInput: it is no such request.
        TooLarge: it has more than `MAX_RECORDS`.
        MissingExtra: it is protobuf, and what reads that is not installed.
    """
    if content_type == PROTOBUF:
        return _protobuf().read_logs(body)
    return _each(_document(body), ("resourceLogs", "scopeLogs", "logRecords"), _log_record)


def read_spans(body: bytes, content_type: str) -> Iterator[Span | Malformed]:
    """The spans of an ExportTraceServiceRequest, in its order.

    Raises:
        As `read_logs`.
    """
    if content_type == PROTOBUF:
        return _protobuf().read_spans(body)
    return _each(_document(body), ("resourceSpans", "scopeSpans", "spans"), _span)


def _protobuf() -> Any:
    try:
        return importlib.import_module("runcast.sources.otlp.protobuf")
    except ImportError:
        raise MissingExtra from None


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    left = max_bytes + 1
    while body and left > 0:  # a gzip file may have several members (RFC 1952 §2.2)
        if len(parts) == MAX_MEMBERS:  # each costs a copy of all that follow it
            raise InvalidInput(f"body: gzip of more than {MAX_MEMBERS} parts.", field="body")
        member = zlib.decompressobj(_GZIP)
        try:
            part = member.decompress(body, left)
        except zlib.error:
            raise InvalidInput("body: not gzip, as its Content-Encoding says.", field="body") from None
        if not member.eof and len(part) < left:
            raise InvalidInput("body: the gzip data breaks off.", field="body")
        parts.append(part)
        left -= len(part)
        body = member.unused_data
    if left <= 0:
        raise TooLarge(f"body: unpacked it is over the limit of {max_bytes} bytes.", field="body")
    return b"".join(parts)


# --- JSON -----------------------------------------------------------------------------------------


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"body: not valid JSON ({error}).", field="body") from None
    return _object(document, "body")


def _each(
    document: dict[str, Any], names: tuple[str, str, str], make: Callable[..., R]
) -> Iterator[R | Malformed]:
    of_resource, of_scope, of_record = names
    scopes = records = 0
    for group in _objects(document, of_resource):
        resource = _shared(_member(group, "resource"))
        parts = _objects(group, of_scope)
        scopes = check_count(scopes + len(parts))
        for part in parts:
            name = _member(part, "scope").get("name")
            scope = name if isinstance(name, str) else ""
            values = _list(part, of_record)
            records = check_count(records + len(values))
            for value in values:
                yield _one(make, resource, scope, value)


def _one(make: Callable[..., R], resource: dict[str, Any], scope: str, value: object) -> R | Malformed:
    try:
        if not isinstance(value, dict):
            raise Unreadable("a record is not a JSON object")
        return make(resource, scope, value)
    except Unreadable as error:
        return Malformed(str(error))


def _log_record(resource: dict[str, Any], scope: str, value: dict[str, Any]) -> LogRecord:
    return LogRecord(
        resource=resource,
        scope=scope,
        event_name=text_of(value.get("eventName")),
        body=value_of(value.get("body")),
        attributes=attributes_of(value.get("attributes")),
        time_ns=time_of(value.get("timeUnixNano"), "timeUnixNano"),
        observed_ns=time_of(value.get("observedTimeUnixNano"), "observedTimeUnixNano"),
        trace_id=id_of(value.get("traceId"), 32, "traceId"),
        span_id=id_of(value.get("spanId"), 16, "spanId"),
    )


def _span(resource: dict[str, Any], scope: str, value: dict[str, Any]) -> Span:
    status = value.get("status")
    told: dict[str, Any] = cast("dict[str, Any]", status) if isinstance(status, dict) else {}
    return checked_span(
        Span(
            resource=resource,
            scope=scope,
            name=text_of(value.get("name")),
            trace_id=id_of(value.get("traceId"), 32, "traceId"),
            span_id=id_of(value.get("spanId"), 16, "spanId"),
            parent_span_id=id_of(value.get("parentSpanId"), 16, "parentSpanId"),
            start_ns=time_of(value.get("startTimeUnixNano"), "startTimeUnixNano"),
            end_ns=time_of(value.get("endTimeUnixNano"), "endTimeUnixNano"),
            attributes=attributes_of(value.get("attributes")),
            status=integer_of(told.get("code", 0), "status.code"),
            status_message=text_of(told.get("message")),
        )
    )


def check_count(count: int) -> int:
    """Return how many records, scopes or resources a request has, if it may have so many.

    Raises:
        TooLarge: there are more than `MAX_RECORDS`.
    """
    if count > MAX_RECORDS:
        raise TooLarge(f"body: {count} records; the limit is {MAX_RECORDS} a request.", field="body")
    return count


def checked_span(span: Span) -> Span:
    """Return `span` if it can be told from others.

    Raises:
        Unreadable: it has no id.
    """
    if not (span.trace_id and span.span_id):
        raise Unreadable("traceId and spanId: a span has both")
    return span


def _shared(resource: dict[str, Any]) -> dict[str, Any]:
    try:
        return attributes_of(resource.get("attributes"))
    except Unreadable as error:
        raise InvalidInput(f"resource.{error}.", field="resource") from None


def _object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{name}: a JSON object is expected.", field=name)
    return cast("dict[str, Any]", value)


def _member(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    return {} if value is None else _object(value, name)


def _list(parent: dict[str, Any], name: str) -> list[object]:
    value = parent.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidInput(f"{name}: a list is expected.", field=name)
    return cast("list[object]", value)


def _objects(parent: dict[str, Any], name: str) -> list[dict[str, Any]]:
    values = _list(parent, name)
    check_count(len(values))
    return [_object(value, name) for value in values]
