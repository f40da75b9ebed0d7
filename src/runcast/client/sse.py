"""Server-sent events as they come out of a connection: bytes in, messages out (WHATWG HTML §9.2.6)."""

from __future__ import annotations

import msgspec

from runcast.errors import ServerError

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Far over what a Runcast server sends in one message; an endless one must not fill the memory."""

_BOM = b"\xef\xbb\xbf"


class SseMessage(msgspec.Struct, frozen=True, gc=False):
    """One message. `id` is the newest one told so far, empty before the first."""

    data: bytes
    event: str = "message"
    id: str = ""


class SseParser:
    """A parser of one stream of bytes, which may be cut anywhere. Does no I/O.

    `retry_ms` is the pause before reconnecting that the server asked for, None if it did not. A message that is
    not finished by an empty line is never given out: whoever reconnects gets it again.
    """

    def __init__(self, max_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self.retry_ms: int | None = None
        self._max_bytes = max_bytes
        self._at_start = True
        self._skip_lf = False
        self._rest = b""
        self._id = ""
        self._begin()

    def receive(self, chunk: bytes) -> list[SseMessage]:
        """The messages that `chunk` completes.

        Raises:
            ServerError: a message, or a line, is over the limit.
        """
        if self._skip_lf and chunk:  # the last chunk ended between CR and LF
            chunk, self._skip_lf = chunk.removeprefix(b"\n"), False
        if not chunk:
            return []
        self._skip_lf = chunk.endswith(b"\r")
        lines = self._without_bom(self._rest + chunk).splitlines(keepends=True)
        self._rest = b"" if not lines or lines[-1].endswith((b"\n", b"\r")) else lines.pop()
        messages = [message for line in lines if (message := self._take(line.rstrip(b"\r\n")))]
        if self._size + len(self._rest) > self._max_bytes:
            raise ServerError(f"A message of more than {self._max_bytes} bytes came; it was not read.")
        return messages

    def _without_bom(self, text: bytes) -> bytes:
        if self._at_start and not (len(text) < len(_BOM) and _BOM.startswith(text)):
            self._at_start = False
            return text.removeprefix(_BOM)
        return text

    def _begin(self) -> None:
        self._data: list[bytes] = []
        self._event = ""
        self._size = 0

    def _take(self, line: bytes) -> SseMessage | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value)
        elif name == b"event":
            self._event = _text(value)
        elif name == b"id" and b"\0" not in value:
            self._id = _text(value)
        elif name == b"retry" and value.isdigit():
            self.retry_ms = int(value[:9])
        return None  # a comment, or a field that nobody knows

    def _dispatch(self) -> SseMessage | None:
        data, event, told = self._data, self._event, bool(self._data)
        self._begin()
        return SseMessage(b"\n".join(data), event or "message", self._id) if told else None


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
