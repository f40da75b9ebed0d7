"""What the shipped nginx refuses: the same as Runcast, in the same words; and whom it keeps from the nodes."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack

import httpx2
import pytest
from tests.deploy.clients import ids, open_wss, rest, session
from tests.deploy.conftest import Nodes
from tests.deploy.proxy import AS_OWNER, CONF, DEPLOY, Nginx, Node, answer_to, raw_tls, read_answer
from tests.support.clients import events_of
from tests.support.server import WAIT_S, flat, flats, wait_until

from runcast.config import Settings

pytestmark = pytest.mark.needs("nginx")

SETTINGS = Settings()
JSON = {"Content-Type": "application/json"}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
KIB = {"k": 1024, "m": 1024 * 1024}


def figure(name: str, text: str = CONF) -> str:
    """What a directive says that is there once."""
    (found,) = re.findall(rf"^\s*{name} ([^;]+);", text, re.MULTILINE)
    return found


def seconds(name: str, text: str = CONF) -> int:
    value = figure(name, text)
    return int(value[:-1]) * SECONDS[value[-1]]


def size(value: str) -> int:
    return int(value[:-1]) * KIB[value[-1]]


def test_figures_agree_with_the_settings() -> None:
    count, each = figure("large_client_header_buffers").split()
    assert size(figure("client_max_body_size")) == SETTINGS.request_max_bytes
    assert size(each) == SETTINGS.request_address_max_bytes
    assert int(count) * size(each) == SETTINGS.request_head_max_bytes
    assert seconds("client_header_timeout") == SETTINGS.request_head_timeout_s
    assert seconds("client_body_timeout") == SETTINGS.request_body_timeout_s
    assert f"limit of {SETTINGS.request_max_bytes} bytes" in CONF
    assert f"limit of {SETTINGS.request_address_max_bytes} bytes" in CONF
    assert f"limit of {SETTINGS.request_head_max_bytes} bytes" in CONF


def test_runcast_is_the_first_to_give_up_as_it_says_why() -> None:
    silent_s = [SETTINGS.ws_ping_interval_s + SETTINGS.ws_ping_timeout_s, SETTINGS.sse_comment_interval_s]
    reads = [int(value) * SECONDS[unit] for value, unit in re.findall(r"proxy_read_timeout (\d+)(\w);", CONF)]
    assert min(reads) > max(silent_s)
    assert seconds("send_timeout") > SETTINGS.stalled_after_s
    assert seconds("proxy_send_timeout") > SETTINGS.stalled_after_s
    assert max(reads) > SETTINGS.chat_answer_timeout_s


def test_connections_to_nodes_are_closed_by_nginx_not_by_nodes() -> None:
    import inspect

    import uvicorn

    kept_s = inspect.signature(uvicorn.Config).parameters["timeout_keep_alive"].default
    for name in ("nodes.conf", "nodes.compose.conf"):
        assert seconds("keepalive_timeout", (DEPLOY / "nginx" / name).read_text()) < kept_s


def padded(size_bytes: int) -> bytes:
    """A body of so many bytes that is an event in nobody's eyes."""
    return b" " * size_bytes


@pytest.mark.parametrize(
    ("excess", "status", "code"),
    [(0, 400, "invalid_input"), (1, 413, "too_large"), (1024 * 1024, 413, "too_large")],
)
def test_a_body_may_be_as_long_as_runcast_takes(nginx: Nginx, excess: int, status: int, code: str) -> None:
    body = padded(SETTINGS.request_max_bytes + excess)
    answer = nginx.http.post("/api/sessions/big/events", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_of_unknown_length_too(nginx: Nginx) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(9):
            yield padded(1024 * 1024)

    with nginx.client(headers=AS_OWNER) as client:
        answer = client.post("/api/sessions/big/events", content=parts(), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_its_words_are_runcasts_words(nginx: Nginx, nodes: Nodes) -> None:
    """The same request straight to a node is refused in the same way."""
    body = padded(SETTINGS.request_max_bytes + 1)
    long = "/" + "x" * SETTINGS.request_address_max_bytes
    heads = {f"X-{number}": "y" * 16_000 for number in range(5)}
    for method, path, headers, content in (
        ("POST", "/api/sessions/big/events", JSON, body),
        ("GET", long, {}, b""),
        ("GET", "/health", heads, b""),
    ):
        answers = [
            client.request(method, path, headers={**AS_OWNER, **headers}, content=content)
            for client in (nginx.http, nodes[0].http)
        ]
        assert len({answer.status_code for answer in answers}) == 1
        here, there = (answer.json() for answer in answers)
        assert here.keys() == there.keys()
        assert [here[key] for key in ("status", "code", "field")] == [
            there[key] for key in ("status", "code", "field")
        ]
        assert there["detail"].rstrip(".") in here["detail"]


def test_what_is_no_http(nginx: Nginx) -> None:
    for head in ("GET", "GET / HTTP/1.1", "GET / HTTP/1.1\nHost: a\nHost: b"):
        status, text = answer_to(nginx, head)
        assert (status, problem_in(text)["code"]) == (400, "bad_request")


def test_more_headers_than_runcast_takes(nginx: Nginx) -> None:
    answer = nginx.http.get("/health", headers={f"X-{number}": "y" for number in range(101)})
    assert (answer.status_code, answer.json()["field"]) == (431, "headers")


def test_a_batch_as_large_as_runcast_takes(nginx: Nginx) -> None:
    """Seven of eight MiB: kept in a file here until it is whole."""
    events = flats(range(500), noise="x" * 15_000)
    assert nginx.post("batch", *events)["count"] == 500


def test_an_event_of_the_largest_size_and_a_long_answer(nginx: Nginx) -> None:
    nginx.post("wide", *[flat(number, noise="x" * 200_000) for number in range(8)])
    page = nginx.get("/api/sessions/wide/events")
    assert [event["event_id"] for event in page["events"]][:1] == ["e0"]


def test_a_head_that_does_not_come_is_not_waited_for(nodes: Nodes) -> None:
    with (
        Nginx([nodes[0].port], **{"client_header_timeout 10s": "client_header_timeout 1s"}) as nginx,
        raw_tls(nginx) as tls,
    ):
        began_s = time.monotonic()
        tls.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        assert tls.recv(1) == b""
        assert 0.9 < time.monotonic() - began_s < WAIT_S / 2


def test_slow_bodies_wait_here_and_no_node_hears_of_them() -> None:
    """Sixty clients that send a byte at a time: to a node they do not exist until they are complete."""
    with (
        socket.create_server(("127.0.0.1", 0)) as node,
        Nginx([node.getsockname()[1]]) as nginx,
        ExitStack() as stack,
    ):
        node.settimeout(WAIT_S)
        slow = [stack.enter_context(raw_tls(nginx)) for _ in range(60)]
        for tls in slow:
            tls.sendall(b"POST /slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\na")
        for tls in slow:
            tls.sendall(b"b")
        slow[0].sendall(b"c")
        with node.accept()[0] as connection:
            text = connection.recv(65_536)
            assert text.startswith(b"POST /slow HTTP/1.1")
            assert text.endswith(b"\r\n\r\nabc")
            connection.sendall(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
        assert read_answer(slow[0])[0] == 204
        node.setblocking(False)
        with pytest.raises(BlockingIOError):
            node.accept()


async def test_a_client_that_reads_nothing_costs_the_others_nothing(nodes: Nodes) -> None:
    """It is given up by the node, which says why; nginx's own time is longer."""
    node = nodes[0]
    with Nginx([node.port]) as nginx:
        async with AsyncExitStack() as stack:
            quick = await stack.enter_async_context(open_wss(nginx, session("flood", after="start")))
            idle = await stack.enter_async_context(
                open_wss(nginx, session("flood", after="start"), max_queue=1, compression=None)
            )
            total = 800
            for start in range(0, total, 100):
                nginx.post("flood", *flats(range(start, start + 100), noise="x" * 20_000))
                assert await ids(quick, 100) == [f"e{number}" for number in range(start, start + 100)]
            await asyncio.to_thread(wait_until, lambda: clients_of(node) == 1)
            frames, code = await rest(idle)
    told = [event["event_id"] for event in events_of([frame for frame in frames if frame["type"] == "batch"])]
    assert told == [f"e{number}" for number in range(len(told))]
    assert len(told) < total
    assert code == 1013


def clients_of(node: Node) -> int:
    return node.http.get("/api/status", headers=AS_OWNER).json()["connected_clients"]


@pytest.fixture
def strict(nodes: Nodes) -> Iterator[Nginx]:
    """The same configuration with figures that a test reaches."""
    changes = {
        "limit_conn connections 1000": "limit_conn connections 4",
        "burst=1000": "burst=9",
        "rate=500r/s": "rate=1r/s",
    }
    with Nginx([node.port for node in nodes], **changes) as nginx:
        yield nginx


def test_too_many_requests_of_one_address(strict: Nginx) -> None:
    with strict.client() as client:
        answers = [client.get("/health", headers={"X-Forwarded-For": f"1.1.1.{n}"}) for n in range(15)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert [answer.status_code for answer in answers[:10]] == [200] * 10
    assert len(refused) >= 4
    assert refused[0].json()["code"] == "too_many"
    assert refused[0].headers["retry-after"] == "1"
    with strict.client("127.0.0.5") as neighbour:
        assert neighbour.get("/health").status_code == 200


async def test_too_many_connections_of_one_address(strict: Nginx) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(open_wss(strict, session("held"), source="127.0.0.6"))
        with strict.client("127.0.0.6") as client:
            answer = client.get("/health")
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many")
        with strict.client("127.0.0.7") as neighbour:
            assert neighbour.get("/health").status_code == 200


def test_no_node_answers() -> None:
    with Nginx([1, 2]) as nginx:
        answer = nginx.http.get("/health")
    assert (answer.status_code, answer.json()["status"], answer.json()["code"]) == (503, 503, "unreachable")
    assert answer.headers["retry-after"] == "1"


def test_a_node_that_hangs_is_not_waited_for(nodes: Nodes) -> None:
    """Its connections are taken by the kernel, and nobody answers: that is the longest wait there is."""
    changes = {"proxy_read_timeout 75s": "proxy_read_timeout 1s"}
    with (
        socket.create_server(("127.0.0.1", 0)) as hanging,
        Nginx([hanging.getsockname()[1], nodes[1].port], **changes) as nginx,
    ):
        answers = [nginx.http.get("/health").status_code for _ in range(4)]
        assert answers == [200] * 4
        assert wait_until(lambda: [line for line in nginx.access_log if "node_status=504, 200" in line])


def problem_in(answer: str) -> dict[str, object]:
    head, _, body = answer.partition("\r\n\r\n")
    assert "content-type: application/problem+json" in head.lower()
    return json.loads(body)


def test_what_a_node_refuses_passes_unchanged(nginx: Nginx, nodes: Nodes) -> None:
    for path in ("/nowhere", "/api/sessions"):
        here = httpx2.get(nginx.url(path), verify=nginx.context)
        there = httpx2.get(nodes[0].url(path))
        assert (here.status_code, here.json()) == (there.status_code, there.json())
        assert here.status_code in {401, 404}
