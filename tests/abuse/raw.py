"""A hostile client's tools: bytes on a socket, and what comes back."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from tests.support.server import Server

WAIT_S = 20.0
HOST = "Host: localhost\r\n"
NDJSON = "Content-Type: application/x-ndjson\r\n"

Pieces = Iterable[bytes]


@contextmanager
def connection(server: Server, receive_buffer: int | None = None) -> Iterator[socket.socket]:
    with socket.socket() as client:
        client.settimeout(WAIT_S)
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect(("127.0.0.1", server.port))
        yield client


def say(server: Server, *pieces: bytes, more: Pieces = ()) -> str:
    """Send all pieces, or as many as are taken, and tell what was answered."""
    with connection(server) as client:
        send_all(client, pieces)
        send_all(client, more)
        return told(read_all(client))


def send_all(client: socket.socket, pieces: Pieces) -> int:
    """Send until the server has closed or answered; returns how many bytes went out."""
    sent = 0
    with suppress(ConnectionError):
        for piece in pieces:
            if has_answer(client):
                break
            client.sendall(piece)
            sent += len(piece)
    return sent


def drip(client: socket.socket, data: bytes, pause: Callable[[float], object], every_s: float = 0.02) -> None:
    """Send a byte at a time, for ever, until the server has closed or answered."""
    send_all(client, _dripping(data, pause, every_s))


def _dripping(data: bytes, pause: Callable[[float], object], every_s: float) -> Iterator[bytes]:
    while True:
        for byte in data:
            pause(every_s)
            yield bytes((byte,))


def has_answer(client: socket.socket) -> bool:
    """Whether something has come, or the server has closed."""
    client.setblocking(False)
    try:
        client.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    finally:
        client.settimeout(WAIT_S)
    return True


def read_all(client: socket.socket) -> bytes:
    """All that comes until the server closes."""
    received = b""
    with suppress(ConnectionError):
        while data := client.recv(65_536):
            received += data
    return received


def told(answer: bytes) -> str:
    """An HTTP answer in a few words: `413 too_large`; several answers are told of by their number."""
    if not answer:
        return "closed"
    count = answer.count(b"HTTP/1.1 ")
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split()[1].decode()
    with suppress(ValueError, KeyError):
        status += f" {json.loads(body)['code']}"
    return status if count == 1 else f"{count} answers"
