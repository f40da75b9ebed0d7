"""Answers that cannot be stored as their responder makes them: each fails once, and is not made again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.chat_server import ChatServer
from tests.support.chatting import ask, known, text_of
from tests.support.clients import open_ws
from tests.support.server import wait_until

from runcast.errors import InvalidInput
from runcast.runners.chat.failure import FLAW
from runcast.runners.chat.responder import MAX_METADATA_BYTES, Metadata, Piece, Question

LARGE = "y" * 300_000


class Responder:
    """Makes one answer and counts how often."""

    def __init__(self, *pieces: Piece) -> None:
        self.pieces = pieces
        self.questions = 0

    async def __call__(self, question: Question) -> AsyncIterator[Piece]:
        self.questions += 1
        if question.text == "fine":
            yield "Yes."
            return
        for piece in self.pieces:
            yield piece


def changed(more: dict[str, object]) -> Metadata:
    """What was right when it was made, and is not any more."""
    fields: dict[str, object] = {}
    told = Metadata(more=fields)
    fields.update(more)
    return told


@pytest.mark.parametrize(
    "pieces",
    [
        (changed({"x": LARGE}),),
        ("some text", changed({"x": LARGE})),
        ("some text", changed({"x": object()})),
        (*(Metadata(more={f"f{number}": "y" * 30_000}) for number in range(10)), "some text"),
    ],
    ids=["large", "large, after text", "no JSON", "too much in all"],
)
def test_metadata_that_cannot_be_stored(tmp_path: Path, pieces: tuple[Piece, ...]) -> None:
    responder = Responder(*pieces)
    with (
        ChatServer(tmp_path / "log.db", responder=responder) as server,
        open_ws(server.chat("ann")) as ws,
    ):
        known(ws)
        last = ask(ws, session_id="s")[-1]
        assert (last["type"], last["code"], last["error"]) == ("error", "PROCESSING_ERROR", FLAW)
        wait_until(lambda: not server.run(server.chats.is_open("chat:s")))
        assert ask(ws, "fine", session_id="s")[-1]["type"] == "complete"
        assert responder.questions == 2
        server.errors.forgive()


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        (("x" * 60_000,), 0),
        (("x" * 12_000, "y" * 12_000), 0),
        (("x" * 6_000, Metadata(more={"x": "y" * 6_000})), 6_000),
    ],
    ids=["one piece", "pieces", "only its end"],
)
def test_what_is_too_large_for_an_event(tmp_path: Path, pieces: tuple[Piece, ...], told: int) -> None:
    """Of a server whose events may be smaller than what is gathered for one."""
    responder = Responder(*pieces)
    with (
        ChatServer(tmp_path / "log.db", responder=responder, event_max_bytes=10_000) as server,
        open_ws(server.chat("ann", partial=0)) as ws,
    ):
        known(ws)
        frames = ask(ws, session_id="s")
        assert (frames[-1]["type"], frames[-1]["error"]) == ("error", FLAW)
        assert len(text_of(frames)) <= told
        assert ask(ws, "fine", session_id="s")[-1]["type"] == "complete"
        assert responder.questions == 2
        server.errors.forgive()


def test_metadata_fails_where_it_is_made(tmp_path: Path) -> None:
    seen: list[InvalidInput] = []

    async def responder(question: Question) -> AsyncIterator[Piece]:
        del question
        yield "Yes."
        try:
            yield Metadata(confidence=7.0)
        except InvalidInput as error:
            seen.append(error)
            raise

    with (
        ChatServer(tmp_path / "log.db", responder=responder) as server,
        open_ws(server.chat("ann")) as ws,
    ):
        known(ws)
        assert ask(ws)[-1]["error"] == FLAW
        server.errors.forgive()
    assert "confidence" in str(seen[0])


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"confidence": 7.0}, "confidence"),
        ({"confidence": "high"}, "confidence"),
        ({"agent": "x" * 257}, "agent"),
        ({"sources": "manual.md"}, "sources"),
        ({"more": {"x": LARGE}}, str(MAX_METADATA_BYTES)),
        ({"more": {"x": object()}}, "JSON"),
        ({"more": {"x": "\ud800"}}, "JSON"),
        ({"sources": [object()]}, "JSON"),
    ],
)
def test_what_metadata_cannot_be(fields: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        Metadata(**fields)  # pyright: ignore[reportArgumentType]


def test_what_metadata_can_be() -> None:
    Metadata()
    Metadata(agent="a", confidence=1, sources=("manual.md",), model="m", more={"usage": {"input_tokens": 1}})
    Metadata(more={"x": "y" * (MAX_METADATA_BYTES - 100)})
