"""What one server process revokes or changes ends what another one, on the same log, has open."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Generator
from typing import Any

import pytest
from tests.support.clients import RawClient, open_sse
from tests.support.process import ServeProcess, free_port
from tests.support.server import flat

KEY = "the-administrators-key"
ENV = {"RUNCAST_API_KEYS": KEY, "RUNCAST_JWT_SECRET": "a secret of more than 32 bytes for tests"}
ADMIN = {"Authorization": f"Bearer {KEY}"}
WITHIN_S = 5.0

Act = Callable[[ServeProcess, str], Any]


def revoke(server: ServeProcess, key_id: str) -> Any:
    return server.http.delete(f"/api/v1/keys/{key_id}", headers=ADMIN)


def narrow(server: ServeProcess, key_id: str) -> Any:
    body = {"grants": {"read": ["session:mine"]}}
    return server.http.patch(f"/api/v1/keys/{key_id}", headers=ADMIN, json=body)


def take_away(server: ServeProcess, key_id: str) -> Any:
    body = {"grants": {"read": ["task:*"]}}
    return server.http.patch(f"/api/v1/keys/{key_id}", headers=ADMIN, json=body)


@pytest.fixture(scope="module", params=["fast", "portable"])
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[tuple[ServeProcess, ServeProcess]]:
    """One that is asked, and another one, which has the clients; it may be any ASGI server."""
    log, port = tmp_path_factory.mktemp("log") / "log.db", free_port()
    plain = [sys.executable, "-m", "uvicorn", "runcast.app:create_app", "--factory", "--port", str(port)]
    other = (
        ServeProcess(log, env=ENV)
        if request.param == "fast"
        else ServeProcess(
            log,
            port=port,
            command=[*plain, "--ws", "websockets-sansio", "--log-level", "warning"],
            env={**ENV, "RUNCAST_LOG": str(log)},
        )
    )
    with ServeProcess(log, env=ENV) as one, other:
        yield one, other


def make_key(server: ServeProcess, *read: str) -> tuple[str, str]:
    body = {"name": "reader", "grants": {"read": list(read)}}
    key = server.http.post("/api/v1/keys", headers=ADMIN, json=body).json()
    return key["id"], key["key"]


def publish(server: ServeProcess, session: str) -> None:
    path = f"/api/sessions/{session}/events"
    assert server.http.post(path, headers=ADMIN, json=[flat(1)]).status_code == 200


@pytest.mark.parametrize(
    ("act", "code", "close_code"),
    [(revoke, "unauthenticated", 1008), (narrow, "restarting", 1012), (take_away, "forbidden", 1008)],
)
def test_a_firehose_of_another_process_ends(
    servers: tuple[ServeProcess, ServeProcess], act: Act, code: str, close_code: int
) -> None:
    one, other = servers
    key_id, key = make_key(one, "session:*")
    with RawClient(other.ws("/ws/events", api_key=key)) as ws:
        messages = ws.messages()
        publish(one, f"before-{code}")
        assert next(messages)["events"][0]["session_id"] == f"before-{code}"  # it is open, and live
        began_s = time.monotonic()
        assert act(one, key_id).status_code == 200
        (error,) = messages
        assert time.monotonic() - began_s < WITHIN_S
        assert (error["type"], error["code"], ws.close_code) == ("error", code, close_code)
    with RawClient(other.ws("/ws/events", api_key=key, after="start")) as again:
        if act is narrow:
            publish(one, "mine")
            (event,) = next(again.messages())["events"]
            assert event["session_id"] == "mine"
        else:
            (error,) = again.messages()
            assert (error["code"], again.close_code) == (code, 1008)


def test_a_revoked_token_ends_what_was_opened_by_its_cookie(
    servers: tuple[ServeProcess, ServeProcess],
) -> None:
    one, other = servers
    key_id, key = make_key(one, "session:*")
    bearer = {"Authorization": f"Bearer {key}"}
    ticket = one.http.post("/api/v1/auth/tickets", headers=bearer).json()["ticket"]
    answer = other.http.get("/api/v1/auth/me", params={"ticket": ticket})
    cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    other.http.cookies.clear()
    with RawClient(other.ws("/ws/events"), headers=cookie) as ws:
        ws.send_text('{"type": "ping"}')
        messages = ws.messages()
        assert next(messages)["type"] == "pong"
        began_s = time.monotonic()
        assert revoke(one, key_id).status_code == 200
        (error,) = messages
        assert time.monotonic() - began_s < WITHIN_S
        assert (error["code"], ws.close_code) == ("unauthenticated", 1008)


def test_server_sent_events_of_another_process_end(servers: tuple[ServeProcess, ServeProcess]) -> None:
    one, other = servers
    key_id, key = make_key(one, "session:*")
    publish(one, "sse")
    with open_sse(other.url("/api/v1/firehose/sse", api_key=key)) as (answer, messages):
        assert answer.status_code == 200
        next(messages)
        began_s = time.monotonic()
        assert revoke(one, key_id).status_code == 200
        assert [message for message in messages if "data" in message] == []  # until it ends
        assert time.monotonic() - began_s < WITHIN_S
    assert other.http.get("/api/v1/firehose/sse", params={"api_key": key}).status_code == 401


def test_who_says_it_in_the_first_message_is_held_alike(servers: tuple[ServeProcess, ServeProcess]) -> None:
    one, other = servers
    key_id, key = make_key(one, "session:*")
    with RawClient(other.ws("/ws/events")) as ws:
        ws.send_text(json.dumps({"type": "auth", "token": key}))
        ws.send_text('{"type": "ping"}')
        messages = ws.messages()
        assert next(messages)["type"] == "pong"
        assert revoke(one, key_id).status_code == 200
        (error,) = messages
        assert (error["code"], ws.close_code) == ("unauthenticated", 1008)
