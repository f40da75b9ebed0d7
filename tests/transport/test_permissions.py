"""Who may do what on a locked server, over every route there is, and by what they show it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route, WebSocketRoute
from tests.support.clients import RawClient
from tests.support.locked import MASTER, LockedServer
from tests.support.server import flat

from runcast.app import create_app
from runcast.auth.grants import Grants
from runcast.auth.setup import make_authenticator
from runcast.auth.store import AuthStore
from runcast.config import Settings
from runcast.errors import Unauthenticated
from runcast.log.place import auth_file
from runcast.transport.permission import permission_of


@pytest.fixture
def server(tmp_path: Path) -> Generator[LockedServer]:
    with LockedServer(tmp_path) as server:
        yield server


# --- every route -------------------------------------------------------------------------------

PAGES = {"/", "/docs", "/ws/test"} | {
    f"/{page}{run}" for page in ("workflows", "plans", "tasks", "chat") for run in ("", "/{run}")
}
FILES = {"/favicon.ico", "/static/{path:path}", "/examples/{path:path}"}
PUBLIC = PAGES | FILES | {"/health", "/openapi.json"}
PUBLIC_WRITES = {"/api/v1/auth/register", "/api/v1/auth/login", "/api/v1/auth/refresh"}


def routes() -> list[Any]:
    return list(create_app(Settings(log="memory:")).routes)


def test_every_route_states_a_permission() -> None:
    for route in routes():
        if getattr(route, "path", "") == "/openapi.json":
            continue  # FastAPI's own; it says what everybody may know
        endpoint = route.app if isinstance(route, WebSocketRoute) else route.endpoint
        assert permission_of(endpoint) is not None, f"{route.path} states no permission"


def test_what_is_public_is_listed_here() -> None:
    stated = {route.path: permission_of(route.endpoint) for route in routes() if isinstance(route, Route)}
    public = {path for path, permission in stated.items() if permission and permission.name == "public"}
    assert public | {"/openapi.json"} == PUBLIC | PUBLIC_WRITES


def test_a_stranger_gets_nothing_from_any_route(server: LockedServer) -> None:
    for route in routes():
        if not isinstance(route, Route) or route.path in PUBLIC | PUBLIC_WRITES:
            continue
        path = re.sub(r"\{[^}]+\}", "x", route.path.replace("{stream}", "session:s"))
        for method in route.methods or ():
            answer = server.as_(
                "", method, path, **({"json": {}} if method in {"POST", "PATCH", "PUT"} else {})
            )
            assert answer.status_code == 401, f"{method} {path}: {answer.status_code}"
            assert answer.headers["www-authenticate"] == "Bearer"
            assert method == "HEAD" or answer.json()["code"] == "unauthenticated"


# --- grants ------------------------------------------------------------------------------------


def test_a_key_reads_and_writes_what_it_is_granted(server: LockedServer) -> None:
    server.publish("mine", 1)
    server.publish("other", 2)
    _, reader = server.key(read=("session:mine",))
    _, writer = server.key(write=("session:mine",))
    body = {"json": [flat(3)]}
    assert server.as_(reader, "GET", "/api/sessions/mine/events").status_code == 200
    assert server.as_(reader, "GET", "/api/sessions/other/events").status_code == 403
    assert server.as_(reader, "POST", "/api/sessions/mine/events", **body).status_code == 403
    assert server.as_(writer, "POST", "/api/sessions/mine/events", **body).status_code == 200
    assert server.as_(writer, "POST", "/api/sessions/other/events", **body).status_code == 403
    assert server.as_(writer, "GET", "/api/sessions/mine/events").status_code == 403
    assert server.as_(writer, "DELETE", "/api/v1/streams/session:other").status_code == 403


def test_lists_and_firehoses_show_what_may_be_read(server: LockedServer) -> None:
    server.publish("mine", 1)
    server.publish("other", 2)
    _, key = server.key(read=("session:mine",))
    sessions = server.as_(key, "GET", "/api/sessions").json()["sessions"]
    streams = server.as_(key, "GET", "/api/v1/streams").json()["streams"]
    assert [one["session_id"] for one in sessions] == ["mine"]
    assert [one["stream"] for one in streams] == ["session:mine"]
    for path in ("/api/events", "/api/v1/firehose/events", "/api/events?before=now"):
        events = server.as_(key, "GET", path).json()["events"]
        assert [one.get("event_id", one.get("id")) for one in events] == ["e1"]
    for path in ("/metrics", "/api/websocket-metrics", "/api/v1/keys"):
        assert server.as_(key, "GET", path).status_code == 403


def test_records_of_telemetry_to_other_sessions_are_rejected(server: LockedServer) -> None:
    _, key = server.key(write=("session:mine",))
    hook = {"session_id": "other", "hook_event_name": "Stop"}
    assert server.as_(key, "POST", "/ingest/claude-code", json=hook).status_code == 403
    hook["session_id"] = "mine"
    assert server.as_(key, "POST", "/ingest/claude-code", json=hook).status_code == 200


# --- how credentials are shown -----------------------------------------------------------------


@pytest.mark.parametrize("way", ["bearer", "x-api-key", "token", "api_key"])
def test_ways_to_show_a_key(server: LockedServer, way: str) -> None:
    ways: dict[str, dict[str, Any]] = {
        "bearer": {"headers": {"Authorization": f"bearer {MASTER}"}},
        "x-api-key": {"headers": {"X-API-Key": MASTER}},
        "token": {"params": {"token": MASTER, "limit": "1"}},
        "api_key": {"params": {"api_key": MASTER}},
    }
    assert server.http.get("/api/sessions", **ways[way]).status_code == 200


def test_a_ticket_becomes_a_cookie_once(server: LockedServer) -> None:
    ticket = server.as_(MASTER, "POST", "/api/v1/auth/tickets").json()["ticket"]
    answer = server.http.get("/api/sessions", params={"ticket": ticket})
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert server.http.get("/api/sessions").status_code == 200  # by the cookie
    me = server.http.get("/api/v1/auth/me").json()
    assert (me["via"], me["sub"][:11]) == ("cookie", "configured-")
    server.http.cookies.clear()
    assert server.http.get("/api/sessions", params={"ticket": ticket}).status_code == 401
    server.http.cookies.set("runcast", cookie.partition(";")[0].partition("=")[2])
    assert server.http.post("/api/v1/auth/logout").status_code == 200
    server.http.cookies.clear()


WRONG: list[Callable[[LockedServer], str]] = [
    lambda _: "made up",
    lambda _: "a.b.c",
    lambda _: "rck_0123456789abcdef_" + "x" * 43,
    lambda server: server.token("*", lifetime_s=-1),
    lambda server: server.token("*")[:-2],
]


@pytest.mark.parametrize("wrong", WRONG, ids=["word", "dots", "key", "expired", "cut"])
def test_what_does_not_count_is_refused_in_words(
    server: LockedServer, wrong: Callable[[LockedServer], str]
) -> None:
    secret = wrong(server)
    answer = server.as_(secret, "GET", "/api/sessions")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert secret not in answer.text
    with RawClient(server.session("s", token=secret)) as ws:
        (error,) = ws.messages()
    assert (error["type"], error["code"], ws.close_code) == ("error", "unauthenticated", 1008)


def test_a_cookie_counts_no_longer_than_what_it_was_made_from(server: LockedServer) -> None:
    key_id, key = server.key(read=("session:*",))
    server.publish("mine", 1)
    cookie = server.cookie(key)
    waiting = server.as_(key, "POST", "/api/v1/auth/tickets").json()["ticket"]
    assert server.http.get("/api/sessions/mine/events", headers=cookie).status_code == 200
    assert server.http.post("/api/v1/auth/tickets", headers=cookie).status_code == 403  # no further ones
    assert server.elsewhere.keys.change(key_id, Grants(("session:other",)))
    assert server.http.get("/api/sessions/mine/events", headers=cookie).status_code == 403
    assert server.elsewhere.keys.revoke(key_id)
    assert server.http.get("/api/v1/auth/me", headers=cookie).status_code == 401
    assert server.http.get("/api/v1/auth/me", params={"ticket": waiting}).status_code == 401


def test_a_configured_key_that_was_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    with LockedServer(tmp_path) as server:
        cookie = server.cookie(MASTER)
    settings = Settings(log=str(tmp_path / "log.db"), api_keys=("another-key",))
    store = AuthStore(auth_file(tmp_path / "log.db"))
    after = make_authenticator(settings, store)
    with pytest.raises(Unauthenticated):
        after.by_cookie(cookie["Cookie"].partition("=")[2])
    store.close()


def test_lists_tell_of_nothing_by_where_they_go_on(server: LockedServer) -> None:
    for session in ("a-secret", "b-mine", "c-secret", "d-mine", "e-secret"):
        server.publish(session, 1)
    _, key = server.key(read=("session:b-mine", "session:d-mine"))
    for path in ("/api/v1/streams", "/api/sessions?order=name", "/api/sessions"):
        for limit in (1, 2, 3):
            separator = "&" if "?" in path else "?"
            said = server.as_(key, "GET", f"{path}{separator}limit={limit}")
            assert "secret" not in said.text
            (found,) = (value for name, value in said.json().items() if name in {"streams", "sessions"})
            assert len(found) == min(limit, 2)
    nothing = server.token()
    for path in ("/api/v1/streams", "/api/sessions"):
        assert server.as_(nothing, "GET", path).status_code == 403
    assert "log" not in server.as_(nothing, "GET", "/api/status").json()


def test_odd_tokens_are_refused_in_words(server: LockedServer) -> None:
    nested = base64.urlsafe_b64encode(b'{"alg":"HS256","x":' + b"[" * 2_500 + b"]" * 2_500 + b"}").decode()
    for odd in (f"{nested}.e30.e30", "ä.b.c", "." * 2, "e30" * 3_000 + ".a.b"):
        answer = server.http.get("/health", params={"token": odd})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
