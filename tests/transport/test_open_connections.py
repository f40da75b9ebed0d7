"""What reaches connections that are open: expiry, revocation, other grants; on the fast and on the portable path."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.support.clients import RawClient
from tests.support.locked import LockedServer
from tests.support.server import wait_until

from runcast.auth.grants import Grants


@pytest.fixture
def server(tmp_path: Path, protocol: str) -> Generator[LockedServer]:
    with LockedServer(tmp_path, protocol=protocol) as server:
        yield server


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


def test_a_socket_that_says_nothing_is_closed(tmp_path: Path, protocol: str) -> None:
    with (
        LockedServer(tmp_path, protocol=protocol, unauthenticated_s=0.05) as server,
        RawClient(server.session("mine")) as ws,
    ):
        (error,) = ws.messages()
        assert (error["code"], ws.close_code) == ("unauthenticated", 1008)


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


def test_connections_of_one_principal_are_limited(tmp_path: Path, protocol: str) -> None:
    with LockedServer(tmp_path, protocol=protocol, max_connections_per_principal=1) as server:
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


def test_those_who_have_yet_to_say_who_they_are_are_few(tmp_path: Path, protocol: str) -> None:
    with (
        LockedServer(tmp_path, protocol=protocol, max_unauthenticated=1) as server,
        RawClient(server.session("a")),
        RawClient(server.session("a"), headers=at("192.0.2.1")) as ws,
    ):
        (error,) = ws.messages()
        assert (error["code"], ws.close_code) == ("too_many", 1008)
        assert "clients of this server" in error["message"]


def test_of_one_address_they_are_fewer_still(tmp_path: Path, protocol: str) -> None:
    first, same_network, other_network = "2001:db8::1", "2001:db8::2:3", "2001:db8:0:1::1"
    with LockedServer(tmp_path, protocol=protocol, max_unauthenticated_per_address=1) as server:
        _, key = server.key(read=("session:*",))
        waiting = [RawClient(server.session("a"), headers=at(one)) for one in (first, other_network)]
        with RawClient(server.session("a"), headers=at(same_network)) as ws:
            (error,) = ws.messages()
        assert (error["code"], ws.close_code) == ("too_many", 1008)
        assert "1 clients at your address" in error["message"]
        with RawClient(server.session("a", api_key=key), headers=at(first)) as known:
            known.send_text('{"type": "ping"}')
            assert next(known.messages())["type"] == "pong"
        waiting[0].send_text(json.dumps({"type": "auth", "token": key}))
        wait_until(lambda: server.bus.live_statistics().connections == 1, "it has said who it is")
        with RawClient(server.session("a"), headers=at(same_network)) as ws:
            ws.send_text(json.dumps({"type": "auth", "token": key}))
            ws.send_text('{"type": "ping"}')
            assert next(ws.messages())["type"] == "pong"
        for one in waiting:
            one.socket.close()


def test_a_renewal_at_the_limit_is_no_connection_more(tmp_path: Path, protocol: str) -> None:
    with LockedServer(tmp_path, protocol=protocol, max_connections_per_principal=1) as server:
        with RawClient(
            server.session("mine", token=server.token("session:mine", credential="token:1"))
        ) as ws:
            messages = ws.messages()
            for number in range(2, 5):
                fresh = server.token("session:mine", credential=f"token:{number}")
                ws.send_text(json.dumps({"type": "auth", "token": fresh}))
                assert next(messages)["type"] == "authenticated"
            with RawClient(server.session("mine", token=server.token("session:mine"))) as second:
                (error,) = second.messages()
                assert (error["code"], second.close_code) == ("too_many", 1008)
            server.elsewhere.revocations.revoke("token:3")  # of one that it rests on no longer
            ws.send_text('{"type": "ping"}')
            assert next(messages)["type"] == "pong"
        wait_until(lambda: server.bus.live_statistics().connections == 0)
        with RawClient(server.session("mine", token=server.token("session:mine"))) as again:
            again.send_text('{"type": "ping"}')
            assert next(again.messages())["type"] == "pong"


def at(address: str) -> dict[str, str]:
    """What a proxy on this machine says of where a client is."""
    return {"X-Forwarded-For": address}
