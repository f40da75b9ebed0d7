"""What clients see through the shipped nginx: as straight from a node, over TLS, and under their own address."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from contextlib import AsyncExitStack
from typing import Self

import httpx2
import pytest
from tests.deploy.clients import ids, open_sse, open_wss, pong, rest, session
from tests.deploy.conftest import Nodes
from tests.deploy.proxy import AS_OWNER, KEY, Nginx, answer_to, write_certificate
from tests.support.server import WAIT_S, flat, flats
from websockets.asyncio.client import connect

pytestmark = pytest.mark.needs("nginx")


async def test_a_websocket_over_tls(nginx: Nginx) -> None:
    async with open_wss(nginx, session("wss", after="start")) as ws:
        nginx.post("wss", *flats(range(3)))
        assert await ids(ws, 3) == ["e0", "e1", "e2"]
        assert [extension.name for extension in ws.protocol.extensions] == ["permessage-deflate"]


async def test_both_nodes_take_their_part_and_all_clients_see_the_same(nginx: Nginx, nodes: Nodes) -> None:
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(open_wss(nginx, session("spread", after="start")))
            for _ in range(6)
        ]
        nginx.post("spread", *flats(range(5)))
        assert [await ids(ws, 5) for ws in clients] == [[f"e{n}" for n in range(5)]] * 6
        there = [node.http.get("/api/status", headers=AS_OWNER).json()["connected_clients"] for node in nodes]
    assert sum(there) >= 6
    assert min(there) >= 2


async def test_somebody_says_who_they_are_in_the_first_message(nginx: Nginx) -> None:
    async with open_wss(nginx, "/ws/events/first") as ws:
        await ws.send(json.dumps({"type": "auth", "token": KEY}))
        await pong(ws)


async def test_a_refusal_can_be_read(nginx: Nginx) -> None:
    async with open_wss(nginx, session("refused", token="nobody-s")) as ws:
        frames, code = await rest(ws)
    assert (frames[0]["code"], code) == ("unauthenticated", 1008)


async def test_events_of_a_stream_come_as_they_happen(nginx: Nginx) -> None:
    async with open_sse(nginx, "live") as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert await stream.line() == ":"  # at once: nothing waits for a buffer to be full
        for number in range(3):
            nginx.post("live", flat(number))
            assert (await stream.event())["id"] == f"e{number}"  # before the next one is published


async def test_an_event_stream_goes_on_where_it_was(nginx: Nginx) -> None:
    nginx.post("resumed", *flats(range(4)))
    async with open_sse(nginx, "resumed") as stream:
        cursor = [await stream.event() for _ in range(2)][1]["cursor"]
    async with open_sse(nginx, "resumed", **{"Last-Event-ID": cursor}) as stream:
        assert [(await stream.event())["id"] for _ in range(2)] == ["e2", "e3"]


def test_event_streams_over_http_2_share_a_connection(nginx: Nginx) -> None:
    """A browser has six connections to a host without it."""
    nginx.post("many", flat(0))
    url = nginx.url("/api/v1/streams/session:many/sse", after="start")
    command = ["curl", "-sSN", "--http2", "--parallel", "--parallel-immediate", "--parallel-max", "12"]
    command += [
        "--cacert",
        str(nginx.certificate),
        "-H",
        f"Authorization: Bearer {KEY}",
        "-w",
        "%{http_version} ",
    ]
    with subprocess.Popen([*command, *[url] * 10], stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdout is not None
        events = 0
        while events < 10:
            events += '"e0"' in curl.stdout.readline()
        nginx.http.post("/api/v1/streams/session:many/end")  # then they end
        rest = curl.communicate(timeout=WAIT_S)[0]
    assert rest.split().count("2") == 10


async def test_a_page_of_the_same_origin_may_write_and_others_may_not(nginx: Nginx) -> None:
    own, other = nginx.url(), "https://evil.example"
    for origin, status in ((own, 200), (other, 403)):
        answer = nginx.http.post(
            "/api/sessions/origin/events", json={"event_type": "message"}, headers={"Origin": origin}
        )
        assert answer.status_code == status, answer.text
    async with open_wss(nginx, session("origin"), origin=own) as ws:
        await pong(ws)
    async with open_wss(nginx, session("origin"), origin=other) as ws:
        assert (await rest(ws))[0][0]["code"] == "forbidden"


@pytest.mark.parametrize("said", [{}, {"X-Forwarded-Proto": "http"}])
def test_the_server_knows_that_it_is_https(nginx: Nginx, said: dict[str, str]) -> None:
    ticket = nginx.http.post("/api/v1/auth/tickets", headers=said).json()["ticket"]
    with nginx.client() as browser:
        answer = browser.get("/api/v1/auth/me", params={"ticket": ticket}, headers=said)
        assert answer.headers["set-cookie"].startswith("__Host-runcast=")
        assert "Secure" in answer.headers["set-cookie"]


async def test_limits_are_counted_by_the_clients_address_whatever_it_says(nodes: Nodes) -> None:
    """Three of one address may be silent about who they are."""

    def come(source: str, said: str) -> connect:
        headers = {"X-Forwarded-For": said, "Forwarded": f"for={said}", "X-Real-IP": said}
        return open_wss(nginx, "/ws/events/address", source=source, additional_headers=headers)

    with Nginx([nodes[0].port]) as nginx:
        async with AsyncExitStack() as stack:
            for number in range(3):
                await stack.enter_async_context(come("127.0.0.2", f"203.0.113.{number}"))
            async with come("127.0.0.2", "203.0.113.9") as fourth:
                assert (await rest(fourth))[0][0]["code"] == "too_many"
            async with come("127.0.0.3", "127.0.0.2") as neighbour:
                await neighbour.send(json.dumps({"type": "auth", "token": KEY}))
                await pong(neighbour)


def test_plain_http_is_sent_to_https(nginx: Nginx) -> None:
    answer = httpx2.get(f"http://127.0.0.1:{nginx.plain_port}/a?b=c", headers={"Host": "runcast.example"})
    assert (answer.status_code, answer.headers["location"]) == (308, "https://runcast.example/a?b=c")


def test_old_tls_is_refused(nginx: Nginx) -> None:
    context = nginx.context
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", nginx.port)) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_another_certificate_is_not_believed(nginx: Nginx) -> None:
    """That is: these tests do check it."""
    folder = nginx.folder / "other"
    folder.mkdir()
    write_certificate(folder / "cert.pem", folder / "key.pem")
    stranger = ssl.create_default_context(cafile=folder / "cert.pem")
    with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx2.get(nginx.url("/health"), verify=stranger)


class Recorder:
    """In the place of a node: keeps what nginx sends it, and answers 200."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.heads: list[bytes] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(WAIT_S)

    @property
    def headers(self) -> dict[str, str]:
        """Of the last request, their names in lower case."""
        _, *lines = self.heads[-1].decode().splitlines()
        pairs = [line.partition(": ") for line in lines]
        assert len({name.lower() for name, _, _ in pairs}) == len(pairs), lines
        return {name.lower(): value for name, _, value in pairs}

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                data = b""
                while b"\r\n\r\n" not in data:
                    data += connection.recv(65_536)
                self.heads.append(data.partition(b"\r\n\r\n")[0])
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


def test_what_a_node_is_told() -> None:
    spoofed = (
        "X-Forwarded-For: 9.9.9.9\nX-Forwarded-Proto: http\nX-Forwarded-Host: evil.example\n"
        "Forwarded: for=9.9.9.9\nX-Real-IP: 9.9.9.9\nx-forwarded-for: 8.8.8.8"
    )
    with Recorder() as node, Nginx([node.port]) as nginx:
        host = f"localhost:{nginx.port}"
        usual = {
            "host": host,
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-proto": "https",
        }
        for path in ("/", "/api/v1/chat"):
            status, _ = answer_to(nginx, f"GET {path} HTTP/1.1\nHost: {host}\nConnection: close\n{spoofed}")
            assert (status, node.headers) == (200, usual)
        h2c = "Upgrade: h2c\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\nConnection: close, Upgrade, HTTP2-Settings"
        answer_to(nginx, f"GET / HTTP/1.1\nHost: {host}\n{h2c}")
        assert not {"upgrade", "connection"} & node.headers.keys()  # it is kept, and nothing is upgraded
        answer_to(nginx, f"GET / HTTP/1.1\nHost: {host}\nUpgrade: WebSocket\nConnection: close, Upgrade")
        assert node.headers == {**usual, "upgrade": "websocket", "connection": "upgrade"}


def test_no_log_has_a_key() -> None:
    """Neither of what goes well nor of what fails: here, at the node, or for want of one."""
    secret = "rk_a-key-that-nobody-may-read"
    with Nginx([1]) as nginx:
        for path in ("/", "/api/v1/chat", "/" + "x" * 20_000):
            with nginx.client() as client:
                assert client.get(path, params={"api_key": secret}).status_code in {503, 414}
        assert answer_to(nginx, f"BAD /?token={secret} HTTP/1.1\nHost: a\nHost: b")[0] == 400
        assert answer_to(nginx, f"POST /?token={secret} HTTP/1.1\nHost: a\nContent-Length: 9000000")[0] == 413
        nginx.stop()
        logs = {file.name: file.read_text() for file in nginx.folder.iterdir() if file.is_file()}
    assert len(logs["access.log"].splitlines()) >= 4
    assert not [name for name, text in logs.items() if secret in text]
