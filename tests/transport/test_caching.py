"""Nobody keeps an answer unless it says that it may be kept: proxies and browsers hold no events, keys or tokens."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route
from tests.support.locked import LOGIN, MASTER, PERSON, LockedServer

from runcast.app import create_app
from runcast.config import Settings


@pytest.fixture
def server(tmp_path: Path) -> Generator[LockedServer]:
    with LockedServer(tmp_path) as server:
        yield server


def caching(answer: Any) -> str:
    (value,) = answer.headers.get_list("cache-control")
    return value


def routes() -> list[tuple[str, str]]:
    """Method and path of every route, but for pages, which are in no document, and event streams."""
    names = {"{stream}": "session:s", "{session_id}": "s", "{key_id}": "k"}
    found: list[tuple[str, str]] = []
    for route in create_app(Settings(log="memory:")).routes:
        path: str = getattr(route, "path", "")
        if isinstance(route, Route) and route.include_in_schema and not path.endswith("/sse"):
            for name, value in names.items():
                path = path.replace(name, value)
            found += [(method, path) for method in route.methods or ()]
    return found


@pytest.mark.parametrize("secret", [MASTER, "", "wrong"], ids=["known", "nobody", "refused"])
def test_no_answer_of_a_route_is_kept(server: LockedServer, secret: str) -> None:
    server.publish("s", 1)
    for method, path in routes():
        answer = server.as_(secret, method, path, **({"json": {}} if method in {"POST", "PATCH"} else {}))
        assert caching(answer) == "no-store", f"{method} {path}"


def test_nor_is_what_carries_a_secret(server: LockedServer) -> None:
    new_key = {"name": "ci", "grants": {"read": ["*"]}}
    session = server.http.post("/api/v1/auth/register", json=PERSON)
    refresh = {"refresh_token": session.json()["refresh_token"]}
    ticket = server.as_(MASTER, "POST", "/api/v1/auth/tickets")
    answers = [
        session,
        server.http.post("/api/v1/auth/login", json=LOGIN),
        server.http.post("/api/v1/auth/refresh", json=refresh),
        server.as_(MASTER, "POST", "/api/v1/keys", json=new_key),
        ticket,
        server.http.get("/", params={"ticket": ticket.json()["ticket"]}),  # sets a cookie
        server.http.get("/nowhere"),
        server.http.put("/api/sessions", json={}),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 201, 200, 200, 404, 405]
    assert [caching(answer) for answer in answers] == ["no-store"] * len(answers)
    assert "set-cookie" in answers[5].headers


def test_an_event_stream_is_not_kept_either(server: LockedServer) -> None:
    server.publish("s", 1)
    with server.http.stream("GET", "/api/v1/streams/session:s/sse", params={"api_key": MASTER}) as answer:
        assert caching(answer) == "no-store, no-transform"


def test_pages_and_their_files_keep_their_caching(server: LockedServer) -> None:
    page = server.http.get("/")
    place = page.text.partition('href="/static/')[2].partition('"')[0]
    assert caching(page) == "no-cache"
    assert caching(server.http.get(f"/static/{place}")) == "public, max-age=31536000, immutable"
    assert caching(server.http.get("/favicon.ico")) == "no-cache"
