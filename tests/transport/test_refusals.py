"""What an open server on loopback refuses, and that it says why: over HTTP as a problem, over WebSocket in words."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from tests.support.clients import RawClient, ids_of, open_ws, receive, rest_of, take
from tests.support.fixtures import MakeServer
from tests.support.server import ThreadServer, flat, hold_up_places, wait_until

WRONG_HOSTS = [
    "evil.example",
    "evil.example:8000",
    "10.0.0.1",
    "localhost.evil.example",
    "0.0.0.0",
    "[::2]:80",
]
RIGHT_HOSTS = ["localhost", "LocalHost:8000", "127.0.0.1:8000", "127.1.2.3", "[::1]:8000", "app.localhost:1"]
FORWARDING = ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"]
WRONG_ORIGINS = ["https://evil.example", "http://localhost:1", "null", "http://[", "file://", ""]


def refused(server: ThreadServer, session: str, headers: dict[str, str]) -> dict[str, Any]:
    """The error that a WebSocket hears which is refused for its headers."""
    with RawClient(server.session(session), headers=headers) as ws:
        assert ws.response is not None
        assert ws.response.status_code == 101  # accepted first, so that a browser can read why
        (error,) = ws.messages()
    assert ws.close_code == 1008
    assert (error["type"], error["count"], error["events"]) == ("error", 0, [])
    return error


@pytest.mark.parametrize("host", WRONG_HOSTS)
def test_another_host_is_refused(server: ThreadServer, session: str, host: str) -> None:
    answer = server.http.get("/api/status", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "forbidden"
    assert refused(server, session, {"Host": host})["message"].startswith("Host:")


@pytest.mark.parametrize("host", RIGHT_HOSTS)
def test_loopback_by_any_name_is_welcome(server: ThreadServer, session: str, host: str) -> None:
    assert server.http.get("/api/status", headers={"Host": host}).status_code == 200
    with RawClient(server.session(session), headers={"Host": host}) as ws:
        ws.send_text('{"type": "ping"}')
        assert next(ws.messages())["type"] == "pong"


@pytest.mark.parametrize("name", FORWARDING)
def test_what_was_forwarded_is_refused(server: ThreadServer, session: str, name: str) -> None:
    answer = server.http.get("/health", headers={name: "for=1.2.3.4"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "proxy" in refused(server, session, {name: "for=1.2.3.4"})["message"]


@pytest.mark.parametrize("origin", WRONG_ORIGINS)
def test_pages_of_other_origins_may_not_write_or_connect(
    server: ThreadServer, session: str, origin: str
) -> None:
    posted = server.http.post(f"/api/sessions/{session}/events", json=flat(0), headers={"Origin": origin})
    assert (posted.status_code, posted.json()["code"]) == (403, "forbidden")
    assert server.http.get(f"/api/sessions/{session}").status_code == 404
    assert refused(server, session, {"Origin": origin})["message"].startswith("Origin:")
    for write in ("delete", "patch", "put"):
        answer = server.http.request(write, f"/api/v1/streams/session:{session}", headers={"Origin": origin})
        assert answer.status_code == 403


def test_a_page_of_the_server_itself_may(server: ThreadServer, session: str) -> None:
    own = {"Origin": server.url()}
    with open_ws(server.session(session), additional_headers=own) as ws:
        posted = server.http.post(f"/api/sessions/{session}/events", json=flat(0), headers=own)
        assert posted.status_code == 200
        assert ids_of(take(ws, 1)) == ["e0"]


def test_listed_origins_may(make_server: MakeServer, session: str) -> None:
    server = make_server(allowed_origins=("https://app.example", "null"))
    for origin in ("https://app.example", "null"):
        with open_ws(server.session(session), additional_headers={"Origin": origin}) as ws:
            ws.send('{"type": "ping"}')
            assert receive(ws)["type"] == "pong"
    assert "Origin" in refused(server, session, {"Origin": "http://app.example"})["message"]


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
def test_a_write_that_a_page_could_make_without_asking_is_refused(
    server: ThreadServer, session: str, content_type: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = server.http.post(
        f"/api/sessions/{session}/events", content=b'{"event_type": "a"}', headers=headers
    )
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_type")
    assert "application/json" in answer.json()["detail"]
    assert server.http.get(f"/api/sessions/{session}").status_code == 404


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ({"filter": "{"}, "filter", "invalid_filter"),
        ({"filter": "[]"}, "filter", "invalid_filter"),
        ({"filter": {"event_type": ["a"]}}, "filter", "invalid_filter"),
        ({"filter": {"event_types": "a"}}, "filter.event_types", "invalid_filter"),
        ({"filter": {"event_types": ["a"] * 101}}, "filter.event_types", "invalid_filter"),
        ({"filter": {"statuses": [1]}}, "filter.statuses", "invalid_filter"),
        ({"filter": {"cost_threshold_tokens": "40"}}, "filter.cost_threshold_tokens", "invalid_filter"),
        ({"filter": {"cost_threshold_tokens": -1}}, "filter.cost_threshold_tokens", "invalid_filter"),
        ({"filter": "[" * 2_000}, "filter", "invalid_filter"),
        ({"batch_size": "0"}, "batch_size", "invalid_input"),
        ({"batch_size": "1001"}, "batch_size", "invalid_input"),
        ({"batch_size": "five"}, "batch_size", "invalid_input"),
        ({"batch_size": "5.0"}, "batch_size", "invalid_input"),
        ({"batch_size": "٣"}, "batch_size", "invalid_input"),
        ({"poll_interval": "-1"}, "poll_interval", "invalid_input"),
        ({"poll_interval": "60001"}, "poll_interval", "invalid_input"),
        ({"format": "xml"}, "format", "invalid_input"),
        ({"after": "yesterday"}, "after", "invalid_cursor"),
        ({"after": "0123456789abcdef-1-0000"}, "after", "invalid_cursor"),
    ],
)
def test_a_wrong_wish_is_refused_by_naming_it(
    server: ThreadServer, session: str, query: dict[str, Any], field: str, code: str
) -> None:
    with open_ws(server.session(session, **query)) as ws:
        frames, close_code, reason = rest_of(ws)
    (error,) = frames
    assert (error["type"], error["count"], error["events"]) == ("error", 0, [])
    assert (error["code"], error["field"]) == (code, field)
    assert field in error["message"]
    assert (close_code, reason) == (1008, code)


def test_a_refused_client_leaves_nothing_behind(make_server: MakeServer, session: str) -> None:
    server = make_server()
    server.post(session, flat(0))
    for query in ({"after": "yesterday"}, {"after": "0123456789abcdef-1-0000"}, {"batch_size": "0"}):
        with open_ws(server.session(session, **query)) as ws:
            assert rest_of(ws)[1] == 1008
    assert server.get("/api/status")["connected_clients"] == 0
    assert server.get("/api/websocket-metrics")["sessions"] == {}


def test_a_session_s_limit_of_clients_is_refused_with_1008_and_a_reason(
    make_server: MakeServer, session: str
) -> None:
    server = make_server(max_clients_per_stream=2)
    with open_ws(server.session(session)) as first, open_ws(server.session(session)) as second:
        for ws in (first, second):
            ws.send('{"type": "ping"}')
            receive(ws)
        with open_ws(server.session(session)) as third:
            frames, code, reason = rest_of(third)
        assert (frames[0]["code"], frames[0]["retryable"]) == ("too_many", True)
        assert "2 clients" in frames[0]["message"]
        assert (code, reason) == (1008, "too_many")
        with open_ws(server.session(f"{session}-other")) as elsewhere:
            elsewhere.send('{"type": "ping"}')
            assert receive(elsewhere)["type"] == "pong"
        second.close()
        wait_until(lambda: server.get("/api/status")["connected_clients"] == 1)
        with open_ws(server.session(session)) as third:
            third.send('{"type": "ping"}')
            assert receive(third)["type"] == "pong"


def test_a_process_s_limit_of_clients_is_refused_too(make_server: MakeServer, session: str) -> None:
    server = make_server(max_connections=1)
    with open_ws(server.session(session)) as only:
        only.send('{"type": "ping"}')
        receive(only)
        with open_ws(server.session(f"{session}-other")) as other:
            frames, code, _ = rest_of(other)
    assert (frames[0]["code"], code) == ("too_many", 1008)
    assert 'runcast_refusals_total{code="too_many"} 1.0' in server.http.get("/metrics").text


def test_who_comes_during_a_restart_is_told_to_come_again(make_server: MakeServer, session: str) -> None:
    server = make_server()
    server.post(session, flat(0))
    server.drain(0)
    with open_ws(server.session(session)) as ws:
        (error,), code, reason = rest_of(ws)
    assert (error["code"], error["retryable"]) == ("restarting", True)
    assert (code, reason) == (1012, "restarting")
    answer = server.http.get(f"/api/v1/streams/session:{session}/sse")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_a_browser_s_question_before_a_write_is_answered_for_listed_origins_only(
    make_server: MakeServer, session: str
) -> None:
    server = make_server(allowed_origins=("https://app.example",))
    path = f"/api/sessions/{session}/events"

    def ask(origin: str) -> httpx2.Response:
        question = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "Content-Type"}
        return server.http.options(path, headers={"Origin": origin, **question})

    allowed = ask("https://app.example")
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-origin" not in ask("https://evil.example").headers
    server.post(session, flat(0))
    read = server.http.get(path, headers={"Origin": "https://app.example"})
    assert read.headers["access-control-allow-origin"] == "https://app.example"
    read = server.http.get(path, headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in read.headers


def test_no_origin_may_read_unless_it_is_listed(server: ThreadServer, session: str) -> None:
    server.post(session, flat(0))
    for origin in ("https://app.example", server.url()):
        answer = server.http.get(f"/api/sessions/{session}/events", headers={"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers


def test_many_that_come_at_once_to_a_new_session_are_counted_exactly(
    make_server: MakeServer, session: str
) -> None:
    server = make_server(max_clients_per_stream=3)
    gate = hold_up_places(server)
    with ExitStack() as stack:
        url = server.session(session, after="start")
        clients = [stack.enter_context(RawClient(url, wait=False)) for _ in range(12)]
        wait_until(lambda: server.bus.live_statistics().connections == 12, "all are there")
        server.call(gate.set)
        server.post(session, flat(0))
        words: list[str] = []
        for client in clients:
            client.shake_hands()
            words.append(next(client.messages())["type"])
    assert sorted(words) == ["batch"] * 3 + ["error"] * 9


def test_a_client_that_answers_no_ping_is_let_go(make_server: MakeServer, session: str) -> None:
    server = make_server(ping_s=0.2)
    with RawClient(server.session(session)), open_ws(server.session(session)) as answering:
        wait_until(lambda: server.bus.live_statistics().connections == 2)
        wait_until(lambda: server.bus.live_statistics().connections == 1, "the silent one is gone")
        server.post(session, flat(0))
        assert ids_of(take(answering, 1)) == ["e0"]


@pytest.mark.parametrize("name", ["..", ".", "a/b", "a%2Fb", "a%00b", "a b", "%FF", "x" * 201, "", "é"])
def test_an_id_that_no_session_can_have_is_refused_in_words(server: ThreadServer, name: str) -> None:
    with RawClient(server.session(quote(name, safe="%"))) as ws:
        (error,) = ws.messages()
    assert (error["type"], error["code"], error["field"]) == ("error", "invalid_stream_name", "stream")
    assert "1 to 200 characters" in error["message"]
    assert ws.close_code == 1008
