"""Whatever is sent to a real server: its answer is a documented one, and it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.abuse.raw import connection, read_all, told
from tests.fuzz.test_pure import FILTER_KEYS, bodies
from tests.support.clients import ids_of, open_ws, ping_pong, receive, take
from tests.support.server import ThreadServer, flat
from tests.support.strategies import texts
from tests.support.wire import CLOSE, TEXT, Wire, frame
from websockets.exceptions import ConnectionClosed

FUZZ = settings(max_examples=60, deadline=None)
REFUSALS = {400, 403, 404, 405, 408, 411, 413, 414, 415, 417, 431}
CLOSE_CODES = {1000, 1002, 1007, 1008, 1009}
PARAMETERS = [
    "after",
    "before",
    "at",
    "limit",
    "filter",
    "kind",
    "order",
    "codec",
    "batch_size",
    "poll_interval",
]
READS = [
    "/api/v1/streams",
    "/api/v1/streams/session:s",
    "/api/v1/streams/session:s/events",
    "/api/v1/firehose/events",
    "/api/sessions",
    "/api/sessions/s",
    "/api/sessions/s/events",
    "/api/sessions/s/bottlenecks",
    "/api/events",
]
WRITES = [
    "/api/v1/streams/session:fuzz/events",
    "/api/v1/streams/task:fuzz/events",
    "/api/sessions/fuzz/events",
    "/ingest/claude-code",
    "/v1/logs",
    "/v1/traces",
    "/v1/metrics",
]
PIECES = [
    *(b" ", b"\r\n", b"\n", b"\r\n\r\n", b"abc", b"0", b"-1", b"http://x/", b"HTTP/2.0", b"GET"),
    *(
        b"GET / HTTP/1.1",
        b"POST /api/sessions/s/events HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"CONNECT a:1 HTTP/1.1",
    ),
    *(b"Host: localhost", b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Expect: 100-continue"),
    *(b"Connection: close", b"Connection: upgrade", b"Upgrade: websocket", b"Content-Type: application/json"),
]
values = (
    texts | st.text(max_size=20) | st.sampled_from(["now", "start", "0", "1", "-1", "2026-01-01", "{}", "[]"])
)
queries = st.dictionaries(st.sampled_from(PARAMETERS), values, max_size=3)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadServer]:
    with ThreadServer(tmp_path_factory.mktemp("log") / "log.db") as server:
        server.post("s", flat(0), flat(1))
        yield server


@given(path=st.sampled_from(READS), query=queries)
@FUZZ
def test_any_query(server: ThreadServer, path: str, query: dict[str, str]) -> None:
    encoded = urlencode({name: value.encode("utf-8", "surrogatepass") for name, value in query.items()})
    answer = server.http.get(f"{path}?{encoded}")
    assert answer.status_code in REFUSALS | {200}, answer.text
    assert "code" in answer.json() or answer.status_code == 200


@given(
    name=st.text(max_size=40) | st.binary(max_size=20), rest=st.sampled_from(["", "/events", "/bottlenecks"])
)
@FUZZ
def test_any_id(server: ThreadServer, name: str | bytes, rest: str) -> None:
    given_name = name.encode("utf-8", "surrogatepass") if isinstance(name, str) else name
    for folder in ("/api/sessions/", "/api/v1/streams/"):
        answer = server.http.get(folder + quote(given_name, safe="") + rest)
        assert answer.status_code in REFUSALS | {200, 307}, answer.text  # without a name: to the list


@given(path=st.sampled_from(WRITES), body=bodies, lines=st.booleans())
@FUZZ
def test_any_write(server: ThreadServer, path: str, body: bytes, lines: bool) -> None:
    content_type = "application/x-ndjson" if lines else "application/json"
    answer = server.http.post(path, content=body, headers={"Content-Type": content_type})
    assert answer.status_code in REFUSALS | {200}, answer.text


@given(
    head=st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=12),
)
@FUZZ
def test_any_bytes_as_http(server: ThreadServer, head: list[bytes]) -> None:
    with connection(server) as client:
        client.sendall(b"".join(head))
        client.shutdown(1)  # SHUT_WR: nothing more comes
        answer = told(read_all(client))
    assert (
        answer in {"closed", "200"}
        or answer.endswith("answers")
        or int(answer.split()[0]) in REFUSALS | {200}
    )


frames = st.builds(
    frame,
    st.integers(0, 15),
    st.binary(max_size=130) | texts.map(str.encode) | st.just(b'{"type": "ping"}'),
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 0, 1, 4]),
    masked=st.sampled_from([True, True, True, False]),
)


@given(sent=st.lists(frames | st.binary(max_size=40), max_size=6), deflate=st.booleans())
@FUZZ
def test_any_frames(server: ThreadServer, sent: list[bytes], deflate: bool) -> None:
    more = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else ""
    with open_ws(server.session("s")) as other:
        with Wire(server.session("s"), more=more) as wire:
            wire.send(*sent, frame(CLOSE, b"\x03\xe8"))
            wire.socket.shutdown(1)
            for received in wire.rest():
                assert received.opcode in {TEXT, CLOSE, 0xA}, received
                if received.opcode == CLOSE:
                    assert received.code in CLOSE_CODES | set(range(3000, 5000)) | {
                        None,
                        1001,
                        1003,
                        1010,
                        1011,
                    }
        assert ping_pong(other) == []


@given(
    filter_=st.dictionaries(
        st.sampled_from(FILTER_KEYS), st.lists(texts, max_size=3) | texts | st.integers()
    ),
    query=st.dictionaries(
        st.sampled_from(["after", "batch_size", "poll_interval", "max_rate", "format"]), values
    ),
)
@FUZZ
def test_any_wish_of_a_socket(server: ThreadServer, filter_: dict[str, Any], query: dict[str, str]) -> None:
    wishes = {name: value.encode("utf-8", "replace").decode() for name, value in query.items()}
    with open_ws(server.session("s", filter=filter_, **wishes)) as ws:
        with suppress(ConnectionClosed):  # refused already
            ws.send('{"type": "ping"}')
        assert receive(ws)["type"] in {"pong", "batch", "event", "error", "gap", "reset", "end"}


def test_it_still_works_after_all_that(server: ThreadServer) -> None:
    with open_ws(server.session("after-all")) as ws:
        server.post("after-all", flat(7))
        assert ids_of(take(ws, 1)) == ["e7"]
