"""What a hostile client does over its WebSocket, or with many of them."""

from __future__ import annotations

import json
import threading
import time
import zlib
from contextlib import ExitStack, suppress

from tests.abuse.raw import connection
from tests.support.server import Server
from tests.support.wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, Wire, frame

MIB = 1024 * 1024
RSV1 = 0b100
PER_SECOND = 200
PUBLISHED_BYTES = 10 * MIB
"""More than the kernel takes for a client (`net.ipv4.tcp_wmem`) and we hold for it."""
JSON = {"Content-Type": "application/json"}


def frame_of_a_megabyte(server: Server) -> str:
    return _ended(server, frame(TEXT, b"x" * MIB))


def claimed_frame(server: Server) -> str:
    """A length that nobody will ever send."""
    return _ended(server, frame(BINARY, claimed=2**40))


def endless_fragments(server: Server) -> str:
    return _ended(server, frame(TEXT, b"x", fin=False), *[frame(CONT, b"x" * 32_768, fin=False)] * 1_000)


def endless_empty_fragments(server: Server) -> str:
    """They add nothing to the size of the message."""
    return _ended(server, frame(TEXT, b"", fin=False), frame(CONT, b"", fin=False) * 1_000_000)


def packed_bomb(server: Server) -> str:
    """A gigabyte, packed into a megabyte, in one message."""
    return _ended(server, frame(TEXT, _bomb(1024), rsv=RSV1), deflate=True)


def packed_bomb_in_fragments(server: Server) -> str:
    bomb = _bomb(64)
    parts = [bomb[at : at + 64] for at in range(0, len(bomb), 64)]
    frames = [frame(CONT, part, fin=False) for part in parts[1:]]
    return _ended(server, frame(TEXT, parts[0], fin=False, rsv=RSV1), *frames, deflate=True)


def invalid_utf8(server: Server) -> str:
    return _ended(server, frame(TEXT, b'{"type": "\xc0\xaf"}'))


def reserved_bits(server: Server) -> str:
    return _ended(server, frame(TEXT, b"x", rsv=0b111))


def unmasked(server: Server) -> str:
    return _ended(server, frame(TEXT, b'{"type": "ping"}', masked=False))


def invalid_close(server: Server) -> str:
    return _ended(server, frame(CLOSE, b"\x03\xee"))


def ping_flood(server: Server) -> str:
    return _ended(server, frame(PING, b"x" * 125) * 100_000)


def ping_flood_unread(server: Server) -> str:
    """Nobody reads the answers: they must not be kept."""
    with Wire(server.session("abuse"), receive_buffer=4_096) as wire:
        wire.send(*[frame(PING, b"x" * 125)] * 100_000)
        return _told(wire)


def pong_flood(server: Server) -> str:
    return _ended(server, frame(PONG) * 1_000_000)


def message_flood(server: Server) -> str:
    return _ended(server, frame(TEXT, b'{"type": "ping"}') * 100_000)


def tiny_message_flood(server: Server) -> str:
    return _ended(server, frame(TEXT) * 500_000)


def deep_message(server: Server) -> str:
    with Wire(server.session("abuse")) as wire:
        wire.send(frame(TEXT, b"[" * 60_000))
        answer = wire.receive()
        assert answer is not None
        return json.loads(answer.payload)["code"]


def many_subscriptions(server: Server) -> str:
    """Ten thousand of them over one socket."""
    asked = [json.dumps({"op": "subscribe", "stream": f"session:s{number}"}) for number in range(10_000)]
    with Wire(server.ws("/api/v1/stream")) as wire:
        wire.send(*[frame(TEXT, one.encode()) for one in asked])
        return _told(wire)


def traversing_ids(server: Server) -> str:
    names = ["..%2F..%2Fetc%2Fpasswd", "%2e%2e", "a%00b", "../../x", "%FF%FE", "a" * 300]
    answers: set[str] = set()
    for name in names:
        with Wire(server.ws(f"/ws/events/{name}")) as wire:
            answers.add(_told(wire))
    return " | ".join(sorted(answers))


def filter_bombs(server: Server) -> str:
    bombs = [
        json.dumps({"event_types": ["a"] * 600}, separators=(",", ":")),
        json.dumps({"event_types": ["a" * 3_000]}),
        "[" * 2_500,
        '{"event_types":' * 150,
    ]
    answers: set[str] = set()
    for bomb in bombs:
        with Wire(server.session("abuse", filter=bomb)) as wire:
            answers.add(_told(wire))
    return " | ".join(sorted(answers))


def rebound_host(server: Server) -> str:
    with connection(server) as client:
        client.sendall(
            b"GET /ws/events/abuse HTTP/1.1\r\nHost: evil.example\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"
        )
        answer = b""
        with suppress(ConnectionError):
            while b"forbidden" not in answer and (data := client.recv(65_536)):
                answer += data
    return "forbidden" if b'"code":"forbidden"' in answer else answer.decode("latin-1")


def foreign_origin(server: Server) -> str:
    with Wire(server.session("abuse"), more="Origin: https://evil.example\r\n") as wire:
        return _told(wire)


def unread_events(server: Server) -> str:
    """A client that never reads, while somebody publishes: little at a time, for it is not the publisher's attack."""
    event = json.dumps({"event_type": "a", "noise": "x" * 30_000}).encode()
    with Wire(server.session("abuse-unread"), receive_buffer=4_096):
        for _ in range(PUBLISHED_BYTES // len(event)):
            answer = server.http.post("/api/sessions/abuse-unread/events", content=event, headers=JSON)
            assert answer.status_code == 200, answer.text
        blocked = server.http.get("/metrics").text
    return "blocked, not queued for" if "runcast_connections_blocked 1.0" in blocked else "not noticed"


def connection_storm(server: Server) -> str:
    """200 new connections per second for two seconds, each of which is left open until the end."""
    pace = threading.Event()
    with ExitStack() as stack:
        began = time.monotonic()
        wires: list[Wire] = []
        for number in range(2 * PER_SECOND):
            pace.wait(max(0.0, began + number / PER_SECOND - time.monotonic()))
            wires.append(stack.enter_context(Wire(server.session("abuse-storm"))))
    switched = sum(" 101 " in wire.head for wire in wires)
    return f"{switched} of {len(wires)} served"


def _ended(server: Server, *frames: bytes, deflate: bool = False) -> str:
    """Send frames, and tell how the server ended it."""
    more = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else ""
    with Wire(server.session("abuse"), more=more) as wire:
        wire.send(*frames)
        return _told(wire)


def _told(wire: Wire) -> str:
    """The last error that was said, and the code of the close."""
    said = ""
    while (received := wire.receive()) is not None:
        if received.opcode == TEXT and not received.rsv:
            said = json.loads(received.payload).get("code", said)
        elif received.opcode == CLOSE:
            return f"{said} {received.code}".strip()
    return f"{said} cut off".strip()


def _bomb(mib: int) -> bytes:
    """So many MiB of zeros: a packed MiB over and over, each of which stands for itself."""
    packer = zlib.compressobj(9, wbits=-12)
    return (packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)) * mib
