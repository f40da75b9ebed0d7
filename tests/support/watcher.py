"""A client for tests: a sink that keeps what it is given, in a codec that is easy to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from runcast.core.event import Event
from runcast.core.subscription import End, Missing, Notice, Reset
from runcast.live.codec import Chunk, Message, Piece, split
from runcast.live.connection import Connection


class PlainCodec:
    """Messages are JSON arrays of `["event", seq, id]` and single notices."""

    piece_key = "plain"

    def __init__(self, batch_size: int = 50) -> None:
        self.batch_size = batch_size
        self.key = f"plain/{batch_size}"

    def piece(self, event: Event, cursor: str) -> bytes:
        return msgspec.json.encode(["event", event.stream, event.epoch, event.seq, event.id, cursor])

    def messages(self, pieces: Sequence[Piece], now_us: int) -> list[Message]:
        runs = split(pieces, self.batch_size, 2)
        return [Message(b"[" + b",".join([p.data for p in run]) + b"]", run[-1].cursor) for run in runs]

    def notice(self, notice: Notice, now_us: int) -> list[Message]:
        match notice:
            case Reset():
                item: list[Any] = ["reset", notice.cursor.epoch]
            case Missing(first=first, last=last):
                item = ["gap", notice.cursor.epoch, first, last]
            case End():
                item = ["end", notice.cursor.epoch, notice.cursor.offset]
        return [Message(msgspec.json.encode([item]), str(notice.cursor))]


class PlainFraming:
    key = "plain"

    def frame(self, messages: Sequence[Message], events: int) -> Chunk:
        texts = tuple(message.payload.decode() for message in messages)
        return Chunk(texts, sum(map(len, texts)), events)


class Watcher:
    """A sink with a client that takes what it is given until it is told to stop."""

    def __init__(self, limit_bytes: int = 1_000) -> None:
        self.messages: list[list[Any]] = []
        self.writes: list[Chunk] = []
        self.closed_with: tuple[int, str] | None = None
        self.connection: Connection | None = None
        self.limit_bytes = limit_bytes
        self.takes = True
        self._buffered: list[str] = []
        self._blocked = False

    @property
    def items(self) -> list[list[Any]]:
        """Everything it got, flat."""
        return [item for message in self.messages for item in message]

    @property
    def ids(self) -> list[str]:
        """The ids of the events it got."""
        return [item[4] for item in self.items if item[0] == "event"]

    def write(self, chunk: Chunk) -> None:
        assert self.closed_with is None
        self.writes.append(chunk)
        assert isinstance(chunk.data, tuple)
        self._buffered.extend(chunk.data)
        if self.takes:
            self._take()
        elif self.buffered_bytes() > self.limit_bytes and not self._blocked:
            self._blocked = True
            assert self.connection is not None
            self.connection.blocked()

    def buffered_bytes(self) -> int:
        return sum(map(len, self._buffered))

    def close(self, code: int, reason: str) -> None:
        self.closed_with = self.closed_with or (code, reason)

    def stop(self) -> None:
        """Take nothing from now on."""
        self.takes = False

    def go_on(self) -> None:
        """Take what waits, and all that comes."""
        self.takes = True
        self._take()
        if self._blocked:
            self._blocked = False
            assert self.connection is not None
            self.connection.drained()

    def _take(self) -> None:
        taken, self._buffered = self._buffered, []
        self.messages.extend(msgspec.json.decode(text) for text in taken)
