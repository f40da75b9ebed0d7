"""NDJSON into events: lines gathered into batches, and a bad one told by its number."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec

from runcast.client.values import Receipt
from runcast.errors import InvalidEvent, InvalidInput, InvalidStreamName, TooLarge

BATCH_EVENTS = 500
BATCH_BYTES = 1024 * 1024
MAX_LINE_BYTES = 8 * 1024 * 1024
"""Over what any server takes by default; a file without line ends must not fill the memory."""

OnBad = Callable[[int, InvalidInput], None]
"""Is given the number of a line, from 1, and what is wrong with it. What it raises ends the publishing."""

_PLACE = ("stream", "seq", "cursor")
"""What `runcast tail --json` and history say of an event beside what is published."""

_IN_BODY = re.compile(r"^body\[0\][.:] ?")


class Tally(msgspec.Struct):
    """What has become of the lines so far. `stored` and `duplicates` are events; `cursor` the place after them."""

    lines: int = 0
    stored: int = 0
    duplicates: int = 0
    bad: int = 0
    cursor: str = ""


class NdjsonPublisher:
    """Takes a text in pieces, cut anywhere, and publishes its lines in order.

    Each piece is published as far as its lines are complete: what arrives slowly is not held back, what arrives
    fast goes in batches.

    Args:
        publish: stores events, all or none, and returns the receipt.
        on_bad: see `OnBad`. Without it the first bad line raises `InvalidEvent`.
    """

    def __init__(
        self, publish: Callable[[Sequence[dict[str, Any]]], Receipt], on_bad: OnBad | None = None
    ) -> None:
        self.tally = Tally()
        self._publish = publish
        self._on_bad = on_bad or _raise
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._batch: list[tuple[int, dict[str, Any]]] = []
        self._batch_bytes = 0

    def feed(self, chunk: bytes) -> None:
        """Publish the lines that `chunk` completes.

        Raises:
            InvalidEvent, TooLarge: a bad line, by its number, unless there is an `on_bad`.
            RuncastError: whatever `publish` raises.
        """
        head, found, tail = chunk.rpartition(b"\n")
        if found:
            for line in b"".join([*self._rest, head]).split(b"\n"):
                self._take(line)
            self._rest, self._rest_bytes = [], 0
            self._flush()
        self._rest.append(tail)
        self._rest_bytes += len(tail)
        if self._rest_bytes > MAX_LINE_BYTES:
            raise TooLarge(f"line {self.tally.lines + 1}: over {MAX_LINE_BYTES} bytes.", field="line")

    def finish(self) -> Tally:
        """Publish a last line that no line end followed.

        Raises:
            As `feed`.
        """
        if self._rest_bytes:
            self._take(b"".join(self._rest))
        self._rest, self._rest_bytes = [], 0
        self._flush()
        return self.tally

    def _take(self, line: bytes) -> None:
        self.tally.lines += 1
        number, text = self.tally.lines, line.strip()
        if not text:
            return
        try:
            event = _event_of(text)
        except InvalidEvent as error:
            self._flush()
            self._refuse(number, error)
            return
        self._batch.append((number, event))
        self._batch_bytes += len(text)
        if len(self._batch) >= BATCH_EVENTS or self._batch_bytes >= BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        if batch:
            self._store(batch)

    def _store(self, batch: list[tuple[int, dict[str, Any]]]) -> None:
        """Publish, and find the bad one by halves: a batch is stored as a whole or not at all."""
        try:
            receipt = self._publish([event for _, event in batch])
        except InvalidStreamName:
            raise
        except InvalidInput as error:
            if len(batch) == 1:
                self._refuse(batch[0][0], error)
                return
            middle = len(batch) // 2
            self._store(batch[:middle])
            self._store(batch[middle:])
            return
        self.tally.stored += receipt.count - receipt.duplicates
        self.tally.duplicates += receipt.duplicates
        self.tally.cursor = receipt.cursor or self.tally.cursor

    def _refuse(self, number: int, error: InvalidInput) -> None:
        self.tally.bad += 1
        self._on_bad(number, error)


def describe(number: int | None, error: InvalidInput) -> str:
    """A bad line in one sentence; without a number, the one event that was published."""
    reason = _IN_BODY.sub("", str(error))
    return reason if number is None else f"line {number}: {reason}"


def _raise(number: int, error: InvalidInput) -> None:
    raise InvalidEvent(describe(number, error), field="line") from error


def _event_of(text: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text)
    except (UnicodeDecodeError, RecursionError):
        raise InvalidEvent("not valid UTF-8, or nested too deeply.") from None
    except msgspec.DecodeError as error:
        raise InvalidEvent(f"not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidEvent('a JSON object is expected: {"type": …, "data": {…}}.')
    event = cast("dict[str, Any]", value)
    if all(name in event for name in _PLACE):
        return {name: told for name, told in event.items() if name not in _PLACE}
    return event
