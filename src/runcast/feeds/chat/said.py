"""What clients of the chat say: frames, read and checked. Pure."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from runcast.errors import InvalidInput, TooLarge
from runcast.kinds.chat_fields import MAX_ATTACHMENTS, MAX_NAME_CHARS

LENGTH_BYTES: Final = 4
MAX_HEAD_BYTES: Final = 4_096
TYPES: Final = (
    "auth",
    "message",
    "cancel",
    "resume",
    "typing",
    "read",
    "edit",
    "delete",
    "retry",
    "ping",
)
_DEFAULT_MIME: Final = "application/octet-stream"


class Said(msgspec.Struct):
    """A frame of a client. What is absent is null."""

    type: object = None
    id: object = None
    session_id: object = None
    customer_id: object = None
    message_id: object = None
    message: object = None
    attachments: object = None
    reply: object = None
    typing: object = None
    after: object = None
    token: object = None

    def text(self, name: str, most: int = MAX_NAME_CHARS) -> str | None:
        """A field that is a text, or None.

        Raises:
            InvalidInput: it is something else, or longer.
        """
        value = getattr(self, name)
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > most:
            raise InvalidInput(f"{name}: a text of at most {most} characters, or null.", field=name)
        return value

    def needed(self, name: str) -> str:
        """A field that is a text and must be there; raises `InvalidInput`."""
        value = self.text(name)
        if not value:
            raise InvalidInput(f"{name}: a text is needed here.", field=name)
        return value

    def truth(self, name: str, default: bool) -> bool:
        """A field that is true or false; raises `InvalidInput`."""
        value = getattr(self, name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InvalidInput(f"{name}: true or false, or null.", field=name)
        return value

    def attached(self) -> list[str]:
        """The sender's ids of what belongs to the message; raises `InvalidInput`."""
        value: Any = self.attachments
        if value is None:
            return []
        given = cast("list[object]", value if isinstance(value, list) else [None])
        ids = [one for one in given if isinstance(one, str)]
        if len(ids) != len(given):
            raise InvalidInput("attachments: a list of the ids of what was sent before.", field="attachments")
        if len(ids) > MAX_ATTACHMENTS:
            raise InvalidInput(f"attachments: at most {MAX_ATTACHMENTS}.", field="attachments")
        return ids


_decode = msgspec.json.Decoder(Said).decode


def read_text(text: str, limit_bytes: int | None = None) -> Said:
    """A text frame.

    Raises:
        InvalidInput: it is no JSON object with a known type.
        TooLarge: it is over the limit, if there is one.
    """
    if limit_bytes is not None and len(text) * 4 > limit_bytes and (size := len(text.encode())) > limit_bytes:
        raise TooLarge(f"message: {size} bytes; the limit is {limit_bytes}.", field="message")
    try:
        said = _decode(text)
    except (ValueError, RecursionError):
        raise InvalidInput("message: a JSON object is expected.", field="message") from None
    if said.type not in TYPES:
        raise InvalidInput(f"type: one of {', '.join(TYPES)}.", field="type")
    return said


class Head(msgspec.Struct):
    """What stands before the content of a binary frame. `id` is the sender's word for the attachment."""

    id: str
    name: str = "attachment"
    mime: str = _DEFAULT_MIME


_decode_head = msgspec.json.Decoder(Head).decode


def read_binary(data: bytes, limit_bytes: int) -> tuple[Head, memoryview]:
    """A binary frame: a 4-byte big-endian length, so many bytes of JSON (`id`, `name`, `mime`), then the content.

    Raises:
        InvalidInput: it is no such frame.
        TooLarge: its content is over the limit.
    """
    length = int.from_bytes(data[:LENGTH_BYTES], "big")
    if len(data) < LENGTH_BYTES or length > MAX_HEAD_BYTES or LENGTH_BYTES + length > len(data):
        raise InvalidInput(
            f"message: a binary one is a 4-byte big-endian length, so many bytes of JSON (at most {MAX_HEAD_BYTES}), "
            "then the content.",
            field="message",
        )
    try:
        head = _decode_head(data[LENGTH_BYTES : LENGTH_BYTES + length])
    except (ValueError, RecursionError):
        raise InvalidInput(
            "message: the JSON before an attachment is an object of texts: id, name, mime.", field="message"
        ) from None
    for name in ("id", "name", "mime"):
        value: str = getattr(head, name)
        if not 1 <= len(value) <= MAX_NAME_CHARS or not value.isprintable():
            raise InvalidInput(f"{name}: 1 to {MAX_NAME_CHARS} printable characters.", field=name)
    content = memoryview(data)[LENGTH_BYTES + length :]
    if len(content) > limit_bytes:
        raise TooLarge(
            f"message: an attachment of {len(content)} bytes; the limit is {limit_bytes}.", field="message"
        )
    return head, content
