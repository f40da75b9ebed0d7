"""Reads one transcript file on from where it was left: whole lines, and only if it is still the same file."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from runcast.kinds.base import Publish
from runcast.sources.claude_code.lines import time_of
from runcast.sources.claude_code.positions import EDGE_BYTES, Place, Position
from runcast.sources.claude_code.state import Origin, State
from runcast.sources.claude_code.transcript import Transcript

logger = logging.getLogger("runcast.sources.claude_code")

MAX_LINE_BYTES: Final = 64 * 1024 * 1024
"""What is longer is no line of a transcript, and is left out."""

_AGENT: Final = "agent-"
_SUBAGENTS: Final = "subagents"


class Whose(msgspec.Struct, frozen=True):
    """Whose transcript a file is, by its name. `main` is the file of the session that a subagent belongs to."""

    session_id: str
    agent_id: str | None = None
    main: str | None = None

    @classmethod
    def of(cls, path: str) -> Whose:
        """Read the name: `…/SESSION.jsonl`, `…/SESSION/subagents/…/agent-ID.jsonl`, or an older `…/agent-ID.jsonl`."""
        file = Path(path)
        if not file.stem.startswith(_AGENT):
            return cls(file.stem)
        agent_id = file.stem.removeprefix(_AGENT)
        for folder in file.parents:
            if folder.name == _SUBAGENTS:
                session = folder.parent
                return cls(session.name, agent_id, f"{session}.jsonl")
        return cls(agent_id, agent_id)


class _Sidecar(msgspec.Struct, rename="camel"):
    """What newer versions write beside a subagent's file."""

    tool_use_id: str | None = None
    agent_type: str | None = None
    description: str | None = None


class Reading:
    """One file that is read on.

    Args:
        position: where it was left.
        main: gives the transcript that a file belongs to, to ask which call began this subagent.
    """

    def __init__(self, position: Position, main: Callable[[str], Transcript]) -> None:
        self.path = position.path
        self.offset = position.offset
        self.restarts = 0
        """How often another file was found under this name."""
        self._head, self._tail = position.head, position.tail
        self._whose = Whose.of(position.path)
        self._main = main
        self._skipping = False
        self._ahead: deque[bytes] = deque()
        self.transcript = self._begin(position.state)

    def read(self, chunk_bytes: int) -> list[Publish]:
        """The events of the next complete lines, from about `chunk_bytes` of the file; none at its end.

        A last line without an end waits until it is complete. A file that was cut or replaced is begun anew.

        Raises:
            OSError: the file cannot be read.
        """
        return self._feed(self._load(chunk_bytes))

    def peek(self, chunk_bytes: int) -> int | None:
        """When the next line was written, in microseconds since the Unix epoch; None at the end of the file.

        A line that does not say counts with the one before it. About `chunk_bytes` of the file are held meanwhile.

        Raises:
            OSError: the file cannot be read.
        """
        while not self._ahead:
            before = self.offset, self.restarts
            self._ahead.extend(_lines(self._load(chunk_bytes)))
            if not self._ahead and (self.offset, self.restarts) == before:
                return None
        return time_of(self._ahead[0]) or self.transcript.state.last_time or 0

    def take(self) -> list[Publish]:
        """The events of the line that `peek` has looked at."""
        return self._feed(self._ahead.popleft())

    def place(self) -> Place:
        """Where the reading stands now."""
        return Place.of(Position(self.path, self.offset, self._head, self._tail, self.transcript.state))

    def _begin(self, state: State | None = None) -> Transcript:
        return Transcript(self._whose.session_id, self._whose.agent_id, origin=self._origin, state=state)

    def _load(self, chunk_bytes: int) -> bytes:
        with open(self.path, "rb") as file:  # noqa: PTH123 - a Path costs more than the read
            if not self._is_same(file):
                self._restart()
            return self._next(file, chunk_bytes)

    def _is_same(self, file: BinaryIO) -> bool:
        if self.offset == 0:
            return True
        if os.fstat(file.fileno()).st_size < self.offset:
            return False
        if file.read(len(self._head)) != self._head:
            return False
        file.seek(self.offset - len(self._tail))
        return file.read(len(self._tail)) == self._tail

    def _restart(self) -> None:
        logger.info("%s was cut or replaced; reading it from its beginning", self.path)
        self.restarts += 1
        self.offset, self._head, self._tail, self._skipping = 0, b"", b"", False
        self.transcript = self._begin()

    def _next(self, file: BinaryIO, chunk_bytes: int) -> bytes:
        """Complete lines after the place; more than `chunk_bytes` only where one line is longer."""
        file.seek(self.offset)
        chunk = file.read(chunk_bytes)
        end = chunk.rfind(b"\n") + 1
        while not end and len(chunk) >= chunk_bytes and len(chunk) < MAX_LINE_BYTES:
            more = file.read(len(chunk))
            end = len(chunk) + more.rfind(b"\n") + 1 if b"\n" in more else 0
            chunk += more
            chunk_bytes = len(chunk) if more else len(chunk) + 1
        if end:
            return chunk[:end]
        if len(chunk) >= MAX_LINE_BYTES:
            self._skip(chunk)
        # A JSON object that is complete ends with its brace: some last lines never get a line end.
        whole = chunk.endswith(b"}") and _is_object(chunk) and not self._skipping
        return chunk if whole else b""

    def _skip(self, chunk: bytes) -> None:
        """Leave out a line without an end: it is passed over in pieces."""
        self._skipping = True
        self._advance(chunk)

    def _feed(self, chunk: bytes) -> list[Publish]:
        events: list[Publish] = []
        for line in chunk.split(b"\n") if chunk else ():
            if self._skipping:
                self._skipping = False
                self.transcript.garbage += 1
            else:
                events += self.transcript.feed(line)
        self._advance(chunk)
        return events

    def _advance(self, chunk: bytes) -> None:
        self._head = (self._head + chunk[:EDGE_BYTES])[:EDGE_BYTES]
        self._tail = (self._tail + chunk[-EDGE_BYTES:])[-EDGE_BYTES:]
        self.offset += len(chunk)

    def _origin(self, prompt: str) -> Origin | None:
        """Who began this subagent: the file beside its own says so, or else what the main file has told."""
        beside = _sidecar(Path(self.path).with_suffix(".meta.json"))
        whose = self._whose
        told = self._main(whose.main).origin_of(whose.agent_id or "", prompt) if whose.main else None
        told = told or Origin()
        return Origin(
            beside.tool_use_id or told.call,
            beside.agent_type or told.agent_type,
            beside.description or told.description,
        )


def _sidecar(path: Path) -> _Sidecar:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Sidecar)
    except (OSError, msgspec.MsgspecError):
        return _Sidecar()


def tell_unreadable(path: str, error: OSError) -> None:
    """Log that a file cannot be read; one that has gone is nothing to speak of."""
    if not isinstance(error, FileNotFoundError):
        logger.warning("cannot read %s (%s)", path, error.strerror)


def _lines(chunk: bytes) -> list[bytes]:
    """The lines of a chunk, each with its end; the last one may have none."""
    *whole, rest = chunk.split(b"\n")
    return [*(line + b"\n" for line in whole), *([rest] if rest else [])]


def _is_object(chunk: bytes) -> bool:
    try:
        msgspec.json.decode(chunk, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return True
