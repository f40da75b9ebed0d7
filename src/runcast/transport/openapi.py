"""The OpenAPI document: what FastAPI cannot know of handlers that check their input themselves."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

from runcast.transport.openapi_sockets import described_sockets
from runcast.transport.openapi_tables import (
    BODIES,
    OPERATIONS,
    PATH,
    QUERY,
    QUERY_NAMES,
    Operation,
    Schema,
    object_schema,
    text_schema,
)
from runcast.transport.permission import permission_of
from runcast.transport.problem import MEDIA_TYPE

ALWAYS: Final = (400, 401, 403, 408, 414, 431, 500, 503)
"""Any request may be answered so: not understood, not allowed, not in time, too long, or not now."""
WITH_BODY: Final = (413, 415, 507)
"""So may one with a body: too large, of a type that is not known, or there is no space for it."""


_PROBLEM: Final = object_schema(
    ("title", "status", "detail", "code"),
    title=text_schema("the status in words"),
    status={"type": "integer"},
    detail=text_schema("what is wrong, for people"),
    code=text_schema("what is wrong, for programs"),
    field=text_schema("which part of the request is"),
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
                    known = OPERATIONS.get((method, route.path_format))
                    if known is not None:
                        _complete(document["paths"][route.path_format][method.lower()], route, known)
            document["x-websockets"] = described_sockets(app.routes)
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
        {"name": QUERY_NAMES.get(name, name), "in": "query", "required": False, "schema": QUERY[name]}
        for name in operation.query
    ]
    if operation.body:
        content = {media: {"schema": schema} for media, schema in BODIES[operation.body].items()}
        described["requestBody"] = {"required": not operation.optional_body, "content": content}
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
