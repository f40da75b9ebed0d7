"""What a plan's runner knows of it: the fold of its stream, kept at the head by every event that is committed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from runcast.core.event import Event, id_tag
from runcast.errors import LogError
from runcast.kinds.plan_fold import PLAN_STATE
from runcast.kinds.plan_state import PlanState
from runcast.live.folds import Folding, read_foldings
from runcast.log.base import Appended

if TYPE_CHECKING:
    from runcast.live.bus import Bus

logger = logging.getLogger("runcast.plans")


class Account:
    """The state of one stream's current run. `hear` every event of it, from before `open` on.

    The state changes by events alone, so it is what every other reader of the stream has, too.
    """

    def __init__(self, bus: Bus, stream: str, changed: Callable[[], None]) -> None:
        self.is_gone = False
        """The run is not the stream's current one any more: it was cleared, or another one has begun."""
        self._bus = bus
        self._stream = stream
        self._changed = changed
        self._folding: Folding[PlanState] | None = None
        self._early: list[Event] = []
        self._moved = asyncio.Event()

    @property
    def state(self) -> PlanState:
        """After all that was heard."""
        assert self._folding is not None, "open it first"
        return self._folding.state

    @property
    def epoch(self) -> str:
        """Of the run."""
        assert self._folding is not None, "open it first"
        return self._folding.epoch

    async def open(self) -> None:
        """Read what there is. Cancellation-safe.

        Raises:
            LogError: the stream could not be read.
        """
        while self._folding is None:
            foldings = await read_foldings(self._bus, self._stream, [PLAN_STATE])
            if foldings is not None:
                self._folding = foldings[0]
        early, self._early = self._early, []
        for event in early:
            self.hear(event)

    def hear(self, event: Event) -> None:
        """Take what was committed, if it is not in the state yet."""
        folding = self._folding
        if folding is None:
            self._early.append(event)
            return
        if event.epoch != folding.epoch:
            self.is_gone = True
        elif event.seq > folding.seq:
            if (
                event.seq != folding.seq + 1
            ):  # the log never leaves one out: the run was trimmed while it was read
                logger.warning("%s: events before %d were not heard", self._stream, event.seq)
            PLAN_STATE.step(folding.state, event)
            folding.seq, folding.tag = event.seq, id_tag(event.id)
        self._moved.set()
        self._changed()

    async def take_in(self, appended: Appended) -> None:
        """Wait until an event of one's own is in the state. Cancellation-safe."""
        assert self._folding is not None, "open it first"
        if appended.epoch != self._folding.epoch:
            self.is_gone = True
        while not self.is_gone and self._folding.seq < appended.seq:
            self._moved.clear()
            await self._moved.wait()

    async def save(self) -> None:
        """Store the state as the fold's snapshot, so that whoever looks at the plan later need not read it again."""
        folding = self._folding
        if folding is None or self.is_gone or folding.seq == folding.stored:
            return
        try:
            await self._bus.call(
                self._bus.log.save_snapshot,
                self._stream,
                PLAN_STATE.name,
                PLAN_STATE.version,
                folding.snapshot(),
            )
            folding.stored = folding.seq
        except LogError as error:
            logger.warning("no snapshot of %s: %s", self._stream, error)
