"""What a connection writes to, and what that tells back."""

from __future__ import annotations

from typing import Protocol

from runcast.live.codec import Chunk


class Pressure(Protocol):
    """Whom a sink tells how writing goes. Called in the loop, possibly from within `Sink.write`."""

    def blocked(self) -> None:
        """More than the limit waits for the client: write nothing until `drained`."""
        ...

    def drained(self) -> None:
        """Little waits now: go on."""
        ...

    def closed(self) -> None:
        """The client is gone. Called once, and nothing after it."""
        ...


class Sink(Protocol):
    """One client's end: a WebSocket, an SSE response, an iterator. Not safe for other threads than the loop's."""

    def write(self, chunk: Chunk) -> None:
        """Hand over `chunk` without waiting. After the end it does nothing."""
        ...

    def buffered_bytes(self) -> int:
        """How much was written and not yet taken by the client's socket."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Say goodbye by a code of RFC 6455 §7.4 and close, after what is written; does not wait. Idempotent."""
        ...
