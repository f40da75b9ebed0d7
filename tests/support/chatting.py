"""Talking to the chat in tests: frames said and heard, and responders that wait for the test."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterable
from typing import Any

from websockets.sync.client import ClientConnection

from runcast.runners.chat.responder import Piece, Question
from tests.support.clients import Frames, receive, take_until

QUESTION = "What is the engine power?"
WAIT_S = 20.0


def say(ws: ClientConnection, **frame: Any) -> None:
    """Send a frame."""
    ws.send(json.dumps(frame))


def known(ws: ClientConnection) -> dict[str, Any]:
    """The first frame, which must be `auth_success`."""
    first = receive(ws)
    assert first["type"] == "auth_success", first
    return first


def until(ws: ClientConnection, *types: str) -> Frames:
    """All frames to the first of one of these types."""
    return take_until(ws, lambda frames: bool(frames) and frames[-1]["type"] in types)


def ask(ws: ClientConnection, text: str = QUESTION, **more: Any) -> Frames:
    """Say something; all frames to the end of the answer."""
    say(ws, type="message", message=text, **more)
    return until(ws, "complete", "error")


def calm(ws: ClientConnection) -> Frames:
    """All that came before the answer to a ping."""
    say(ws, type="ping")
    return until(ws, "pong")[:-1]


def attachment(content: bytes, **head: Any) -> bytes:
    """A binary frame."""
    encoded = json.dumps(head).encode()
    return len(encoded).to_bytes(4, "big") + encoded + content


def text_of(frames: Iterable[dict[str, Any]]) -> str:
    """The tokens of all frames, joined."""
    return "".join(frame["token"] for frame in frames if frame["type"] == "token")


class Script:
    """A responder that gives its pieces, and after the first waits for the test's `go`."""

    def __init__(self, *pieces: Piece, waits_after: int = 1) -> None:
        self.pieces = pieces or ("one ", "two ", "three")
        self.questions: list[Question] = []
        self.closed = threading.Event()
        self._waits_after = waits_after
        self.go = threading.Event()

    async def __call__(self, question: Question) -> AsyncIterator[Piece]:
        self.questions.append(question)
        try:
            for number, piece in enumerate(self.pieces, 1):
                yield piece
                while number == self._waits_after and not self.go.is_set():
                    await asyncio.sleep(0.005)
        finally:
            self.closed.set()
