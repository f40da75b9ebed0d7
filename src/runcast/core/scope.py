"""What a subscriber reads: one stream, or a firehose over many."""

from __future__ import annotations

import msgspec

from runcast.core.event import Cursor, Event, check_kind, id_tag, split_stream


class Scope(msgspec.Struct, frozen=True):
    """One stream (`stream` is its name), or all streams of `kind`, or all (`kind` empty).

    Hashable; make it with `of_stream` or `firehose`, which check the name.
    """

    stream: str = ""
    kind: str = ""

    @classmethod
    def of_stream(cls, stream: str) -> Scope:
        """One stream.

        Raises:
            InvalidStreamName: `stream` is not `kind:id`.
        """
        split_stream(stream)
        return cls(stream=stream)

    @classmethod
    def firehose(cls, kind: str = "") -> Scope:
        """All streams of `kind`, or all streams there are.

        Raises:
            InvalidStreamName: `kind` is not one.
        """
        return cls(kind=check_kind(kind) if kind else "")

    def __str__(self) -> str:
        return self.stream or f"{self.kind or '*'}:*"

    def covers(self, stream: str) -> bool:
        """Whether events of `stream` are read here."""
        return stream == self.stream if self.stream else not self.kind or stream.startswith(self.kind + ":")

    def offset(self, event: Event) -> int:
        """The place of `event` as this scope's cursors count it."""
        return event.seq if self.stream else event.position

    def cursor(self, event: Event, log_epoch: str) -> Cursor:
        """The place right after `event`; `log_epoch` is the identity of the log, for firehoses."""
        if self.stream:
            return Cursor(event.epoch, event.seq, id_tag(event.id))
        return Cursor(log_epoch, event.position, id_tag(event.id))
