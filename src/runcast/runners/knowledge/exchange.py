"""What a `DocumentReader` and its process send each other: messages with their length before them."""

from __future__ import annotations

from typing import IO, Final

import msgspec

from runcast.runners.knowledge.values import Parsed

NO_MEMORY: Final = "no_memory"
_LENGTH_BYTES: Final = 8


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A document to be read, with the limits for it; its content is the next message."""

    name: str
    media_type: str
    cpu_s: float
    memory_bytes: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The document, or why it cannot be read: an error's `code`, its sentence and its field."""

    parsed: Parsed | None = None
    code: str = ""
    sentence: str = ""
    field: str | None = None


def send(stream: IO[bytes], message: bytes) -> None:
    """Write a message, and see it off.

    Raises:
        OSError: nobody reads it any more.
    """
    stream.write(len(message).to_bytes(_LENGTH_BYTES, "big"))
    stream.write(message)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes | None:
    """The next message; None at the end, also if that comes in the middle of one."""
    head = stream.read(_LENGTH_BYTES)
    if len(head) < _LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "big")
    message = stream.read(length)
    return message if len(message) == length else None
