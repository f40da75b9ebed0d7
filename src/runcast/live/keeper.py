"""Keeps the snapshots of folds near the heads of their streams, so that a list never reads a long stream."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from runcast.chance import CHANCE
from runcast.core.scope import Scope
from runcast.errors import NEVER, LogError
from runcast.kinds.base import Fold
from runcast.live.folds import Folding
from runcast.log.base import Snapshot, StreamInfo

if TYPE_CHECKING:
    from runcast.live.bus import Bus

logger = logging.getLogger("runcast.live")

STREAMS_AT_ONCE = 200
"""So many streams are listed at once, …"""
KEPT_TOGETHER = 25
"""… of which so many share a commit of their snapshots: few enough that processes seldom do the same work."""
PAGES_AT_ONCE = 256
"""So many pages of one stream are read before what they led to is stored."""
BREATH_S = 0.001
PATIENCE = 4
"""After a page it waits so many times as long as that took: live traffic goes first."""


class Look(NamedTuple):
    """What a look has done: all streams are kept whose newest events lie at `seen` or before; or not `all` yet."""

    seen: int
    all: bool


async def keep_snapshots(bus: Bus, kind: str) -> None:
    """Bring the snapshots of `kind`'s folds up to date whenever streams have changed, until cancelled.

    Not at once: looks follow each other after `snapshot_interval_s` at least. Several processes may do this on one
    log: who comes later finds them up to date. Ends by itself when the log is closed or may only be read.
    """
    look = Look(0, all=False)
    with bus.hub.bells.hang(Scope.firehose(kind)) as bell:
        while True:
            bell.clear()
            try:
                look = await keep_changed(bus, kind, look.seen)
                if not look.all:
                    bell.set()
            except NEVER:
                return
            except LogError as error:
                logger.warning("the snapshots of %s streams wait: %s", kind, error)
                bell.set()
            except Exception:  # a task's root: the next look may fare better
                logger.exception("keeping the snapshots of %s streams failed", kind)
            await bell.wait()
            await asyncio.sleep(bus.settings.snapshot_interval_s * CHANCE.uniform(0.75, 1.25))


async def keep_changed(bus: Bus, kind: str, seen: int = 0) -> Look:
    """One look: store what is due of the streams with events after the position `seen`.

    Of a stream with very much news only a part is taken in; the next look goes on there.

    Raises:
        LogError: the log could not be read, or the snapshots not be stored.
    """
    folds = list(bus.kinds[kind].folds.values())
    newest, before, all_read = seen, None, True
    while True:
        infos = await bus.recent(kind, before, STREAMS_AT_ONCE)
        changed = [info for info in infos if info.latest > seen]
        if changed and folds:
            newest = max(newest, changed[0].latest)
            mixed = CHANCE.sample(changed, len(changed))  # others who look meanwhile begin elsewhere
            for first in range(0, len(mixed), KEPT_TOGETHER):
                all_read = await _keep(bus, mixed[first : first + KEPT_TOGETHER], folds) and all_read
        if len(changed) < STREAMS_AT_ONCE:
            return Look(newest if all_read else seen, all_read)
        before = changed[-1].latest


async def _keep(bus: Bus, infos: Sequence[StreamInfo], folds: Sequence[Fold[Any]]) -> bool:
    """Store what is due of these streams; returns whether that is all."""
    names = [info.stream for info in infos]
    found = [await bus.call(bus.log.load_snapshots, names, fold.name, fold.version) for fold in folds]
    made: dict[str, dict[str, Snapshot]] = {fold.name: {} for fold in folds}
    all_read = True
    for info in infos:
        begun = [(fold, snapshots.get(info.stream)) for fold, snapshots in zip(folds, found, strict=True)]
        try:
            snapshots, complete = await _bring_up_to_date(bus, info, begun)
        except LogError:
            raise
        except Exception:  # a fold is anybody's code: what it fails at must not keep back other streams
            logger.exception("the folds of %s fail; its snapshots stay as they are", info.stream)
            continue
        all_read = complete and all_read
        for name, snapshot in snapshots.items():
            made[name][info.stream] = snapshot
    for fold in folds:
        await bus.call(bus.log.save_snapshots, fold.name, fold.version, made[fold.name])
    return all_read


async def _bring_up_to_date(
    bus: Bus, info: StreamInfo, begun: Sequence[tuple[Fold[Any], Snapshot | None]]
) -> tuple[dict[str, Snapshot], bool]:
    """The new snapshots of one stream that are due, by their folds' names, and whether they are at its head."""
    foldings = [Folding[Any].begin(fold, snapshot, info.epoch) for fold, snapshot in begun]
    due = [folding for folding in foldings if info.head - folding.seq >= folding.fold.keep_every]
    if not due:
        return {}, True
    complete = await _read(bus, info.stream, due)
    snapshots = {one.fold.name: one.snapshot() for one in due if one.seq > one.stored}
    return {name: snapshot for name, snapshot in snapshots.items() if snapshot is not None}, complete


async def _read(bus: Bus, stream: str, foldings: Sequence[Folding[Any]]) -> bool:
    """Read on with all of them at once; returns whether the head was reached."""
    loop = asyncio.get_running_loop()
    for _ in range(PAGES_AT_ONCE):
        begun = loop.time()
        least = min(foldings, key=lambda folding: folding.seq)
        page = await bus.read(stream, least.cursor)
        if page.reset is not None or page.epoch != least.epoch:
            return True  # it began anew, which the next look will see
        for folding in foldings:
            folding.take(page)
        await asyncio.sleep(BREATH_S + PATIENCE * (loop.time() - begun))
        if page.complete:
            return True
    return False
