"""Who may do what on a locked server, over every route there is, and what reaches connections that are open."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route, WebSocketRoute
from tests.support.clients import RawClient
from tests.support.server import ThreadServer, flat, wait_until

from runcast.app import create_app
from runcast.auth.authenticator import Authenticator
from runcast.auth.grants import Grants
from runcast.auth.principal import Principal
from runcast.auth.setup import make_authenticator
from runcast.auth.store import AuthStore
from runcast.config import Settings
from runcast.errors import Unauthenticated
from runcast.log.place import auth_file
from runcast.transport.permission import permission_of

MASTER = "the-master-key-of-the-tests"
SECRET = "a secret of more than 32 bytes for tests"


class LockedServer(ThreadServer):
    """A server that asks everybody, with what tests need to make credentials from outside, as another process."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        log = folder / "log.db"
        super().__init__(log, api_keys=(MASTER,), jwt_secret=SECRET, **settings)
        self.store = AuthStore(auth_file(log))
        self.elsewhere: Authenticator = make_authenticator(self.bus.settings, self.store)

    def key(self, read: tuple[str, ...] = (), write: tuple[str, ...] = ()) -> tuple[str, str]:
        """The id and the text of a new key."""
        key, text = self.elsewhere.keys.create("test", Grants(read, write))
        return key.id, text

    def token(self, *read: str, lifetime_s: float = 60.0, credential: str = "token:1") -> str:
        principal = Principal(sub="ann", via="token", credential=credential, grants=Grants(read))
        return self.elsewhere.tokens.make(principal, lifetime_s)

    def as_(self, secret: str, method: str, path: str, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        return self.http.request(method, path, headers=headers, **more)

    def publish(self, session: str, *numbers: int) -> None:
        answer = self.as_(
            MASTER, "POST", f"/api/sessions/{session}/events", json=[flat(number) for number in numbers]
        )
        assert answer.status_code == 200, answer.text


@pytest.fixture
def server(tmp_path: Path) -> Generator[LockedServer]:
    with LockedServer(tmp_path) as server:
        yield server
    server.store.close()


# --- every route -------------------------------------------------------------------------------

PUBLIC = {"/", "/favicon.ico", "/static/{path:path}", "/examples/{path:path}", "/health", "/openapi.json"}
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
        path = (
            route.path.replace("{stream}", "session:s").replace("{session_id}", "s").replace("{key_id}", "k")
        )
        for method in route.methods or ():
            answer = server.as_("", method, path, **({"json": {}} if method in {"POST", "PATCH"} else {}))
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


def cookie_of(server: LockedServer, secret: str) -> dict[str, str]:
    ticket = server.as_(secret, "POST", "/api/v1/auth/tickets").json()["ticket"]
    answer = server.http.get("/api/v1/auth/me", params={"ticket": ticket})
    cookie = answer.headers["set-cookie"].partition(";")[0]
    server.http.cookies.clear()
    return {"Cookie": cookie}


def test_a_cookie_counts_no_longer_than_what_it_was_made_from(server: LockedServer) -> None:
    key_id, key = server.key(read=("session:*",))
    server.publish("mine", 1)
    cookie = cookie_of(server, key)
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
        cookie = cookie_of(server, MASTER)
        server.store.close()
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


def test_a_login_ends_as_a_whole(server: LockedServer) -> None:
    session = server.http.post("/api/v1/auth/register", json=PERSON).json()
    again = server.http.post("/api/v1/auth/refresh", json={"refresh_token": session["refresh_token"]}).json()
    assert server.as_(again["access_token"], "POST", "/api/v1/auth/logout").status_code == 200
    for token in (session["access_token"], again["access_token"]):
        assert server.as_(token, "GET", "/api/v1/auth/me").status_code == 401
    refresh = {"refresh_token": again["refresh_token"]}
    assert server.http.post("/api/v1/auth/refresh", json=refresh).status_code == 401
    body = {key: PERSON[key] for key in ("email", "password")}
    other = server.http.post("/api/v1/auth/login", json=body).json()
    assert server.elsewhere.users.disable(other["user"]["id"])
    assert server.as_(other["access_token"], "GET", "/api/v1/auth/me").status_code == 401
    assert server.as_(MASTER, "POST", "/api/v1/auth/logout").status_code == 400  # keys are revoked


def test_odd_tokens_are_refused_in_words(server: LockedServer) -> None:
    nested = base64.urlsafe_b64encode(b'{"alg":"HS256","x":' + b"[" * 2_500 + b"]" * 2_500 + b"}").decode()
    for odd in (f"{nested}.e30.e30", "ä.b.c", "." * 2, "e30" * 3_000 + ".a.b"):
        answer = server.http.get("/health", params={"token": odd})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_one_that_cannot_be_looked_at_keeps_no_other_connection_open(server: LockedServer) -> None:
    one_id, one = server.key(read=("session:*",))
    other_id, other = server.key(read=("session:*",))
    with RawClient(server.session("a", api_key=one)), RawClient(server.session("a", api_key=other)) as ws:
        wait_until(lambda: server.bus.live_statistics().connections == 2)
        with server.store.transaction() as connection:
            connection.execute("UPDATE keys SET grants = 'garbage' WHERE id = ?", (one_id,))
        assert server.elsewhere.keys.revoke(other_id)
        (error,) = ws.messages()
        assert (error["code"], ws.close_code) == ("unauthenticated", 1008)
    server.errors.forgive()


def test_those_who_have_yet_to_say_who_they_are_are_few(tmp_path: Path) -> None:
    with (
        LockedServer(tmp_path, max_unauthenticated=1) as server,
        RawClient(server.session("a")),
        RawClient(server.session("a")) as ws,
    ):
        (error,) = ws.messages()
        assert (error["code"], ws.close_code) == ("too_many", 1008)
    server.store.close()


# --- WebSockets and SSE ------------------------------------------------------------------------


def test_a_socket_identifies_itself_in_its_first_message(server: LockedServer) -> None:
    server.publish("mine", 1)
    _, key = server.key(read=("session:mine",))
    with RawClient(server.session("mine", after="start")) as ws:
        ws.send_text(json.dumps({"type": "auth", "token": key}))
        assert next(ws.messages())["events"][0]["event_id"] == "e1"
    with RawClient(server.session("other", after="start")) as ws:
        ws.send_text(json.dumps({"type": "auth", "token": key}))
        assert next(ws.messages())["code"] == "forbidden"
    with RawClient(server.session("mine")) as ws:
        ws.send_text('{"type": "ping"}')
        assert next(ws.messages())["code"] == "unauthenticated"


def test_a_socket_that_says_nothing_is_closed(tmp_path: Path) -> None:
    with LockedServer(tmp_path, unauthenticated_s=0.05) as server, RawClient(server.session("mine")) as ws:
        (error,) = ws.messages()
        assert (error["code"], ws.close_code) == ("unauthenticated", 1008)
    server.store.close()


def test_a_firehose_socket_shows_what_may_be_read(server: LockedServer) -> None:
    _, key = server.key(read=("session:mine",))
    with RawClient(server.ws("/ws/events", api_key=key, after="start")) as ws:
        server.publish("other", 1)
        server.publish("mine", 2)
        (event,) = next(ws.messages())["events"]
        assert event["event_id"] == "e2"


def test_a_revoked_key_ends_what_it_has_open(server: LockedServer) -> None:
    key_id, key = server.key(read=("session:*",))
    with RawClient(server.session("mine", api_key=key)) as ws:
        wait_until(lambda: server.bus.live_statistics().connections == 1)
        began = time.monotonic()
        assert server.elsewhere.keys.revoke(key_id)  # by another process
        (error,) = ws.messages()
        assert (error["code"], ws.close_code) == ("unauthenticated", 1008)
        assert time.monotonic() - began < 5
    assert server.as_(key, "GET", "/api/sessions").status_code == 401


def test_grants_that_change_reach_an_open_firehose(server: LockedServer) -> None:
    key_id, key = server.key(read=("session:*",))
    with RawClient(server.ws("/ws/events", api_key=key)) as ws:
        wait_until(lambda: server.bus.live_statistics().connections == 1)
        assert server.elsewhere.keys.change(key_id, Grants(("session:mine",)))
        (error,) = ws.messages()
        assert (error["code"], ws.close_code) == ("restarting", 1012)  # come back, and see what you may
    with RawClient(server.ws("/ws/events", api_key=key)) as ws:
        wait_until(lambda: server.bus.live_statistics().connections == 1)
        assert server.elsewhere.keys.change(key_id, Grants(("task:*",)))
        (error,) = ws.messages()
        assert (error["code"], ws.close_code) == ("forbidden", 1008)


def test_a_token_that_expires_ends_the_connection_unless_it_is_renewed(server: LockedServer) -> None:
    brief = server.token("session:mine", lifetime_s=2)
    with (
        RawClient(server.session("mine", token=brief)) as dying,
        RawClient(server.session("mine", token=brief)) as living,
    ):
        living.send_text(json.dumps({"type": "auth", "token": server.token("session:mine")}))
        messages = living.messages()
        renewed = next(messages)
        assert (renewed["type"], renewed["sub"], renewed["count"]) == ("authenticated", "ann", 0)
        (error,) = dying.messages()
        assert (error["code"], dying.close_code) == ("unauthenticated", 1008)
        server.publish("mine", 1)
        assert next(messages)["events"][0]["event_id"] == "e1"


def test_sse_ends_with_its_key(server: LockedServer) -> None:
    key_id, key = server.key(read=("session:mine",))
    server.publish("mine", 1)
    path = "/api/v1/streams/session:mine/sse"
    assert server.as_(server.key(read=("task:*",))[1], "GET", path).status_code == 403
    with server.http.stream("GET", path, params={"api_key": key}) as answer:
        chunks = answer.iter_raw()
        next(chunks)
        assert server.elsewhere.keys.revoke(key_id)
        list(chunks)  # it ends
    assert server.http.get(path, params={"api_key": key}).status_code == 401


def test_connections_of_one_principal_are_limited(tmp_path: Path) -> None:
    with LockedServer(tmp_path, max_connections_per_principal=1) as server:
        _, key = server.key(read=("session:*",))
        with RawClient(server.session("a", api_key=key)):
            wait_until(lambda: server.bus.live_statistics().connections == 1)
            with RawClient(server.session("b", api_key=key)) as ws:
                (error,) = ws.messages()
                assert error["code"] == "too_many"
        wait_until(lambda: server.bus.live_statistics().connections == 0)
        with RawClient(server.session("a", api_key=key)) as ws:
            ws.send_text('{"type": "ping"}')
            assert next(ws.messages())["type"] == "pong"
    server.store.close()


# --- people and keys ---------------------------------------------------------------------------

PERSON = {"email": "ann@example.org", "password": "correct horse battery", "name": "Ann"}


def test_registering_logging_in_and_refreshing(server: LockedServer) -> None:
    registered = server.http.post("/api/v1/auth/register", json=PERSON)
    assert registered.status_code == 201
    login = server.http.post("/api/v1/auth/login", json={key: PERSON[key] for key in ("email", "password")})
    session = login.json()
    assert session["user"]["name"] == "Ann"
    me = server.as_(session["access_token"], "GET", "/api/v1/auth/me").json()
    assert (me["email"], me["grants"]) == ("ann@example.org", {"read": [], "write": [], "admin": False})
    refreshed = server.http.post("/api/v1/auth/refresh", json={"refresh_token": session["refresh_token"]})
    assert refreshed.status_code == 200
    again = server.http.post("/api/v1/auth/refresh", json={"refresh_token": session["refresh_token"]})
    assert again.status_code == 401
    stolen = refreshed.json()["access_token"]  # one of the two who have shown it is a thief
    assert server.as_(stolen, "GET", "/api/v1/auth/me").status_code == 401


def test_attempts_are_limited(tmp_path: Path) -> None:
    with LockedServer(tmp_path, login_rate=2) as server:
        body = {"email": "a@b", "password": "wrong password"}
        said = [server.http.post("/api/v1/auth/login", json=body).status_code for _ in range(3)]
        assert said == [401, 401, 429]
    server.store.close()


def test_nobody_registers_where_that_is_off(tmp_path: Path) -> None:
    with LockedServer(tmp_path, registration=False) as server:
        answer = server.http.post("/api/v1/auth/register", json=PERSON)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    server.store.close()


def test_keys_are_managed_by_administrators(server: LockedServer) -> None:
    wanted = {"name": "ci", "grants": {"write": ["session:*"]}, "expires_in_s": 3600}
    made = server.as_(MASTER, "POST", "/api/v1/keys", json=wanted)
    assert made.status_code == 201
    key = made.json()
    assert server.as_(key["key"], "GET", "/api/v1/auth/me").json()["name"] == "ci"
    assert server.as_(key["key"], "GET", "/api/v1/keys").status_code == 403
    (listed,) = server.as_(MASTER, "GET", "/api/v1/keys").json()["keys"]
    assert "key" not in listed
    other = {"grants": {"read": ["*"]}}
    assert server.as_(MASTER, "PATCH", f"/api/v1/keys/{key['id']}", json=other).status_code == 200
    assert server.as_(MASTER, "DELETE", f"/api/v1/keys/{key['id']}").status_code == 200
    assert server.as_(MASTER, "DELETE", f"/api/v1/keys/{key['id']}").json()["code"] == "key_not_found"
    assert server.as_(key["key"], "GET", "/api/v1/auth/me").status_code == 401


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        (b'{"name": "x"}', "grants"),
        (b'{"name": "x", "grants": {"read": ["x"]}}', "grants.read"),
        (b'{"name": "", "grants": {}}', "name"),
        (b'{"name": "x", "grants": {}, "expires_in_s": -1}', "expires"),
    ],
)
def test_a_key_that_cannot_be_is_refused_in_words(server: LockedServer, body: bytes, word: str) -> None:
    headers = {"Authorization": f"Bearer {MASTER}", "Content-Type": "application/json"}
    answer = server.http.post("/api/v1/keys", content=body, headers=headers)
    assert answer.status_code == 400
    assert word in answer.json()["detail"]
