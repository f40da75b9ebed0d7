"""Publishing over HTTP: all or nothing, bounded, each id once, and answered when it is on disk."""

from __future__ import annotations

import json
import socket
import sqlite3
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.fixtures import MakeServer
from tests.support.server import ThreadServer, flat, flats, wait_until

KIB = 1024
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def protocol() -> str:
    return "fast"  # of WebSockets, of which there are none here


def native(server: ThreadServer, session: str, body: Any) -> httpx2.Response:
    return server.http.post(f"/api/v1/streams/session:{session}/events", json=body)


def stored(server: ThreadServer, session: str) -> list[dict[str, Any]]:
    answer = server.http.get(f"/api/v1/streams/session:{session}/events")
    return answer.json()["events"] if answer.status_code == 200 else []


def test_one_event_is_answered_by_where_it_is(server: ThreadServer, session: str) -> None:
    answer = native(server, session, {"type": "note", "data": {"a": 1}, "id": "n1"}).json()
    (event,) = stored(server, session)
    assert answer == {
        "stream": f"session:{session}",
        "epoch": answer["epoch"],
        "first_seq": 1,
        "last_seq": 1,
        "count": 1,
        "duplicates": 0,
        "cursor": event["cursor"],
    }
    assert (event["id"], event["type"], event["data"]["a"]) == ("n1", "note", 1)


def test_an_array_is_stored_in_order(server: ThreadServer, session: str) -> None:
    answer = native(server, session, [{"type": f"t{number}"} for number in range(20)]).json()
    assert (answer["first_seq"], answer["last_seq"], answer["count"]) == (1, 20, 20)
    assert [event["type"] for event in stored(server, session)] == [f"t{number}" for number in range(20)]


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
def test_ndjson_is_one_event_a_line(server: ThreadServer, session: str, ending: str) -> None:
    body = "\n".join(json.dumps({"type": f"t{number}"}) for number in range(5)) + ending
    answer = server.http.post(f"/api/v1/streams/session:{session}/events", content=body, headers=NDJSON)
    assert (answer.status_code, answer.json()["count"]) == (200, 5)
    flat_body = "\n".join(json.dumps({"event_type": f"t{number}"}) for number in range(5)) + ending
    answer = server.http.post(f"/api/sessions/{session}/events", content=flat_body, headers=NDJSON)
    assert answer.json()["count"] == 5
    assert len(stored(server, session)) == 10


def test_an_id_is_stored_once_whatever_comes_with_it_later(server: ThreadServer, session: str) -> None:
    first = server.post(session, flat(0, status="first"), flat(1))
    again = server.post(session, flat(1, status="changed"), flat(2), flat(2), flat(0, status="changed"))
    assert (again["count"], again["duplicates"], again["last_seq"]) == (4, 3, 3)
    assert again["epoch"] == first["epoch"]
    assert [event["id"] for event in stored(server, session)] == ["e0", "e1", "e2"]
    assert [event["data"]["status"] for event in stored(server, session)] == ["first", "recorded", "recorded"]


def test_an_event_of_256_kib_is_stored_and_a_larger_one_is_not(server: ThreadServer, session: str) -> None:
    limit = 256 * KIB
    overhead = len(json.dumps({"text": ""}, separators=(",", ":")))
    just = [{"type": "note", "data": {"text": "x" * (limit - overhead)}}]
    stream = f"/api/v1/streams/custom:{session}/events"
    assert server.http.post(stream, json=just).status_code == 200
    over = server.http.post(stream, json=[{"type": "ok"}, {"type": "note", "data": {"text": "x" * limit}}])
    assert (over.status_code, over.json()["code"], over.json()["field"]) == (413, "too_large", "data")
    assert str(limit) in over.json()["detail"]
    assert len(server.get(stream)["events"]) == 1


def test_a_body_over_8_mib_is_refused(server: ThreadServer, session: str) -> None:
    limit = server.bus.settings.request_max_bytes
    for path in (f"/api/sessions/{session}/events", f"/api/v1/streams/session:{session}/events"):
        headers = {"Content-Type": "application/json"}
        answer = server.http.post(path, content=b" " * (limit + 1), headers=headers)
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (
            413,
            "too_large",
            "body",
        )
        assert str(limit) in answer.json()["detail"]
    assert stored(server, session) == []


def test_more_than_a_thousand_events_at_once_are_refused(server: ThreadServer, session: str) -> None:
    assert server.post(session, *flats(range(1_000)))["count"] == 1_000
    answer = server.http.post(f"/api/sessions/{session}/events", json=flats(range(1_000, 2_001)))
    assert (answer.status_code, answer.json()["field"]) == (413, "events")
    assert "1000" in answer.json()["detail"]
    assert server.get(f"/api/sessions/{session}")["events"] == 1_000


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"[]", "body"),
        (b'"text"', "body[0]"),
        (b'[{"type": "a"}, 7]', "body[1]"),
        (b'{"type": "a", "data": "\xff"}', "body"),
        (b"[" * 100_000, "body"),
        (b'{"type": "a", "surprise": 1}', "surprise"),
        (b'{"data": {}}', "body[0]"),
        (b'{"type": 7}', "body[0]"),
        (b'{"type": ""}', "type"),
        (b'{"type": "' + b"x" * 101 + b'"}', "type"),
        (b'{"type": "a\\u0000b"}', "type"),
        (b'{"type": "a", "id": ""}', "id"),
        (b'{"type": "a", "id": 7}', "body[0]"),
        (b'{"type": "a", "data": []}', "body[0]"),
        (b'{"type": "a", "time": "yesterday"}', "time"),
        (b'{"type": "a", "time": "2999-01-01T00:00:00Z"}', "time"),
        (b'{"type": "a", "time": -1}', "time"),
        (b'[{"type": "a"}, {"type": "b", "data": {"cost_tokens": "40"}}]', "cost_tokens"),
        (b'{"type": "a", "data": ' + b'{"a":' * 80 + b"1" + b"}" * 80 + b"}", "data"),
        (b'{"type": "a", "data": {"a": NaN}}', "body"),
    ],
)
def test_what_cannot_be_an_event_is_refused_by_naming_the_field(
    server: ThreadServer, session: str, body: bytes, field: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = server.http.post(f"/api/v1/streams/session:{session}/events", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == field
    assert field in answer.json()["detail"]
    assert "Traceback" not in answer.text
    assert stored(server, session) == []


def test_a_number_that_no_float_can_hold_is_refused_and_a_large_integer_kept(
    server: ThreadServer, session: str
) -> None:
    headers = {"Content-Type": "application/json"}
    path = f"/api/v1/streams/session:{session}/events"
    answer = server.http.post(path, content=b'{"type": "a", "data": {"large": 1e999}}', headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (400, "body")
    assert stored(server, session) == []
    large = 12_345_678_901_234_567_890_123
    assert native(server, session, {"type": "a", "data": {"large": large}}).status_code == 200
    assert [event["data"]["large"] for event in stored(server, session)] == [large]


@pytest.mark.parametrize(
    "name",
    [
        "session:..",
        "session:.",
        "session:a%00",
        "session:a b",
        "session:",
        "session",
        "Session:a",
        "session:" + "x" * 201,
        "session:a:b",
    ],
)
def test_a_stream_that_cannot_be_called_so_is_refused(server: ThreadServer, name: str) -> None:
    for method, path in (
        ("POST", "/events"),
        ("GET", "/events"),
        ("GET", ""),
        ("GET", "/sse"),
        ("POST", "/end"),
        ("DELETE", ""),
    ):
        answer = raw_request(
            server, method, f"/api/v1/streams/{name.replace(' ', '%20')}{path}", b'{"type": "a"}'
        )
        assert answer["code"] == "invalid_stream_name", (method, path)


def test_paths_and_methods_that_are_not_there_are_problems_too(server: ThreadServer) -> None:
    for method, path, status in (
        ("GET", "/api/v1/streams/session:a/b/events", 404),
        ("GET", "/api/sessions/a%2Fb", 404),
        ("GET", "/nowhere", 404),
        ("PATCH", "/health", 405),
    ):
        answer = raw_request(server, method, path, b"")
        assert (answer["status"], answer["code"]) == (
            status,
            {404: "not_found", 405: "method_not_allowed"}[status],
        )


def raw_request(server: ThreadServer, method: str, path: str, body: bytes) -> dict[str, Any]:
    """A request whose path no client has tidied up; the problem it is answered by."""
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    assert b"application/problem+json" in answer
    return json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_request_that_breaks_off_stores_nothing(server: ThreadServer, session: str, chunked: bool) -> None:
    lines = b'{"event_type": "a"}\n{"event_type": "b"}\n'
    size = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (len(lines) + 1)
    body = b"%x\r\n%s\r\n" % (len(lines), lines) if chunked else lines
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(
            b"POST /api/sessions/%s/events HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/x-ndjson\r\n%s\r\n\r\n%s" % (session.encode(), size, body)
        )
        wait_until(lambda: any(one.cycle for one in server.connections("BoundedHttpToolsProtocol")))
    wait_until(lambda: len(server.connections("BoundedHttpToolsProtocol")) <= 1, "it is noticed")
    server.post(session, flat(0))
    assert [event["id"] for event in stored(server, session)] == ["e0"]


def test_the_answer_comes_when_it_is_on_disk(make_server: MakeServer, session: str, tmp_path: Path) -> None:
    server = make_server(tmp_path / "answered.db")
    for number in range(5):
        server.post(session, flat(number))
        with sqlite3.connect(tmp_path / "answered.db") as reader:  # another connection sees what is committed
            (count,) = reader.execute("SELECT count(*) FROM events").fetchone()
        reader.close()
        assert count == number + 1


def test_streams_are_listed_described_ended_and_cleared(make_server: MakeServer) -> None:
    server = make_server()
    for name in ("b", "a", "c"):
        server.post(name, flat(0))
    first = server.get("/api/v1/streams", kind="session", limit=2)
    assert [one["stream"] for one in first["streams"]] == ["session:a", "session:b"]
    rest = server.get("/api/v1/streams", kind="session", after=first["next"])
    assert ([one["stream"] for one in rest["streams"]], rest["next"]) == (["session:c"], None)
    ended = server.http.post("/api/v1/streams/session:a/end").json()
    assert (ended["ended"], ended["head"], ended["oldest"], ended["live_subscribers"]) == (True, 1, 1, 0)
    cleared = server.http.delete("/api/v1/streams/session:b").json()
    assert (cleared["head"], cleared["epoch"] != first["streams"][1]["epoch"]) == (0, True)
    assert server.http.get("/api/v1/streams/session:nobody").status_code == 404
    for method in ("post", "delete"):
        path = "/api/v1/streams/session:nobody" + ("/end" if method == "post" else "")
        answer = server.http.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "stream_not_found")


def test_history_is_paged_by_cursor_and_says_when_it_is_complete(server: ThreadServer, session: str) -> None:
    server.post(session, *flats(range(25)))
    path = f"/api/v1/streams/session:{session}/events"
    got, after, pages = [], "start", []
    while True:
        page = server.get(path, after=after, limit=10)
        got += [event["id"] for event in page["events"]]
        pages.append((page["count"], page["complete"], page["head"]))
        after = page["cursor"]
        if page["complete"]:
            break
    assert got == [f"e{number}" for number in range(25)]
    assert pages == [(10, False, 25), (10, False, 25), (5, True, 25)]
    assert server.get(path, after="now")["events"] == []
    for query in ({"limit": "0"}, {"limit": "257"}, {"after": "x"}, {"filter": "x"}):
        assert server.http.get(path, params=query).status_code == 400
