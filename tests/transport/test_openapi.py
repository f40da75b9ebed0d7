"""The OpenAPI document says what every route takes and how it answers."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.routing import WebSocketRoute

from runcast.app import create_app
from runcast.config import Settings
from runcast.transport.openapi import described_routes
from runcast.transport.openapi_sockets import SOCKETS
from runcast.transport.openapi_tables import BODIES, OPERATIONS, PATH, QUERY


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings(log="memory:")).openapi()


def test_every_route_is_described_and_nothing_else() -> None:
    app = create_app(Settings(log="memory:"))
    there = {(method, route.path_format) for route in described_routes(app) for method in route.methods or ()}
    assert there == set(OPERATIONS)


def test_every_parameter_and_every_body_belongs_to_a_route() -> None:
    assert {name for one in OPERATIONS.values() for name in one.query} == set(QUERY)
    assert {one.body for one in OPERATIONS.values()} == {*BODIES, ""}


def test_every_name_in_a_path_is_described() -> None:
    app = create_app(Settings(log="memory:"))
    assert {name for route in described_routes(app) for name in route.param_convertors} == set(PATH)


def test_every_socket_is_described(document: dict[str, Any]) -> None:
    app = create_app(Settings(log="memory:"))
    there = {route.path_format for route in app.routes if isinstance(route, WebSocketRoute)}
    assert there == set(SOCKETS) == {socket["path"] for socket in document["x-websockets"]}
    assert all(socket["x-permission"] for socket in document["x-websockets"])


def test_each_operation_says_all_there_is_to_know(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            named = [one["name"] for one in said["parameters"] if one["in"] == "path"]
            assert all(f"{{{name}}}" in path for name in named)
            assert path.count("{") == len(named)
            assert ("requestBody" in said) == bool(OPERATIONS[method.upper(), path].body)
            assert {"400", "401", "403", "503"} <= said["responses"].keys()
            assert said["x-permission"]
            assert said["summary"]


def test_a_refusal_is_a_problem(document: dict[str, Any]) -> None:
    refusal = document["paths"]["/api/sessions/{session_id}"]["get"]["responses"]["404"]
    assert list(refusal["content"]) == ["application/problem+json"]
    assert set(document["components"]["schemas"]["Problem"]["required"]) >= {"code", "detail"}
