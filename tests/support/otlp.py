"""OTLP requests for tests: one description, in both encodings."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from google.protobuf import json_format  # isort: skip - it belongs to the messages above

SECOND_NS = 1_000_000_000
NOW_NS = 1_790_000_000 * SECOND_NS
NOW_US = NOW_NS // 1_000
SERVICE = {"service.name": "claude-code", "service.version": "2.1.200"}
SCOPE = "com.anthropic.claude_code.events"
TRACE = "5b8efff798038103d269b633813fc60c"

Json = dict[str, Any]


def any_value(value: Any) -> Json:
    """A plain value as OTLP's JSON has it."""
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value if math.isfinite(value) else "Infinity"}
        case str():
            return {"stringValue": value}
        case list():
            return {"arrayValue": {"values": [any_value(one) for one in value]}}
        case dict():
            return {"kvlistValue": {"values": pairs(value)}}
    raise TypeError(value)


def pairs(values: Json) -> list[Json]:
    return [{"key": key, "value": any_value(value)} for key, value in values.items()]


def claude_record(name: str, session_id: str | None = "s1", **attributes: Any) -> Json:
    """A log record as Claude Code writes them; a name such as `prompt__id` stands for `prompt.id`."""
    given = {name.replace("__", "."): value for name, value in attributes.items()}
    common: Json = {"event.name": name, "event.sequence": 7, "user.id": "0" * 64, "terminal.type": "vscode"}
    if session_id is not None:
        common["session.id"] = session_id
    return {
        "timeUnixNano": str(NOW_NS),
        "observedTimeUnixNano": str(NOW_NS),
        "body": {"stringValue": f"claude_code.{name}"},
        "attributes": pairs({**common, **given}),
    }


def logs_request(*records: Any, resource: Json = SERVICE, scope: str = SCOPE) -> Json:
    scopes = [{"scope": {"name": scope}, "logRecords": list(records)}]
    return {"resourceLogs": [{"resource": {"attributes": pairs(resource)}, "scopeLogs": scopes}]}


def gen_ai_span(operation: str | None, span_id: str = "eee19b7ec3c1b174", **fields: Any) -> Json:
    """A span of two seconds; `attributes` are added to its operation."""
    attributes = {
        **({"gen_ai.operation.name": operation} if operation else {}),
        **fields.pop("attributes", {}),
    }
    return {
        "traceId": TRACE,
        "spanId": span_id,
        "name": operation or "GET /",
        "startTimeUnixNano": str(NOW_NS),
        "endTimeUnixNano": str(NOW_NS + 2 * SECOND_NS),
        "attributes": pairs(attributes),
        **fields,
    }


def spans_request(*spans: Any, resource: Json | None = None) -> Json:
    scopes = [{"scope": {"name": "tests"}, "spans": list(spans)}]
    attributes = pairs({"service.name": "my-agent"} if resource is None else resource)
    return {"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": scopes}]}


def to_json(request: Json) -> bytes:
    return json.dumps(request).encode()


def to_protobuf(request: Json) -> bytes:
    """The same request as protobuf. Its own JSON form has ids in base64 where OTLP's has hex."""
    message = ExportLogsServiceRequest() if "resourceLogs" in request else ExportTraceServiceRequest()
    return json_format.Parse(json.dumps(_with_base64_ids(request)), message).SerializeToString()


def _with_base64_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_base64_ids(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(inner)).decode()
        if key in {"traceId", "spanId", "parentSpanId"}
        else _with_base64_ids(inner)
        for key, inner in value.items()
    }
