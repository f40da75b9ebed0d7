"""What a request may be, and how long it may take; each limit is reached here."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from contextlib import ExitStack
from typing import Any

import pytest
from tests.abuse.raw import HOST, NDJSON, connection, read_all, say, told
from tests.support.clients import RawClient, open_sse, open_ws, receive
from tests.support.fixtures import MakeServer
from tests.support.server import AppServer, ThreadServer, flat, wait_until
from tests.support.wire import CLOSE, CONT, PING, PONG, TEXT, Wire, frame

from runcast.transport import uvicorn_http
from runcast.transport.uvicorn_http import unsupported

PROTOCOL = "BoundedHttpToolsProtocol"
GET = f"GET /health HTTP/1.1\r\n{HOST}\r\n".encode()
POST = f"POST /api/sessions/a/events HTTP/1.1\r\n{HOST}{NDJSON}".encode()
EVENT = b'{"event_type": "a"}\n'


@pytest.fixture(scope="module")
def protocol() -> str:
    return "fast"


def test_a_head_that_is_late_is_answered_by_408(make_server: MakeServer) -> None:
    server = make_server(request_head_timeout_s=0.1)
    assert say(server, b"GET / HTTP/1.1\r\nHost: local") == "408 too_slow"
    assert 'runcast_refusals_total{code="too_slow"} 1.0' in server.http.get("/metrics").text


def test_a_connection_on_which_nothing_is_asked_is_closed(make_server: MakeServer) -> None:
    server = make_server(request_head_timeout_s=0.1)
    assert say(server) == "closed"
    assert say(server, b"\r\n\r\n") == "closed"


def test_a_second_head_has_its_own_deadline(make_server: MakeServer) -> None:
    server = make_server(request_head_timeout_s=0.2)
    with connection(server) as client:
        client.sendall(GET + b"GET /heal")
        answers = read_all(client).decode()
    assert re.findall(r"HTTP/1\.1 (\d+)", answers) == ["200", "408"]


def test_an_answer_that_takes_longer_than_a_head_may_is_not_cut_off(
    make_server: MakeServer, session: str
) -> None:
    server = make_server(request_head_timeout_s=0.1)
    with open_sse(server.url(f"/api/v1/streams/session:{session}/sse")) as (_, messages):
        assert next(messages)["comment"] == ""
        assert say(server) == "closed"  # the time is over for one that says nothing
        server.post(session, flat(0))
        assert next(messages).json["id"] == "e0"


def test_a_body_that_makes_no_progress_is_answered_by_408_and_stores_nothing(
    make_server: MakeServer, session: str
) -> None:
    server = make_server(request_body_timeout_s=0.2)
    head = POST.replace(b"/a/", f"/{session}/".encode())
    assert say(server, head + b"Content-Length: 1000\r\n\r\n" + EVENT) == "408 too_slow"
    assert server.http.get(f"/api/sessions/{session}").status_code == 404


def test_a_body_that_goes_on_is_waited_for(make_server: MakeServer, session: str) -> None:
    server = make_server(request_body_timeout_s=0.1)
    steps = 4
    step = EVENT.rstrip() + b" " * (uvicorn_http.BODY_STEP_BYTES - len(EVENT)) + b"\n"
    head = POST.replace(b"/a/", f"/{session}/".encode())
    with connection(server) as client:
        client.sendall(head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % (steps * len(step)))
        (there,) = wait_until(lambda: server.connections(PROTOCOL))
        for _ in range(steps):
            deadline = there._deadline.at_s
            client.sendall(step)
            wait_until(
                lambda seen=deadline, there=there: there._deadline.at_s != seen, "its deadline moves on"
            )
        assert told(read_all(client)) == "200"


@pytest.mark.parametrize(
    ("head", "answer"),
    [
        (b"GET /" + b"a" * 1_000 + b" HTTP/1.1\r\n" + HOST.encode(), "414 too_large"),
        (b"GET / HTTP/1.1\r\n" + HOST.encode() + b"A: " + b"a" * 1_000 + b"\r\n", "431 too_large"),
        (b"GET / HTTP/1.1\r\n" + HOST.encode() + b"a: b\r\n" * 10, "431 too_large"),
        (b"GET /health HTTP/1.1\r\nConnection: close\r\n" + HOST.encode() + b"a: b\r\n" * 8, "200"),
        (b"GET /\x80 HTTP/1.1\r\n" + HOST.encode(), "400 bad_request"),
    ],
    ids=["address", "bytes", "count", "just enough", "garbage"],
)
def test_a_head_has_its_limits(make_server: MakeServer, head: bytes, answer: str) -> None:
    server = make_server(request_head_max_bytes=500, request_max_headers=10)
    assert say(server, head + b"\r\n") == answer


def test_of_too_many_idle_connections_the_longest_idle_is_closed(make_server: MakeServer) -> None:
    server = make_server(max_idle_connections=3)
    with ExitStack() as stack:
        clients: list[socket.socket] = []
        for most in (1, 2, 3, 3, 3, 3):
            clients.append(stack.enter_context(connection(server)))
            wait_until(lambda most=most: len(server.connections(PROTOCOL)) == most)
        assert [told(read_all(client)) for client in clients[:3]] == ["closed"] * 3
        clients[3].sendall(GET)
        assert clients[3].recv(100).startswith(b"HTTP/1.1 200")
    assert 'code="idle"' in server.http.get("/metrics").text


def test_requests_in_one_piece_are_all_answered_in_order(make_server: MakeServer, session: str) -> None:
    server = make_server()
    count = 3_000
    bodies = [b'{"event_type": "a", "event_id": "e%d"}' % number for number in range(count)]
    head = POST.replace(b"/a/", f"/{session}/".encode())
    requests = [head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body) for body in bodies]
    with connection(server) as client:
        client.sendall(b"".join(requests) + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answers = read_all(client)
    assert re.findall(rb'"first_seq":(\d+)', answers) == [b"%d" % number for number in range(1, count + 1)]
    assert answers.endswith(b'{"status":"ok"}')


def test_garbage_behind_a_request_is_refused_after_the_answer(make_server: MakeServer) -> None:
    server = make_server()
    with connection(server) as client:
        client.sendall(GET + b"\x00\x01garbage\r\n\r\n")
        answers = read_all(client).decode()
    assert re.findall(r"HTTP/1\.1 (\d+)", answers) == ["200", "400"]


def test_a_refused_body_does_not_cost_the_next_request(make_server: MakeServer) -> None:
    server = make_server(request_max_bytes=1_000)
    with connection(server) as client:
        client.sendall(POST + b"Content-Length: 1500\r\n\r\n" + b" " * 1_500 + GET)
        answers = b""
        while b'{"status":"ok"}' not in answers:
            answers += client.recv(65_536)
    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"413", b"200"]


def test_a_body_that_the_app_does_not_ask_for_is_not_kept() -> None:
    going_on = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await asyncio.to_thread(going_on.wait)
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

    with AppServer(app) as server, connection(server) as client:
        client.settimeout(0.5)
        client.sendall(POST + b"Content-Length: 100000000\r\n\r\n")
        with pytest.raises(TimeoutError):
            client.sendall(b"x" * 100_000_000)
        (there,) = server.connections(PROTOCOL)
        assert len(there.cycle.body) < 1_000_000
        going_on.set()
        assert client.recv(100).startswith(b"HTTP/1.1 204")


def test_a_uvicorn_without_what_is_needed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert unsupported() == ""
    monkeypatch.setattr(uvicorn_http, "_NEEDED", frozenset({"parser", "no_such_thing", "another"}))
    assert unsupported() == "another, no_such_thing"


@pytest.mark.parametrize(
    "request_line", [b"POST /ws/events/a HTTP/1.1", b"GET /ws/events/a HTTP/1.0", b"GET /health HTTP/1.1"]
)
def test_a_handshake_that_is_none_is_answered(make_server: MakeServer, request_line: bytes) -> None:
    upgrade = f"\r\n{HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode()
    assert say(make_server(), request_line + upgrade).split()[0] in {"400", "403", "405"}


# WebSockets: what the fast path bounds before a feed sees it


def test_a_message_that_is_not_finished_in_time_ends_with_1008(make_server: MakeServer, session: str) -> None:
    server = make_server(ping_s=0.1, request_body_timeout_s=0.1)
    with RawClient(server.session(session)) as client:
        client.socket.sendall(frame(TEXT, b"begun", fin=False))
        (error,) = client.messages()
        assert (error["code"], client.close_code) == ("too_slow", 1008)


def test_half_a_frame_is_not_waited_for_either(make_server: MakeServer, session: str) -> None:
    server = make_server(ping_s=0.1, request_body_timeout_s=0.1)
    with RawClient(server.session(session)) as client:
        client.socket.sendall(frame(TEXT, b'{"type": "ping"}' * 100)[:50])
        assert [said["code"] for said in client.messages()] in (["too_slow"], [])
        assert client.close_code in {1008, 1011}  # too late by itself, or the pong that was due is lost in it


def test_a_slow_but_honest_message_is_read(make_server: MakeServer, session: str) -> None:
    server = make_server(ping_s=0.1)
    with RawClient(server.session(session)) as client:
        client.socket.sendall(frame(TEXT, b'{"type": ', fin=False))
        client.read_pings(2)
        client.socket.sendall(frame(CONT, b'"ping"}'))
        assert next(client.messages())["type"] == "pong"


@pytest.mark.parametrize("flood", [frame(PING), frame(PONG), frame(CONT, fin=False)])
def test_more_frames_than_allowed_end_with_1008(make_server: MakeServer, session: str, flood: bytes) -> None:
    server = make_server(inbound_frame_rate=10)
    first = frame(TEXT, b"begun", fin=False) if flood == frame(CONT, fin=False) else b""
    with open_ws(server.session(session)) as other, Wire(server.session(session)) as wire:
        wire.send(first, *[flood] * 30)
        *_, error, close = wire.rest()
        assert (close.opcode, close.code) == (CLOSE, 1008)
        assert b"More than 10 frames per second" in error.payload
        other.send('{"type": "ping"}')
        assert receive(other)["type"] == "pong"


def test_pongs_are_not_kept_for_a_client_that_does_not_read(make_server: MakeServer, session: str) -> None:
    server = make_server(inbound_frame_rate=1_000_000, send_buffer=4_096, client_buffer_bytes=10_000)
    with Wire(server.session(session), receive_buffer=4_096) as wire:
        (there,) = server.connections("FrameProtocol")
        for _ in range(20):
            wire.send(frame(PING, b"x" * 125) * 1_000)
        wire.send(frame(PING, b"the last"))
        wait_until(
            lambda: there._pong is not None and there._pong.endswith(b"the last"), "all pings are read"
        )
        assert server.call(there.transport.get_write_buffer_size) < 50_000
        while (received := wire.receive()) is not None and received.payload != b"the last":
            assert received.opcode == PONG


def test_a_message_may_be_told_to_be_too_large_by_its_first_bytes(server: ThreadServer, session: str) -> None:
    with Wire(server.session(session)) as wire:
        wire.send(frame(TEXT, claimed=1_000_000))
        error, close = wire.rest()
    assert b"too_large" in error.payload
    assert close.code == 1009
