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


async def advance(bus: Bus, stream: str, fold: Fold[S]) -> S:
    """The state of `fold` after all that is committed to the current run of `stream`.

    Cancellation-safe. A snapshot that cannot be stored costs nothing but time.

    Raises:
        LogError: the stream could not be read.
    """
    split_stream(stream)
    snapshot = await bus.call(bus.log.load_snapshot, stream, fold.name, fold.version)
    after = Cursor(snapshot.epoch, snapshot.seq, snapshot.tag) if snapshot else None
    state = fold.load(snapshot.state) if snapshot else fold.initial()
    read = 0
    while True:
        page = await bus.read(stream, after)
        if page.reset is not None:  # the snapshot belongs to an earlier incarnation
            state, read = fold.initial(), 0
        for event in page.events:
            fold.step(state, event)
        after, read = page.cursor, read + len(page.events)
        if page.complete:
            break
    if read >= SNAPSHOT_EVERY:
        await _save(bus, stream, fold, Snapshot(after.epoch, after.offset, after.tag, fold.dump(state)))
    return state


async def _save(bus: Bus, stream: str, fold: Fold[S], snapshot: Snapshot) -> None:
    try:
        await bus.call(bus.log.save_snapshot, stream, fold.name, fold.version, snapshot)
    except LogError as error:  # a full or read-only disk: the state is right all the same
        logger.warning("no snapshot of %s: %s", stream, error)
