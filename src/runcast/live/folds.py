"""Folds over stored streams: from the newest snapshot on, so that no long stream is ever read again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import msgspec

from runcast.core.event import Cursor, split_stream
from runcast.core.page import Page
from runcast.errors import LogError
from runcast.kinds.base import Fold
from runcast.log.base import Snapshot, StreamInfo

if TYPE_CHECKING:
    from runcast.live.bus import Bus

S = TypeVar("S")

logger = logging.getLogger("runcast.live")

SNAPSHOT_EVERY = 64
"""A snapshot is stored when at least so many events came since the last one."""


class Folding(msgspec.Struct, Generic[S]):
    """A fold on its way through one run of a stream: its state after the event `seq`, and where it began."""

    fold: Fold[S]
    state: S
    epoch: str = ""
    seq: int = 0
    tag: int = 0
    stored: int = 0

    @classmethod
    def begin(cls, fold: Fold[S], snapshot: Snapshot | None, epoch: str) -> Folding[S]:
        """After what `snapshot` has seen, if it is one of this epoch; else at the start."""
        if snapshot is None or snapshot.epoch != epoch:
            return cls(fold, fold.initial(), epoch)
        try:
            state = fold.load(snapshot.state)
        except (
            msgspec.DecodeError,
            UnicodeDecodeError,
        ) as error:  # it is only a saving: the events are there
            logger.warning("a snapshot of %s cannot be read, and is left alone: %s", fold.name, error)
            return cls(fold, fold.initial(), epoch)
        return cls(fold, state, epoch, snapshot.seq, snapshot.tag, stored=snapshot.seq)

    @property
    def cursor(self) -> Cursor | None:
        """Where to read on."""
        return Cursor(self.epoch, self.seq, self.tag) if self.seq else None

    def take(self, page: Page) -> None:
        """Take those events of `page` into the state that are not in it yet."""
        for event in page.events:
            if event.seq > self.seq:
                self.fold.step(self.state, event)
        if page.last >= self.seq:
            self.epoch, self.seq, self.tag = page.epoch, page.last, page.tag

    def snapshot(self) -> Snapshot | None:
        """What to store; None for a state that has no bytes, which costs nothing but time."""
        try:
            return Snapshot(self.epoch, self.seq, self.tag, self.fold.dump(self.state))
        except (OverflowError, TypeError, ValueError) as error:
            logger.warning("the state of %s cannot be kept: %s", self.fold.name, error)
            return None


class State(NamedTuple, Generic[S]):
    """A fold's state, and how many events it does not know yet."""

    value: S
    behind: int


async def advance(bus: Bus, stream: str, fold: Fold[S], *, keep: bool = False) -> S:
    """The state of `fold` after all that is committed to the current run of `stream`.

    A snapshot is stored now and then, or certainly with `keep`. Cancellation-safe. A snapshot that cannot be
    stored costs nothing but time.

    Raises:
        LogError: the stream could not be read.
    """
    (state,) = await advance_all(bus, stream, [fold], keep=keep)
    return state


async def advance_all(bus: Bus, stream: str, folds: Sequence[Fold[Any]], *, keep: bool = False) -> list[Any]:
    """`advance` of several folds at one reading; returns their states."""
    split_stream(stream)
    while True:
        foldings = await read_foldings(bus, stream, folds)
        if foldings is None:
            continue  # cleared, or another run began meanwhile
        for folding in foldings:
            told = folding.seq - folding.stored
            if told >= SNAPSHOT_EVERY or (keep and told):
                await _save(bus, stream, folding)
        return [folding.state for folding in foldings]


async def read_foldings(bus: Bus, stream: str, folds: Sequence[Fold[Any]]) -> list[Folding[Any]] | None:
    """All `folds` after all that is committed; None if another run began meanwhile.

    Raises:
        LogError: the stream could not be read.
    """
    epoch = (await bus.info(stream)).epoch
    foldings: list[Folding[Any]] = []
    for fold in folds:
        snapshot = await bus.call(bus.log.load_snapshot, stream, fold.name, fold.version)
        foldings.append(Folding[Any].begin(fold, snapshot, epoch))
    while True:
        least = min(foldings, key=lambda folding: folding.seq)
        page = await bus.read(stream, least.cursor)
        if page.reset is not None or page.epoch != epoch:
            return None
        for folding in foldings:
            folding.take(page)
        if page.complete:
            return foldings


async def newest_states(
    bus: Bus, infos: Sequence[StreamInfo], fold: Fold[S], *, max_pages: int, unknown_too: bool = False
) -> list[State[S]]:
    """The fold's states over many streams, for a list: from the snapshots, and a page more of each that has news.

    At most `max_pages` pages are read in all, so a state may be `behind` its stream. With `unknown_too`, one of which
    there is no snapshot yet is read in any case, so that it is not taken for what it is not.

    Raises:
        LogError: the log could not be read.
    """
    names = [info.stream for info in infos]
    snapshots = await bus.call(bus.log.load_snapshots, names, fold.name, fold.version)
    states: list[State[S]] = []
    for info in infos:
        folding = Folding[S].begin(fold, snapshots.get(info.stream), info.epoch)
        head = info.head
        if folding.seq < head and (max_pages > 0 or (unknown_too and not folding.seq)):
            max_pages -= 1
            page = await bus.read(info.stream, folding.cursor)
            if page.reset is not None:
                folding = Folding[S].begin(fold, None, page.epoch)
            folding.take(page)
            head = page.head
        states.append(State(folding.state, max(head - folding.seq, 0)))
    return states


async def _save(bus: Bus, stream: str, folding: Folding[Any]) -> None:
    fold, snapshot = folding.fold, folding.snapshot()
    if snapshot is None:
        return
    try:
        await bus.call(bus.log.save_snapshot, stream, fold.name, fold.version, snapshot)
    except LogError as error:  # a full or read-only disk: the state is right all the same
        logger.warning("no snapshot of %s: %s", stream, error)
