"""The OpenAPI document: what FastAPI cannot know of handlers that check their input themselves.

`OPERATIONS` says for each route which parameters and body it takes and how it answers; a test holds that none is
missing, and another that a server keeps to it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, NamedTuple, TypeAlias

from fastapi import FastAPI
from fastapi.routing import APIRoute

from runcast.core.event import MAX_ID_CHARS, MAX_TYPE_CHARS
from runcast.core.page import PAGE_MAX_EVENTS
from runcast.transport.permission import permission_of
from runcast.transport.problem import MEDIA_TYPE

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
PROTOBUF: Final = "application/x-protobuf"
SSE: Final = "text/event-stream"
PROMETHEUS: Final = "text/plain"

Schema: TypeAlias = dict[str, Any]

ALWAYS: Final = (400, 401, 403, 408, 414, 431, 500, 503)
"""Any request may be answered so: not understood, not allowed, not in time, too long, or not now."""
WITH_BODY: Final = (413, 415, 507)
"""So may one with a body: too large, of a type that is not known, or there is no space for it."""


class Operation(NamedTuple):
    """One method of one path. `query` and `body` name entries of `QUERY` and `BODIES`."""

    query: tuple[str, ...] = ()
    body: str = ""
    media: str = JSON
    status: int = 200
    also: tuple[int, ...] = ()


_PAGE: Final = ("after", "before", "at", "limit", "filter")

OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("POST", "/api/v1/streams/{stream}/events"): Operation(body="native"),
    ("GET", "/api/v1/streams"): Operation(("kind", "after_name", "limit_list")),
    ("GET", "/api/v1/streams/{stream}"): Operation(also=(404,)),
    ("DELETE", "/api/v1/streams/{stream}"): Operation(also=(404, 507)),
    ("GET", "/api/v1/streams/{stream}/events"): Operation(_PAGE, also=(404,)),
    ("POST", "/api/v1/streams/{stream}/end"): Operation(also=(404, 415, 507)),
    ("GET", "/api/v1/streams/{stream}/sse"): Operation(
        ("after", "codec", "filter"), media=SSE, also=(204, 404, 429)
    ),
    ("GET", "/api/v1/firehose/events"): Operation(("kind", *_PAGE), also=(404,)),
    ("GET", "/api/v1/firehose/sse"): Operation(("kind", "after", "filter"), media=SSE, also=(429,)),
    ("GET", "/api/sessions"): Operation(("order", "after_name", "limit_list")),
    ("GET", "/api/sessions/{session_id}"): Operation(also=(404,)),
    ("GET", "/api/sessions/{session_id}/events"): Operation(_PAGE, also=(404,)),
    ("POST", "/api/sessions/{session_id}/events"): Operation(body="documents"),
    ("GET", "/api/sessions/{session_id}/bottlenecks"): Operation(also=(404,)),
    ("GET", "/api/events"): Operation(_PAGE, also=(404,)),
    ("GET", "/api/websocket-metrics"): Operation(),
    ("POST", "/ingest/claude-code"): Operation(body="hook"),
    ("POST", "/v1/logs"): Operation(body="telemetry"),
    ("POST", "/v1/traces"): Operation(body="telemetry"),
    ("POST", "/v1/metrics"): Operation(body="telemetry"),
    ("GET", "/health"): Operation(),
    ("GET", "/api/status"): Operation(),
    ("GET", "/metrics"): Operation(media=PROMETHEUS),
    ("POST", "/api/v1/auth/register"): Operation(body="registration", status=201, also=(409, 429)),
    ("POST", "/api/v1/auth/login"): Operation(body="login", also=(429,)),
    ("POST", "/api/v1/auth/refresh"): Operation(body="refresh", also=(429,)),
    ("POST", "/api/v1/auth/logout"): Operation(also=(415,)),
    ("GET", "/api/v1/auth/me"): Operation(),
    ("POST", "/api/v1/auth/tickets"): Operation(also=(415,)),
    ("GET", "/api/v1/keys"): Operation(),
    ("POST", "/api/v1/keys"): Operation(body="new_key", status=201),
    ("PATCH", "/api/v1/keys/{key_id}"): Operation(body="grants", also=(404,)),
    ("DELETE", "/api/v1/keys/{key_id}"): Operation(also=(404,)),
}


def _text(description: str, **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


def _object(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": properties}


def _limit(most: int, default: int) -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


QUERY: Final[dict[str, Schema]] = {
    "after": _text("`start`, `now`, or a cursor: the last event that was seen"),
    "after_name": _text("`next` of the page before"),
    "at": _text("a time by RFC 3339", examples=["2026-01-31T12:00:00Z"]),
    "before": _text("`now`, or the cursor of the event before which to look"),
    "codec": _text("how events are written", enum=["native", "feed"], default="native"),
    "filter": _text("which events are wanted, as JSON", examples=['{"event_types": ["error"]}']),
    "kind": _text("streams of this kind only"),
    "limit": _limit(PAGE_MAX_EVENTS, PAGE_MAX_EVENTS),
    "limit_list": _limit(1_000, 100),
    "order": _text("latest activity first, or by name", enum=["recent", "name"], default="recent"),
}
"""By the name here; in a query it ends before the first underscore."""

PATH: Final[dict[str, Schema]] = {
    "key_id": _text("the id of an API key"),
    "session_id": _text("the id of a session", pattern=r"^[A-Za-z0-9._~@+-]{1,200}$"),
    "stream": _text("kind:id", pattern=r"^[a-z][a-z0-9_]{0,31}:[A-Za-z0-9._~@+-]{1,200}$"),
}

_NATIVE: Final = _object(
    ("type",),
    type=_text("what happened", minLength=1, maxLength=MAX_TYPE_CHARS),
    data={"type": "object", "description": "whatever belongs to it"},
    id=_text("makes a repetition harmless", minLength=1, maxLength=MAX_ID_CHARS),
    time=_text("RFC 3339; now by default", format="date-time"),
)
_DOCUMENT: Final = _object(
    ("event_type",),
    event_type=_text("what happened", minLength=1, maxLength=MAX_TYPE_CHARS),
    event_id=_text("makes a repetition harmless", minLength=1, maxLength=MAX_ID_CHARS),
    timestamp=_text("RFC 3339; now by default", format="date-time"),
    tool_name=_text("the tool that was called"),
    status=_text("how far it is", examples=["started", "completed", "error"]),
    cost_tokens={"type": "integer", "minimum": 0},
)
_GRANTS: Final = {
    "type": "object",
    "description": "patterns of streams by what may be done with them",
    "examples": [{"read": ["session:*"], "write": ["session:42"]}],
}


def _events(one: Schema) -> dict[str, Schema]:
    return {
        JSON: {"oneOf": [one, {"type": "array", "items": one, "minItems": 1}]},
        NDJSON: {"type": "string"},
    }


BODIES: Final[dict[str, dict[str, Schema]]] = {
    "native": _events(_NATIVE),
    "documents": _events(_DOCUMENT),
    "hook": {
        JSON: _object(("hook_event_name", "session_id"), hook_event_name=_text(""), session_id=_text(""))
    },
    "telemetry": {JSON: {"type": "object"}, PROTOBUF: {"type": "string", "format": "binary"}},
    "registration": {
        JSON: _object(
            ("email", "password"), email=_text("", format="email"), password=_text(""), name=_text("")
        )
    },
    "login": {JSON: _object(("email", "password"), email=_text(""), password=_text(""))},
    "refresh": {JSON: _object(("refresh_token",), refresh_token=_text(""))},
    "new_key": {
        JSON: _object(
            ("name", "grants"), name=_text(""), grants=_GRANTS, expires_in_s={"type": ["number", "null"]}
        )
    },
    "grants": {JSON: _object(("grants",), grants=_GRANTS)},
}
"""By content type: the schema."""

_PROBLEM: Final = _object(
    ("title", "status", "detail", "code"),
    title=_text("the status in words"),
    status={"type": "integer"},
    detail=_text("what is wrong, for people"),
    code=_text("what is wrong, for programs"),
    field=_text("which part of the request is"),
)
_SECURITY: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def complete_openapi(app: FastAPI) -> None:
    """Let `app.openapi()` say all that `OPERATIONS` knows of its routes."""
    of_fastapi = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = of_fastapi()
            document["components"] = {"schemas": {"Problem": _PROBLEM}, "securitySchemes": _SECURITY}
            document["security"] = [{}, *({name: []} for name in _SECURITY)]
            for route in described_routes(app):
                for method in sorted(route.methods or ()):
                    known = OPERATIONS.get((method, route.path))
                    if known is not None:
                        _complete(document["paths"][route.path][method.lower()], route, known)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi


def described_routes(app: FastAPI) -> list[APIRoute]:
    """The routes that are in the document."""
    return [route for route in app.routes if isinstance(route, APIRoute) and route.include_in_schema]


def _complete(described: dict[str, Any], route: APIRoute, operation: Operation) -> None:
    permission = permission_of(route.endpoint)
    if permission is not None:
        described["x-permission"] = permission.name
    named: list[Schema] = [
        {"name": name, "in": "path", "required": True, "schema": PATH[name]}
        for name in route.param_convertors
    ]
    described["parameters"] = named + [
        {"name": name.partition("_")[0], "in": "query", "required": False, "schema": QUERY[name]}
        for name in operation.query
    ]
    if operation.body:
        content = {media: {"schema": schema} for media, schema in BODIES[operation.body].items()}
        described["requestBody"] = {"required": True, "content": content}
    described["responses"] = _responses(operation)


def _responses(operation: Operation) -> dict[str, Any]:
    refused = {*ALWAYS, *operation.also, *(WITH_BODY if operation.body else ())}
    answered: Any = BODIES[operation.body] if operation.body == "telemetry" else [operation.media]
    responses: dict[int, Any] = {
        operation.status: {"description": "Done", "content": {media: {} for media in answered}}
    }
    for status in refused:
        responses[status] = {"description": HTTPStatus(status).phrase}
        if status != HTTPStatus.NO_CONTENT:
            responses[status]["content"] = _problem_content(operation)
    return {str(status): responses[status] for status in sorted(responses)}


def _problem_content(operation: Operation) -> Schema:
    """OTLP has a form of its own for failures, beside which the server's own refusals are problems."""
    content: Schema = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if operation.body == "telemetry":
        content |= {media: {} for media in BODIES["telemetry"]}
    return content
