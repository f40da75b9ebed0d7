"""How far each transcript was read, kept in a file beside the log.

The file is a journal: a line per transcript whose place has changed, the newest counts. Events are committed before
their place is saved, so what a crash loses of it is read again, and told again under the same ids.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from runcast.sources.claude_code.state import State, checksum

logger = logging.getLogger("runcast.sources.claude_code")

EDGE_BYTES: Final = 128
"""How much of a file's beginning, and of what stands before the place in it, must still be the same to read on."""
SPARE_BYTES: Final = 4 * 1024 * 1024
"""By how much the journal may outgrow twice its content before it is written anew."""


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place in one file: `offset` bytes are told. `head` and `tail` are bytes that say which file that was."""

    path: str
    offset: int = 0
    head: bytes = b""
    tail: bytes = b""
    state: State = msgspec.field(default_factory=State)


class Place(msgspec.Struct, frozen=True, gc=False):
    """A position as it was at one moment: its state goes on changing, this does not."""

    path: str
    offset: int
    json: bytes

    @classmethod
    def of(cls, position: Position) -> Place:
        """Freeze a position."""
        return cls(position.path, position.offset, msgspec.json.encode(position))


class _Owner(msgspec.Struct):
    """The journal's first line: which log the events went to."""

    log: str


class _Line(msgspec.Struct):
    """What is needed of a line when it is not read on."""

    path: str
    offset: int = 0


class Positions:
    """The places in all files, in memory as JSON: most of thousands of transcripts never go on.

    Args:
        path: the journal; None keeps the places in memory only.
        log: the identity of the log. A journal of another log is begun anew: that one knows nothing yet.
    """

    def __init__(self, path: Path | None, log: str = "") -> None:
        self.path = path
        self._owner = msgspec.json.encode(_Owner(log))
        self._places: dict[str, bytes] = {}
        self._offsets: dict[str, int] = {}
        self._changed: dict[str, None] = {}
        self._content_bytes = 0
        self._rewrite = True
        if path is not None:
            with suppress(FileNotFoundError):
                self._load(path.read_bytes())

    def offset(self, path: str) -> int:
        """How many bytes of a file are told."""
        return self._offsets.get(path, 0)

    def get(self, path: str) -> Position:
        """The place in a file; at its beginning if there is none so far."""
        place = self._places.get(path)
        return _decode(place) if place else Position(path)

    def put(self, place: Place) -> None:
        """Remember a place, to be saved with the next `save`."""
        self._set(place.path, place.offset, place.json)
        self._changed[place.path] = None

    def save(self) -> None:
        """Write down what has changed. What fails is logged: the next time tells the same events again, that is all."""
        if self.path is None or not self._changed:
            return
        try:
            self._write(self.path)
        except OSError as error:
            logger.warning("cannot save how far transcripts were read in %s (%s)", self.path, error.strerror)
        else:
            self._changed.clear()

    def _write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if (
            not self._rewrite
            and path.exists()
            and path.stat().st_size < 2 * self._content_bytes + SPARE_BYTES
        ):
            with path.open("ab") as journal:
                journal.write(b"".join(self._places[name] + b"\n" for name in self._changed))
            return
        for name in [name for name in self._places if name not in self._changed and not Path(name).exists()]:
            self._content_bytes -= len(self._places.pop(name))
            del self._offsets[name]
        fresh = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        fresh.write_bytes(b"\n".join([self._owner, *self._places.values()]) + b"\n")
        fresh.replace(path)
        self._rewrite = False

    def _load(self, journal: bytes) -> None:
        """A line that was cut off by a crash, or is of another version, is one place less."""
        owner, *lines = journal.split(b"\n")
        if owner != self._owner:
            return
        self._rewrite = bool(lines and lines.pop())  # a torn last line must not take the next one with it
        for line in lines:
            with suppress(msgspec.MsgspecError):
                read = msgspec.json.decode(line, type=_Line)
                self._set(read.path, read.offset, line)

    def _set(self, path: str, offset: int, place: bytes) -> None:
        self._content_bytes += len(place) - len(self._places.get(path, b""))
        self._places[path] = place
        self._offsets[path] = offset


def journal_of(log: Path) -> Path:
    """The journal beside a log's file."""
    return log.with_name(f"{log.name}.watch.jsonl")


def journal_for(url: str, folder: Path) -> Path:
    """The journal, in a folder of ours, for a server elsewhere."""
    return folder / f"watch-{checksum(url):08x}.jsonl"


def _decode(place: bytes) -> Position:
    try:
        return msgspec.json.decode(place, type=Position)
    except msgspec.MsgspecError:
        return Position(msgspec.json.decode(place, type=_Line).path)
