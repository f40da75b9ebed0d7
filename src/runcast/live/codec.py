"""The two steps from events to bytes: a codec makes messages, a framing makes what is written.

Both are values with a `key`: subscribers with equal keys get the very same bytes, made once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from runcast.core.event import Cursor, Event
from runcast.core.subscription import Notice

MESSAGE_MAX_BYTES = 512 * 1024
"""No message is larger, unless a single event is: many clients refuse messages over 1 MiB."""


PACED_OVERHEAD_BYTES = 1_024


class Piece(NamedTuple):
    """One event, encoded for a codec, and the place right after it."""

    data: bytes
    cursor: str
    place: Cursor
    position: int


class Message(NamedTuple):
    """One message to a client: UTF-8 text without a newline, and the cursor of the last event in it.

    `cursor` is empty for a message that moves nobody. `event` names a notice, for SSE.
    """

    payload: bytes
    cursor: str = ""
    event: str = ""


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """What one write takes: bytes as they are, or the texts of several messages."""

    data: bytes | tuple[str, ...]
    size_bytes: int
    events: int


class Codec(Protocol):
    """How a feed words its events and notices. Pure but for nothing: the time is given."""

    @property
    def key(self) -> str:
        """Codecs of one key make the same messages of the same pieces."""
        ...

    @property
    def piece_key(self) -> str:
        """Codecs of one piece key make the same pieces; a part of `key`."""
        ...

    def piece(self, event: Event, cursor: str) -> bytes:
        """Encode one event, once for all who share the codec."""
        ...

    def messages(self, pieces: Sequence[Piece], now_us: int) -> list[Message]:
        """Wrap pieces, in order, into messages within the codec's batch size and `MESSAGE_MAX_BYTES`."""
        ...

    def notice(self, notice: Notice, now_us: int) -> list[Message]:
        """Word a notice; an empty list where the feed has no word for it."""
        ...


class Framing(Protocol):
    """How a transport carries messages."""

    @property
    def key(self) -> str:
        """Framings of one key make the same chunks."""
        ...

    def frame(self, messages: Sequence[Message], events: int) -> Chunk:
        """Make one write of `messages`, which hold `events` events."""
        ...


def split(pieces: Sequence[Piece], batch_size: int, overhead_bytes: int) -> list[Sequence[Piece]]:
    """Cut pieces into runs of at most `batch_size` that fit one message with its overhead each."""
    runs: list[Sequence[Piece]] = []
    begin, size = 0, overhead_bytes
    for index, piece in enumerate(pieces):
        length = len(piece.data) + 1
        if index > begin and (index - begin >= batch_size or size + length > MESSAGE_MAX_BYTES):
            runs.append(pieces[begin:index])
            begin, size = index, overhead_bytes
        size += length
    if begin < len(pieces):
        runs.append(pieces[begin:])
    return runs


def fit_one(pieces: Sequence[Piece], batch_size: int) -> int:
    """How many of `pieces` go into one message of a paced client, whatever its codec adds to it."""
    return len(split(pieces[:batch_size], batch_size, PACED_OVERHEAD_BYTES)[0]) if pieces else 0
