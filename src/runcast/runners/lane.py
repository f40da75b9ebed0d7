"""The runs of one kind that this process knows to be open: those it has, those that wait, those of others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from runcast.core.event import Event
from runcast.core.page import Change, Control, Record
from runcast.core.scope import Scope
from runcast.kinds.base import Kind
from runcast.runners.claim import Claim

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Runner(Protocol):
    """What brings the runs of one kind to their ends."""

    kind: str
    """`workflow`, `plan`."""

    async def is_open(self, stream: str) -> bool:
        """Whether there is something to do for this runner: begun to be run here, and not over.

        Raises:
            LogError: the log could not be read.
        """
        ...

    async def run(self, claim: Claim) -> None:
        """Bring the run to its end. Cancelled when the claim is lost, or the process is about to end.

        Raises:
            StaleToken: the claim was lost.
            LogError: it cannot go on for now; it is begun again after a while, here or elsewhere.
        """
        ...


@runtime_checkable
class Ending(Protocol):
    """A runner whose runs can be ended by a command while they wait for a place."""

    async def is_ending(self, stream: str) -> bool:
        """Whether nothing is left to do but to end the run, so that it need not wait for a place.

        Raises:
            LogError: the log could not be read.
        """
        ...


@runtime_checkable
class Waking(Protocol):
    """A runner whose streams may have something to do again and again, beside what begins a run."""

    @property
    def wakes(self) -> frozenset[str]:
        """Types of events after which a stream is looked at."""
        ...

    @property
    def settles(self) -> frozenset[str]:
        """Types of events after which nothing may be left to do: one that another process has is looked at, too."""
        ...


class Lane:
    """What is known of one kind's open runs. A stream is in one place only.

    `ready` wait for a place here, in order; `held` belong to others, the one first that was looked at longest ago.
    """

    def __init__(self, runner: Runner, kind: Kind, limit: int) -> None:
        self.runner = runner
        self.scope = Scope.firehose(kind.name)
        self.slots = asyncio.Semaphore(limit)
        self.claims: dict[str, Claim] = {}
        self.trying: set[str] = set()
        self.ready: dict[str, None] = {}
        self.held: dict[str, None] = {}
        self.urgent: dict[str, None] = {}
        """Those of `ready` to which a command came: they may be ended without a place."""
        self._again: set[str] = set()
        """Those of `trying` to which something came meanwhile: whoever tries them may have looked before."""
        self.has_ready = asyncio.Event()
        self.has_urgent = asyncio.Event()
        self.is_following = asyncio.Event()
        self.failures: dict[str, int] = {}
        """How often in a row it could not be run."""
        nothing: frozenset[str] = frozenset()
        is_waking = isinstance(runner, Waking)
        self._starts = kind.starts | (runner.wakes if is_waking else nothing)
        self._settles = runner.settles if is_waking else nothing
        self._terminals = kind.terminals
        self._command = f"{kind.name}_command"

    def hear(self, event: Event) -> None:
        """Take what was committed."""
        stream = event.stream
        claim = self.claims.get(stream)
        if stream in self.trying and (event.type == self._command or event.type in self._starts):
            self._again.add(stream)
        if claim is not None:
            claim.hear(event)
        elif event.type in self._terminals:
            self.forget(stream)
            self.failures.pop(stream, None)
        elif event.type == self._command:
            self._urge(stream)
        elif event.type in self._starts:
            self.offer([stream])
        elif event.type in self._settles and stream in self.held:
            del self.held[stream]
            self.offer([stream])

    def hear_changes(self, records: Sequence[Record]) -> None:
        """Take what else happened to streams: a run that was sealed or cleared is not run any more."""
        for record in records:
            if isinstance(record, Control) and record.change is not Change.TRIM:
                self.failures.pop(record.stream, None)
                if claim := self.claims.get(record.stream):
                    claim.hear_change(record)

    def knows(self, stream: str) -> bool:
        """Whether the stream is in any of the places."""
        return any(stream in place for place in (self.claims, self.trying, self.ready, self.held))

    def offer(self, streams: Iterable[str]) -> None:
        """Let these be tried when there is a place, unless they are known."""
        for stream in streams:
            if not self.knows(stream):
                self.ready[stream] = None
        self._note()

    def take_ready(self) -> str | None:
        """The next one to try, which is then being tried; None if there is none any more."""
        stream = next(iter(self.ready), None)
        if stream is not None:
            self.take(stream)
        return stream

    def take_urgent(self) -> str | None:
        """One to look at; None if there is none any more."""
        stream = next(iter(self.urgent), None)
        if stream is not None:
            del self.urgent[stream]
            self._note()
        return stream

    def take(self, stream: str) -> None:
        """This one is being tried."""
        self.forget(stream)
        self.trying.add(stream)

    def put_back(self, stream: str, *, held: bool) -> None:
        """It was tried: another one holds it, or nothing is to be done for it, as far as was known then."""
        self.trying.discard(stream)
        if held:
            self.held[stream] = None
        elif stream in self._again:
            self.offer([stream])
        self._again.discard(stream)

    def try_held(self) -> None:
        """One that another held has come free: the others may be, too."""
        self.ready.update(self.held)
        self.held.clear()
        self._note()

    def forget(self, stream: str) -> None:
        """It is over."""
        for place in (self.ready, self.held, self.urgent):
            place.pop(stream, None)
        self._note()

    def _urge(self, stream: str) -> None:
        self.offer([stream])
        if stream in self.ready and self.slots.locked():
            self.urgent[stream] = None
            self._note()

    def _note(self) -> None:
        for event, place in ((self.has_ready, self.ready), (self.has_urgent, self.urgent)):
            if place:
                event.set()
            else:
                event.clear()
