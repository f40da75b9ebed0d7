"""A key that is revoked while the body of its request comes: nothing of that is stored."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Generator
from http.client import HTTPResponse
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.types import Message
from tests.support.locked import MASTER, LockedServer
from tests.support.server import WAIT_S, flat
from tests.support.virtual import run_virtual

from runcast.auth.grants import Grants
from runcast.transport import body
from runcast.transport.access import KEY, Access
from runcast.transport.body import RECHECK_AFTER_S, read_body

EVENT = json.dumps(flat(1)).encode()
PATHS = ["/api/sessions/s/events", "/api/v1/streams/session:s/events", "/ingest/claude-code", "/v1/logs"]
BODIES = {
    PATHS[0]: EVENT,
    PATHS[1]: b'{"type": "a"}',
    PATHS[2]: b'{"session_id": "s", "hook_event_name": "Stop"}',
    PATHS[3]: b'{"resourceLogs": []}',
}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[LockedServer]:
    monkeypatch.setattr(body, "RECHECK_AFTER_S", 0.0)  # each body is a slow one: a test need not wait
    with LockedServer(tmp_path) as server:
        yield server


def post_slowly(
    server: LockedServer, path: str, secret: str, meanwhile: Callable[[], object], parts: list[bytes]
) -> tuple[int, str]:
    """Publish; do something once the server has let the request in, and send the body only then."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(b''.join(parts))}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), WAIT_S) as client:
        client.sendall(head.encode())
        assert client.recv(1_024).startswith(b"HTTP/1.1 100")  # it waits for the body
        meanwhile()
        for part in parts:
            client.sendall(part)
        response = HTTPResponse(client)
        response.begin()
        return response.status, response.read().decode()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cut", [0, 5], ids=["at once", "in parts"])
def test_a_key_that_is_revoked_meanwhile_stores_nothing(server: LockedServer, path: str, cut: int) -> None:
    key_id, key = server.key(read=("*",), write=("*",))
    parts = [BODIES[path][:cut], BODIES[path][cut:]]
    status, told = post_slowly(server, path, key, lambda: server.elsewhere.keys.revoke(key_id), parts)
    assert status == 401
    assert "revoked" in told
    assert server.as_(MASTER, "GET", "/api/v1/streams").json()["streams"] == []


def test_grants_that_change_meanwhile_are_those_that_count(server: LockedServer) -> None:
    key_id, key = server.key(write=("*",))
    less = Grants(write=("session:other",))
    status, told = post_slowly(
        server, PATHS[0], key, lambda: server.elsewhere.keys.change(key_id, less), [EVENT]
    )
    assert (status, json.loads(told)["code"]) == (503, "restarting")
    assert "send it again" in told
    assert server.as_(key, "POST", PATHS[0], json=flat(1)).status_code == 403
    assert server.as_(MASTER, "GET", "/api/v1/streams").json()["streams"] == []


def test_what_counts_still_is_stored(server: LockedServer) -> None:
    _, key = server.key(write=("*",))
    status, _ = post_slowly(server, PATHS[0], key, lambda: None, [EVENT[:5], EVENT[5:]])
    assert status == 200


class Watched(Access):
    """Counts how often is looked once more."""

    __slots__ = ("looks",)

    def __init__(self) -> None:
        super().__init__(None)
        self.looks = 0

    async def recheck(self) -> None:
        self.looks += 1


@pytest.mark.parametrize(
    ("pauses_s", "looks"),
    [
        ([0.0], 0),
        ([0.0, 0.0, 0.0], 0),
        ([RECHECK_AFTER_S], 1),
        ([0.0, RECHECK_AFTER_S / 2] * 2, 1),
        ([30.0], 1),
    ],
)
def test_only_a_body_that_takes_its_time_costs_a_second_look(pauses_s: list[float], looks: int) -> None:
    access = Watched()

    async def read() -> bytes:
        rest = list(pauses_s)

        async def receive() -> Message:
            await asyncio.sleep(rest.pop(0))
            return {"type": "http.request", "body": b"x", "more_body": bool(rest)}

        scope = {"type": "http", "method": "POST", "headers": [], KEY: access}
        return await read_body(Request(scope, receive), 1_000)

    assert run_virtual(read()) == b"x" * len(pauses_s)
    assert access.looks == looks
