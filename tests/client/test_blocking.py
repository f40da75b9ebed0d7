"""The blocking client against real servers: what it publishes and reads, and how it says what went wrong."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.support.process import ServeProcess, free_port
from tests.support.server import ThreadServer, in_background, wait_until

from runcast.client.backoff import delays
from runcast.client.blocking import Client
from runcast.core.filters import EventSubscriptionFilter
from runcast.errors import (
    ConfigError,
    InvalidCursor,
    InvalidEvent,
    InvalidStreamName,
    ServerError,
    StreamNotFound,
    TooLarge,
    Unreachable,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadServer]:
    with ThreadServer(tmp_path_factory.mktemp("log") / "log.db") as server:
        yield server


@pytest.fixture
def client(server: ThreadServer) -> Iterator[Client]:
    with Client(server.url()) as client:
        yield client


def test_what_is_published_can_be_read(client: Client) -> None:
    receipt = client.publish("job:1", [{"type": "a", "data": {"n": 1}}, {"type": "b", "id": "x"}])
    assert (receipt.first_seq, receipt.last_seq, receipt.count, receipt.duplicates) == (1, 2, 2, 0)
    page = client.events("job:1", wanted=EventSubscriptionFilter(event_types=["a"]))
    (event,) = page.events
    assert (event["type"], event["data"], page.cursor, page.complete) == ("a", {"n": 1}, receipt.cursor, True)
    assert client.events("job:1", after=event["cursor"], limit=1).events[0]["id"] == "x"
    assert client.info("job:1")["head"] == 2
    assert client.publish("job:1", [{"type": "b", "id": "x"}]).duplicates == 1
    assert [info["stream"] for info in client.streams("job")] == ["job:1"]
    assert client.status()["status"] == "ok"


def test_streams_are_listed_to_the_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runcast.client.blocking.PAGE_OF_STREAMS", 3)
    for number in range(7):
        client.publish(f"many:{number}", [{"type": "x"}])
    assert [info["stream"] for info in client.streams("many")] == [f"many:{number}" for number in range(7)]


def test_a_session_is_added_up(client: Client) -> None:
    client.publish("session:sum", [{"type": "tool_call", "data": {"tool_name": "Bash", "cost_tokens": 7}}])
    assert client.session("sum")["totals"]["tokens"]["cost_tokens"] == 7


def test_what_the_server_refuses_is_the_exception_that_it_means(client: Client) -> None:
    with pytest.raises(InvalidEvent, match="cost_tokens") as caught:
        client.publish("session:a", [{"type": "x", "data": {"cost_tokens": "many"}}])
    assert caught.value.field == "cost_tokens"
    with pytest.raises(TooLarge, match="limit"):
        client.publish("job:2", [{"type": "x", "data": {"text": "x" * 300_000}}])
    with pytest.raises(StreamNotFound):
        client.info("job:none")
    with pytest.raises(InvalidCursor):
        client.events("job:1", after="nonsense")


def test_what_cannot_be_is_refused_without_asking() -> None:
    with Client("http://localhost:1") as client:
        for name in ("job", "job:", "job:a/b", "Job:a", "job:.."):
            with pytest.raises(InvalidStreamName):
                client.publish(name, [{"type": "x"}])
        with pytest.raises(InvalidEvent, match="JSON"):
            client.publish("job:1", [{"type": "x", "data": {"f": object()}}])


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://localhost", "http://", "http://x:99999", "http://[1"]
)
def test_an_address_that_cannot_be_is_told_at_once(url: str) -> None:
    with pytest.raises(ConfigError, match="http://localhost:8000"):
        Client(url)


def test_nobody_there_is_one_clear_sentence() -> None:
    port = free_port()
    with Client(f"http://127.0.0.1:{port}") as client, pytest.raises(Unreachable, match="runcast serve"):
        client.status()


class Stranger(BaseHTTPRequestHandler):
    """Another program's server."""

    status = 404

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"<hi/>")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "error", "word"),
    [(404, ServerError, "address"), (200, ServerError, "address"), (503, Unreachable, "503")],
)
def test_another_programs_server_is_noticed(status: int, error: type[Exception], word: str) -> None:
    handler = type("Handler", (Stranger,), {"status": status})
    with (
        HTTPServer(("127.0.0.1", 0), handler) as other,
        Client(f"http://127.0.0.1:{other.server_port}") as client,
        in_background(other.handle_request),
        pytest.raises(error, match=word),
    ):
        client.status()


def test_a_patient_client_waits_for_the_server_and_stores_nothing_twice(tmp_path: Path) -> None:
    server = ServeProcess(tmp_path / "log.db")
    with Client(server.url(), patience_s=20) as client:
        try:
            with in_background(lambda: _publish_all(client, 5)):
                server.start()
            assert client.info("job:p")["head"] == 5
            assert all(event["id"] for event in client.events("job:p").events)
        finally:
            server.kill()


def _publish_all(client: Client, count: int) -> None:
    for number in range(count):
        client.publish("job:p", [{"type": "x", "data": {"n": number}}])


def test_a_tail_of_several_streams_tells_all_in_order(client: Client) -> None:
    with client.tail(["t:a", "t:b", "t:a"], after="start") as tail:
        for number in range(3):
            client.publish("t:a", [{"type": f"a{number}"}])
            client.publish("t:b", [{"type": f"b{number}"}])
        items = [next(tail) for _ in range(6)]
    for name in "ab":
        assert [i.value["type"] for i in items if i.source == f"t:{name}"] == [f"{name}{n}" for n in range(3)]


def test_a_tail_begins_now_after_a_cursor_or_with_what_passes(client: Client) -> None:
    first = client.publish("t:c", [{"type": "old"}])
    with client.tail("t:c") as now, client.tail("t:c", after=first.cursor) as after:
        wanted = EventSubscriptionFilter(event_types=["y"])
        with client.tail("t:c", after="start", wanted=wanted) as filtered:
            client.publish("t:c", [{"type": "x"}, {"type": "y"}])
            assert next(filtered).value["type"] == "y"
        assert [next(now).value["type"], next(now).value["type"]] == ["x", "y"]
        assert next(after).value["type"] == "x"


def test_a_tail_tells_of_the_end_and_ends(server: ThreadServer, client: Client) -> None:
    client.publish("t:d", [{"type": "x"}])
    with client.tail("t:d", after="start") as tail:
        assert next(tail).what == "event"
        server.run(server.bus.end("t:d"))
        assert [item.what for item in tail] == ["end"]
    with client.tail("t:d", after="start") as again:
        assert [item.what for item in again] == ["event", "end"]


def test_a_tail_tells_of_a_reset_and_of_a_gap(server: ThreadServer, client: Client) -> None:
    receipts = [client.publish("t:e", [{"type": "x"}]) for _ in range(4)]
    server.run(server.bus.trim("t:e", keep=1))
    with client.tail("t:e", after=receipts[0].cursor) as tail:
        gap = next(tail)
        assert (gap.what, gap.value["first_seq"], gap.value["last_seq"]) == ("gap", 2, 3)
        assert next(tail).value["seq"] == 4
        server.run(server.bus.clear("t:e"))
        assert next(tail).what == "reset"


def test_a_firehose_is_tailed_from_now(client: Client) -> None:
    client.publish("f:old", [{"type": "old"}])
    with client.tail(["f:*"]) as tail:
        client.publish("g:other", [{"type": "no"}])
        client.publish("f:new", [{"type": "yes"}])
        item = next(tail)
    assert (item.source, item.value["stream"], item.value["type"]) == ("f:*", "f:new", "yes")


def test_a_cursor_that_is_none_is_raised_by_the_tail(client: Client) -> None:
    with client.tail("t:c", after="nonsense") as tail, pytest.raises(InvalidCursor):
        next(tail)


def test_a_tail_of_nobody_raises() -> None:
    with Client(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(Unreachable):
            client.tail("t:c")
        with client.tail("t:c", after="start") as tail, pytest.raises(Unreachable):
            next(tail)


def test_a_tail_may_be_closed_while_another_thread_waits(client: Client) -> None:
    tail = client.tail("t:quiet")
    with in_background(lambda: list(tail).clear()):
        tail.close()
    assert not [one for one in threading.enumerate() if one.name.startswith("runcast-tail")]


def test_a_tail_of_a_server_that_accepts_and_stays_silent_is_closed_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        accepted: list[socket.socket] = []
        with (
            in_background(lambda: accepted.append(silent.accept()[0])),
            Client(f"http://127.0.0.1:{silent.getsockname()[1]}") as client,
        ):
            tail = client.tail(["t:a", "t:b"], after="start")
            wait_until(lambda: accepted and accepted[0].recv(1), "a request")
            began = time.monotonic()
            tail.close()
            assert time.monotonic() - began < 2.0
            assert list(tail) == []
        accepted[0].close()
    wait_until(
        lambda: not [one for one in threading.enumerate() if one.name.startswith("runcast-tail")], "the end"
    )


def test_a_slow_taker_holds_the_reader_up_and_loses_nothing(client: Client) -> None:
    for batch in range(6):
        client.publish("t:fast", [{"type": "x", "data": {"n": 500 * batch + n}} for n in range(500)])
    with client.tail("t:fast", after="start") as tail:
        first = next(tail)
        wait_until(lambda: len(tail._box._items) >= 1_000, "a full box")
        rest = [next(tail) for _ in range(2_999)]
    assert [item.value["data"]["n"] for item in [first, *rest]] == list(range(3_000))


def test_a_tail_survives_a_kill_and_a_restart_of_its_server(tmp_path: Path) -> None:
    with (
        ServeProcess(tmp_path / "log.db") as server,
        Client(server.url(), patience_s=20) as client,
        client.tail(["t:a", "t:b"]) as tail,
    ):
        for stream in ("t:a", "t:b"):
            client.publish(stream, [{"type": "0"}])
        found = [next(tail), next(tail)]  # both were there, so both come back
        for number, stop in enumerate([server.kill, server.terminate], 1):
            stop()
            server.start()
            client.publish("t:a", [{"type": f"{number}"}])
            client.publish("t:b", [{"type": f"{number}"}])
            while sum(item.what == "event" for item in found) < 2 + 2 * number:
                found.append(next(tail))
    events = [(item.source, item.value["type"]) for item in found if item.what == "event"]
    assert sorted(events) == [(stream, number) for stream in ("t:a", "t:b") for number in ("0", "1", "2")]
    assert {item.what for item in found} == {"event", "lost", "back"}


def test_pauses_grow_to_a_bound_and_differ() -> None:
    never, always = delays(1, 5, lambda: 0.0), delays(1, 5, lambda: 1.0)
    assert [next(never) for _ in range(5)] == [0.5, 1, 2, 2.5, 2.5]
    assert [next(always) for _ in range(5)] == [1, 2, 4, 5, 5]
