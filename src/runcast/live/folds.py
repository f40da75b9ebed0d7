"""Folds over stored streams: from the newest snapshot on, so that no long stream is ever read again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from runcast.core.event import Cursor, split_stream
from runcast.errors import LogError
from runcast.kinds.base import Fold
from runcast.log.base import Snapshot

if TYPE_CHECKING:
    from runcast.live.bus import Bus

S = TypeVar("S")

logger = logging.getLogger("runcast.live")

SNAPSHOT_EVERY = 64
"""A snapshot is stored when at least so many events came since the last one."""


async def advance(bus: Bus, stream: str, fold: Fold[S], *, keep: bool = False) -> S:
    """The state of `fold` after all that is committed to the current run of `stream`.

    A snapshot is stored now and then, or certainly with `keep`. Cancellation-safe. A snapshot that cannot be
    stored costs nothing but time.

    Raises:
        LogError: the stream could not be read.
    """
    split_stream(stream)
    while True:
        epoch = (await bus.info(stream)).epoch
        snapshot = await bus.call(bus.log.load_snapshot, stream, fold.name, fold.version)
        if snapshot is not None and snapshot.epoch != epoch:
            snapshot = None  # of an earlier run
        state = fold.load(snapshot.state) if snapshot else fold.initial()
        after = Cursor(snapshot.epoch, snapshot.seq, snapshot.tag) if snapshot else None
        read, reached = await _read_into(bus, stream, fold, state, after)
        if reached is None or reached.epoch != epoch:
            continue  # cleared, or another run began meanwhile
        if read >= SNAPSHOT_EVERY or (keep and read):
            await _save(bus, stream, fold, Snapshot(epoch, reached.offset, reached.tag, fold.dump(state)))
        return state


async def _read_into(
    bus: Bus, stream: str, fold: Fold[S], state: S, after: Cursor | None
) -> tuple[int, Cursor | None]:
    """Take all events after a place into `state`; returns how many, and the place reached (None after a reset)."""
    read = 0
    while True:
        page = await bus.read(stream, after)
        if page.reset is not None:
            return read, None
        for event in page.events:
            fold.step(state, event)
        after, read = page.cursor, read + len(page.events)
        if page.complete:
            return read, after


async def _save(bus: Bus, stream: str, fold: Fold[S], snapshot: Snapshot) -> None:
    try:
        await bus.call(bus.log.save_snapshot, stream, fold.name, fold.version, snapshot)
    except LogError as error:  # a full or read-only disk: the state is right all the same
        logger.warning("no snapshot of %s: %s", stream, error)
