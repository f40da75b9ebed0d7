"""The same streams as server-sent events, which a browser's EventSource resumes by itself."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import islice

import pytest
from tests.support.clients import SseMessage, open_sse
from tests.support.fixtures import MakeServer
from tests.support.server import ThreadServer, flat, flats, wait_until

from runcast.core.event import Cursor


@pytest.fixture(scope="module")
def protocol() -> str:
    return "fast"  # of WebSockets: SSE is the same with either


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub look for stalled clients more often than it needs to."""
    monkeypatch.setattr("runcast.live.hub.PRESSURE_CHECK_S", 0.1)


def sse(server: ThreadServer, session: str, **query: str) -> str:
    return server.url(f"/api/v1/streams/session:{session}/sse", **query)


def take(messages: Iterator[SseMessage], count: int) -> list[SseMessage]:
    """The next messages that are more than a comment."""
    return list(islice((message for message in messages if "data" in message), count))


def ids(messages: list[SseMessage]) -> list[str]:
    return [message.json["id"] for message in messages]


def end(server: ThreadServer, session: str) -> None:
    assert server.http.post(f"/api/v1/streams/session:{session}/end").status_code == 200


def test_history_then_live_in_the_native_form(server: ThreadServer, session: str) -> None:
    server.post(session, *flats(range(300)))
    with open_sse(sse(server, session, after="start")) as (response, messages):
        got = take(messages, 300)
        server.post(session, flat(300, status="completed"))
        got += take(messages, 1)
    assert response.status_code == 200
    assert ids(got) == [f"e{number}" for number in range(301)]
    last = got[-1].json
    assert set(last) == {"stream", "seq", "id", "type", "time", "cursor", "data"}
    assert (last["stream"], last["seq"], last["type"]) == (f"session:{session}", 301, "tool_call")
    assert last["data"]["status"] == "completed"
    assert all(message["id"] == message.json["cursor"] for message in got)
    assert all("event" not in message for message in got)  # so that `onmessage` gets them


def test_a_session_is_watched_from_now_if_nothing_is_said(server: ThreadServer, session: str) -> None:
    server.post(session, flat(0))
    with open_sse(sse(server, session)) as (_, messages):
        server.post(session, flat(1))
        assert ids(take(messages, 1)) == ["e1"]


def test_proxies_are_told_not_to_buffer_pack_or_keep(server: ThreadServer, session: str) -> None:
    with open_sse(sse(server, session), **{"Accept-Encoding": "gzip, br"}) as (response, _):
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["x-accel-buffering"] == "no"
        assert "no-store" in response.headers["cache-control"]
        assert "content-encoding" not in response.headers


def test_last_event_id_resumes_and_comes_before_after(server: ThreadServer, session: str) -> None:
    server.post(session, *flats(range(10)))
    with open_sse(sse(server, session, after="start")) as (_, messages):
        seen = take(messages, 10)
    url = sse(server, session, after="start")
    with open_sse(url, **{"Last-Event-ID": seen[3]["id"]}) as (_, messages):
        assert ids(take(messages, 6)) == [f"e{number}" for number in range(4, 10)]
    with open_sse(sse(server, session, after=seen[7]["id"])) as (_, messages):
        assert ids(take(messages, 2)) == ["e8", "e9"]


def test_comments_come_from_the_start_and_keep_coming(make_server: MakeServer, session: str) -> None:
    server = make_server(sse_comment_interval_s=0.05)
    with open_sse(sse(server, session)) as (_, messages):
        comments = list(islice(messages, 4))
        server.post(session, flat(0))
        assert ids(take(messages, 1)) == ["e0"]
    assert comments == [{"comment": ""}] * 4


def test_the_end_of_a_stream_is_told_and_204_answers_who_comes_back(
    server: ThreadServer, session: str
) -> None:
    server.post(session, *flats(range(3)))
    with open_sse(sse(server, session, after="start")) as (_, messages):
        take(messages, 3)
        end(server, session)
        rest = [message for message in messages if "data" in message]  # until the response ends
    (last,) = rest
    assert (last["event"], last.json["type"]) == ("end", "end")
    answer = server.http.get(sse(server, session), headers={"Last-Event-ID": last["id"]})
    assert (answer.status_code, answer.content) == (204, b"")


def test_who_has_not_read_to_the_end_still_gets_it(server: ThreadServer, session: str) -> None:
    server.post(session, *flats(range(3)))
    end(server, session)
    with open_sse(sse(server, session, after="start")) as (_, messages):
        got = [message for message in messages if "data" in message]
    assert ids(got[:-1]) == ["e0", "e1", "e2"]
    assert got[-1]["event"] == "end"


def test_a_gap_and_a_reset_are_events_of_their_own(server: ThreadServer, session: str) -> None:
    receipt = server.post(session, flat(0))
    server.post(session, *flats(range(1, 10)))
    server.run(server.bus.trim(f"session:{session}", keep=4))
    with open_sse(sse(server, session, after=receipt["cursor"])) as (_, messages):
        gap, *events = take(messages, 5)
    assert (gap["event"], gap.json["first_seq"], gap.json["last_seq"]) == ("gap", 2, 6)
    assert [event.json["seq"] for event in events] == [7, 8, 9, 10]
    future = str(Cursor(receipt["epoch"], 99, 0))
    with open_sse(sse(server, session, after=future)) as (_, messages):
        reset, *_ = take(messages, 1)
        assert reset["event"] == "reset"
        assert reset.json["reason"].startswith("after:")


def test_clearing_is_told_to_who_watches(server: ThreadServer, session: str) -> None:
    server.post(session, flat(0))
    with open_sse(sse(server, session, after="start")) as (_, messages):
        take(messages, 1)
        assert server.http.delete(f"/api/v1/streams/session:{session}").status_code == 200
        server.post(session, flat(1))
        reset, event = take(messages, 2)
    assert reset["event"] == "reset"
    assert (event.json["id"], event.json["seq"]) == ("e1", 1)


def test_the_feed_s_frames_are_there_for_the_asking(server: ThreadServer, session: str) -> None:
    server.post(session, *flats(range(3)))
    with open_sse(sse(server, session, after="start", codec="feed")) as (_, messages):
        (batch,) = take(messages, 1)
    assert (batch.json["type"], batch.json["count"]) == ("batch", 3)
    assert batch["id"] == batch.json["events"][-1]["cursor"]


def test_a_filter_holds_for_replay_and_live(server: ThreadServer, session: str) -> None:
    server.post(session, *(flat(number, cost_tokens=number) for number in range(10)))
    wish = '{"cost_threshold_tokens": 8}'
    with open_sse(sse(server, session, after="start", filter=wish)) as (_, messages):
        assert ids(take(messages, 2)) == ["e8", "e9"]
        server.post(session, flat(10, cost_tokens=7), flat(11, cost_tokens=8))
        assert ids(take(messages, 1)) == ["e11"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"after": "yesterday"}, "invalid_cursor"),
        ({"filter": "{"}, "invalid_filter"),
        ({"codec": "xml"}, "invalid_input"),
    ],
)
def test_a_wrong_wish_is_a_problem(
    server: ThreadServer, session: str, query: dict[str, str], code: str
) -> None:
    answer = server.http.get(sse(server, session, **query))
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.headers["content-type"] == "application/problem+json"
    wait_until(lambda: not server.bus.live_statistics().connections, "nothing of it is left")


def test_a_stream_without_a_feed_has_no_feed_s_frames(server: ThreadServer, session: str) -> None:
    answer = server.http.get(f"/api/v1/streams/custom:{session}/sse", params={"codec": "feed"})
    assert (answer.status_code, answer.json()["field"]) == (400, "codec")


def test_a_limit_of_clients_is_429(make_server: MakeServer, session: str) -> None:
    server = make_server(max_clients_per_stream=1)
    with open_sse(sse(server, session)):
        answer = server.http.get(sse(server, session))
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many")
    assert answer.headers["retry-after"]


def test_a_client_that_leaves_is_forgotten(server: ThreadServer, session: str) -> None:
    with open_sse(sse(server, session)):
        assert server.bus.live_statistics().connections == 1
    wait_until(lambda: server.bus.live_statistics().connections == 0)


def test_a_restart_ends_the_response_and_the_cursor_goes_on(make_server: MakeServer, session: str) -> None:
    server = make_server(drain_s=0)
    server.post(session, *flats(range(3)))
    with open_sse(sse(server, session, after="start")) as (_, messages):
        seen = take(messages, 3)
        server.drain(0)
        assert [message for message in messages if "data" in message] == []  # it has ended
    again = make_server()
    with open_sse(sse(again, session, after=seen[1]["id"])) as (_, messages):
        assert ids(take(messages, 1)) == ["e2"]


def test_a_client_that_takes_nothing_is_let_go(make_server: MakeServer, session: str) -> None:
    server = make_server(stalled_after_s=0.2, send_buffer=4_096, sse_comment_interval_s=0.1)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    with client:
        client.connect(("127.0.0.1", server.port))
        client.sendall(
            f"GET /api/v1/streams/session:{session}/sse HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        )
        wait_until(lambda: server.bus.live_statistics().connections == 1)
        server.post(session, *flats(range(100), noise="x" * 16_000))
        wait_until(lambda: server.bus.live_statistics().connections == 0, "it is let go")
    wait_until(lambda: server.errors.texts, "uvicorn says that the response was not finished")
    assert all("completing response" in text for text in server.errors.forgive())
