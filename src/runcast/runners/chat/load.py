"""How many answers each person waits for, as far as they were asked for in this process."""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from runcast.core.event import Event
from runcast.core.page import Change, Record
from runcast.core.scope import Scope
from runcast.kinds.chat import COMPLETE, ERROR, NAME
from runcast.live.bus import Bus
from runcast.live.hub import Hub

_ALL: Final = str(Scope.firehose(NAME))


class _Ended(msgspec.Struct):
    message_id: str | None = None


_decode = msgspec.json.Decoder(_Ended).decode


class Load:
    """Counts up when somebody asks, and down when the answer has come to its end, in whichever process."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._hub: Hub | None = None
        self._waits: Counter[str] = Counter()
        self._answers: dict[str, tuple[str, str]] = {}
        """Whose each is, and in which stream."""

    def of(self, person_id: str) -> int:
        """How many answers somebody waits for."""
        return self._waits[person_id]

    def answers(self, person_id: str) -> list[tuple[str, str]]:
        """Which those are, each with its stream."""
        return [(one, stream) for one, (whose, stream) in self._answers.items() if whose == person_id]

    def note(self, answer_id: str, person_id: str, stream: str) -> None:
        """Somebody is about to ask; call it before that is stored."""
        if self._hub is not self._bus.hub:  # the first time, or in another loop than before
            self._hub = self._bus.hub
            self._hub.taps.setdefault(_ALL, set()).add(self._hear)
        self._waits[person_id] += 1
        self._answers[answer_id] = (person_id, stream)

    def settle(self, answer_id: str | None) -> None:
        """It has come to its end, or was not asked for after all. Idempotent."""
        person_id, _ = self._answers.pop(answer_id or "", ("", ""))
        if person_id:
            self._waits[person_id] -= 1
            if not self._waits[person_id]:
                del self._waits[person_id]

    def _hear(self, records: list[Record]) -> None:
        for record in records:
            if isinstance(record, Event):
                if record.type in {COMPLETE, ERROR}:
                    self.settle(_decode(record.data).message_id)
            elif record.change is not Change.TRIM:  # sealed or cleared: nobody answers any more
                gone = [one for one, (_, stream) in self._answers.items() if stream == record.stream]
                for answer_id in gone:
                    self.settle(answer_id)
