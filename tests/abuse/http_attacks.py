"""What a hostile client does over HTTP."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack

import httpx2
from tests.abuse.raw import HOST, NDJSON, WAIT_S, connection, drip, read_all, say, told
from tests.support.server import Server

MIB = 1024 * 1024
MANY = 100
GZIP_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


def silent_connections(server: Server) -> str:
    """Connect, and say nothing."""
    with ExitStack() as stack:
        clients = [stack.enter_context(connection(server)) for _ in range(MANY)]
        return _all_the_same([told(read_all(client)) for client in clients])


def slow_heads(server: Server) -> str:
    """Slow loris: a header that comes a byte at a time, without an end."""
    return _slowly(server, b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"a")


def slow_empty_lines(server: Server) -> str:
    """What begins no request at all, for ever."""
    return _slowly(server, b"", b"\r\n")


def slow_bodies(server: Server) -> str:
    """A body that comes a byte at a time."""
    head = f"POST /api/sessions/x/events HTTP/1.1\r\n{HOST}{NDJSON}Content-Length: 1000000\r\n\r\n"
    return _slowly(server, head.encode(), b" ")


def endless_header(server: Server) -> str:
    """One header of as many bytes as are taken."""
    return say(server, b"GET / HTTP/1.1\r\nX-Long: ", more=_endless(b"a" * 65_536))


def many_headers(server: Server) -> str:
    return say(server, b"GET / HTTP/1.1\r\n", more=_endless(b"a: b\r\n" * 100))


def endless_address(server: Server) -> str:
    return say(server, b"GET /", more=_endless(b"a" * 65_536))


def endless_body(server: Server) -> str:
    """A chunked body of as many chunks as are taken."""
    head = f"POST /api/sessions/x/events HTTP/1.1\r\n{HOST}{NDJSON}Transfer-Encoding: chunked\r\n\r\n"
    return say(server, head.encode(), more=_endless(b"10000\r\n" + b"a" * 65_536 + b"\r\n"))


def tiny_chunks(server: Server) -> str:
    """A body of a byte per chunk: six on the wire, and a step of the parser, for each."""
    head = f"POST /api/sessions/x/events HTTP/1.1\r\n{HOST}{NDJSON}Transfer-Encoding: chunked\r\n\r\n"
    return say(server, head.encode(), more=_endless(b"1\r\n \r\n" * 10_000))


def endless_trailer(server: Server) -> str:
    head = f"POST /api/sessions/x/events HTTP/1.1\r\n{HOST}{NDJSON}Transfer-Encoding: chunked\r\n\r\n"
    return say(server, head.encode() + b"1\r\n{\r\n0\r\nX-Late: ", more=_endless(b"a" * 65_536))


def claimed_body(server: Server) -> str:
    """A length that nobody will ever send."""
    head = f"POST /api/sessions/x/events HTTP/1.1\r\n{HOST}{NDJSON}Content-Length: 99999999999\r\n\r\n"
    return say(server, head.encode(), more=_endless(b"a" * 65_536))


def pipelined_requests(server: Server) -> str:
    """A million requests in one piece, and nobody who reads the answers."""
    return _never_reading(server, f"GET /api/status HTTP/1.1\r\n{HOST}\r\n".encode() * 1_000_000)


def pipelined_writes(server: Server) -> str:
    """The same with bodies, which the app asks for."""
    head = f"POST /api/sessions/x/events HTTP/1.1\r\n{HOST}{NDJSON}Content-Length: 2\r\n\r\n{{}}"
    return _never_reading(server, head.encode() * 300_000)


def not_http(server: Server) -> str:
    return say(server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500)


def smuggled_lengths(server: Server) -> str:
    """Two lengths that contradict each other (RFC 9112 §6.3)."""
    head = (
        f"POST /api/sessions/x/events HTTP/1.1\r\n{HOST}{NDJSON}"
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\n\r\n"
    )
    return say(server, head.encode())


def upgrade_to_something_else(server: Server) -> str:
    return say(
        server,
        f"GET /health HTTP/1.1\r\n{HOST}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n".encode(),
        more=_endless(b"a" * 65_536),
    )


def rebound_host(server: Server) -> str:
    """DNS rebinding: a name of the attacker's that points here."""
    return say(server, b"GET /api/sessions HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")


def foreign_origin(server: Server) -> str:
    return _post(server, b'{"event_type": "a"}', Origin="https://evil.example")


def empty_arrays(server: Server) -> str:
    """8 MiB of arrays, each of which would be an object in memory."""
    return _post(server, b"[" + b",".join([b"[]"] * ((8 * MIB - 2) // 3)) + b"]")


def empty_objects(server: Server) -> str:
    return _post(server, b"[" + b",".join([b"{}"] * ((8 * MIB - 2) // 3)) + b"]")


def empty_lines_of_objects(server: Server) -> str:
    return _post(server, b"{}\n" * (8 * MIB // 3), **{"Content-Type": "application/x-ndjson"})


def bushy_event(server: Server) -> str:
    """One event of 8 MiB of empty arrays."""
    return _post(server, b'{"event_type": "a", "x": [' + b",".join([b"[]"] * (8 * MIB // 3 - 20)) + b"]}")


def bushy_events(server: Server) -> str:
    """Events that are each just small enough, and dense."""
    one = b'{"event_type": "a", "x": [' + b",".join([b"[]"] * 80_000) + b"]}"
    return _post(server, b"[" + b",".join([one] * 33) + b"]")


def deep_event(server: Server) -> str:
    return _post(server, b'{"event_type": "a", "x": ' + b"[" * 4 * MIB + b"]" * 3 * MIB + b"}")


def packed_bomb(server: Server) -> str:
    """A gigabyte, packed into a megabyte."""
    bomb = _packed_zeros(1024)
    answer = httpx2.post(
        server.url("/v1/logs"),
        content=bomb,
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
        timeout=WAIT_S,
    )
    return str(answer.status_code)


def traversing_ids(server: Server) -> str:
    """Names that would be paths somewhere else."""
    names = ["..%2F..%2Fetc%2Fpasswd", "%2e%2e", "..%5C..%5Cwindows", "a%00b", "%C0%AE%C0%AE", "$%7Bjndi%7D"]
    answers = [
        say(server, f"GET /api/sessions/{name}/events HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n".encode())
        for name in names
    ]
    files = [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "//etc/passwd",
        "/static//etc/passwd",
    ]
    answers += [
        say(server, f"GET {path} HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n".encode()) for path in files
    ]
    return " | ".join(sorted(set(answers)))


def filter_bombs(server: Server) -> str:
    """Filters that are too long, too deep, or too many words."""
    bombs = [
        json.dumps({"event_types": ["a"] * 4_000}, separators=(",", ":")),
        json.dumps({"event_types": ["a" * 20_000]}),
        "[" * 15_000,
        '{"event_types":' * 1_000,
        json.dumps({"cost_threshold_tokens": -(10**300)}),
        '{"cost_threshold_tokens": 1e400}',
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ]
    answers = [
        httpx2.get(server.url("/api/events"), params={"filter": bomb}, timeout=WAIT_S) for bomb in bombs
    ]
    return " | ".join(sorted({f"{answer.status_code} {answer.json()['code']}" for answer in answers}))


def _never_reading(server: Server, data: bytes) -> str:
    with connection(server, receive_buffer=4_096) as client:
        client.settimeout(0.5)
        try:
            client.sendall(data)
        except TimeoutError:
            return "not taken any more"
        return "all taken"


def _post(server: Server, body: bytes, **headers: str) -> str:
    answer = httpx2.post(
        server.url("/api/sessions/x/events"),
        content=body,
        headers={"Content-Type": "application/json", **headers},
        timeout=WAIT_S,
    )
    return f"{answer.status_code} {answer.json().get('code')}"


def _slowly(server: Server, first: bytes, then: bytes) -> str:
    stop = threading.Event()
    with ExitStack() as stack:
        clients = [stack.enter_context(connection(server)) for _ in range(MANY)]
        for client in clients:
            client.sendall(first)
        drip(clients[0], then, stop.wait)
        return _all_the_same([told(read_all(client)) for client in clients if first or client is clients[0]])


def _endless(piece: bytes) -> Iterator[bytes]:
    """Until somebody stops it; a server that never does is found out by its memory, or by this limit."""
    for _ in range(1_000_000_000 // len(piece)):
        yield piece


def _all_the_same(answers: list[str]) -> str:
    return " | ".join(sorted(set(answers)))


def _packed_zeros(mib: int) -> bytes:
    """A packed MiB over and over, each of which stands for itself (RFC 1951); nobody reads as far as the end."""
    packer = zlib.compressobj(9, wbits=-15)
    return GZIP_HEAD + (packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)) * mib
