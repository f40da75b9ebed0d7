"""Raises alerts of sessions as events of their streams, whoever published what they are about."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import Final

import msgspec

from runcast.core.event import DAY_US, Event, id_tag
from runcast.core.page import PAGE_MAX_EVENTS
from runcast.core.scope import Scope
from runcast.errors import NEVER, InvalidInput, LogError
from runcast.kinds.base import Publish
from runcast.kinds.session_alerts import ALERT_STATE, AlertRules, AlertState, watch
from runcast.live.bus import Bus
from runcast.live.folds import Folding
from runcast.live.follower import Follower, follow
from runcast.log.base import Snapshot, StreamInfo

logger = logging.getLogger("runcast.sessions")

KIND = "session"
SESSIONS = Scope.firehose(KIND)
MAX_STATES = 1_000
"""So many sessions are kept in mind; another one begins from its snapshot."""
LOOK_BACK_US = DAY_US
"""What happened while nobody looked is looked at if its session was heard of within this time."""
LIST_SIZE = 200
PAUSE_S = 0.05
"""Between two looks: live traffic goes first, and many events are taken together."""
FULL_PAUSE_S = 0.005
"""The same while there are more than one look takes."""
RETRY_S = 1.0


async def run_alerts(bus: Bus) -> None:
    """Raise alerts by the bus's settings until cancelled.

    Several processes may do this on one log, and any of them may be killed: each alert is raised once, what
    happened while none of them ran included. Ends by itself when no alerts are wanted, or the log is closed
    or may only be read.
    """
    rules = AlertRules(
        token_budget=bus.settings.session_token_budget, bottleneck_factor=bus.settings.bottleneck_factor
    )
    if not (rules.token_budget or rules.bottleneck_factor):
        return
    while True:
        try:
            await Alerts(bus, rules).run()
        except NEVER:
            return
        except LogError as error:
            logger.warning("alerts wait: %s", error)
        except Exception:  # a task's root: from the snapshots on it may fare better
            logger.exception("raising alerts failed")
        await asyncio.sleep(RETRY_S)


class _Watched(msgspec.Struct):
    """A session's state, after its event at `position` of the log."""

    folding: Folding[AlertState]
    position: int = 0


class Alerts:
    """One watch over all sessions. The states that it keeps are those of `ALERT_STATE`, stored now and then.

    A state is stored only after the alerts that led to it were: after a crash they are raised again, and their
    ids make them the same. Of a session that was sealed meanwhile nothing is raised: that would open it anew.
    """

    def __init__(self, bus: Bus, rules: AlertRules) -> None:
        self._bus = bus
        self._rules = rules
        self._states: OrderedDict[str, _Watched] = OrderedDict()
        self._unsaved: set[str] = set()
        self._saved_at = 0.0
        self._caused: list[tuple[str, Publish]] = []
        """Alerts, each with the epoch of its session."""

    async def run(self) -> None:
        """Look back, then follow, until cancelled.

        Raises:
            LogError: the log failed. Nothing is lost; begin again with another watch.
        """
        with follow(self._bus, SESSIONS) as follower:
            follower.position = (await self._bus.head()).offset
            await self.look_back()
            while True:
                events = await self._next(follower)
                for event in events:
                    await self._take(event)
                await self._raise()
                await self._save_when_due()
                await asyncio.sleep(PAUSE_S if len(events) < PAGE_MAX_EVENTS else FULL_PAUSE_S)

    async def look_back(self) -> None:
        """Raise what happened while nobody looked.

        Raises:
            LogError: the log failed.
        """
        since, before = self._bus.now_us() - LOOK_BACK_US, None
        while True:
            infos = await self._bus.recent(KIND, before, LIST_SIZE)
            young = [info for info in infos if info.updated >= since]
            snapshots = await self._bus.call(
                self._bus.log.load_snapshots, [info.stream for info in young], *_FOLD
            )
            for info in young:
                watched = _begin(info, snapshots.get(info.stream))
                if watched.folding.seq < info.head:
                    await self._read_on(info.stream, watched)
            await self._save()
            if len(young) < LIST_SIZE:
                return
            before = infos[-1].latest

    async def _next(self, follower: Follower) -> list[Event]:
        """The next events. What is not stored yet is stored when none come for a while."""
        while True:
            try:
                async with asyncio.timeout(self._bus.settings.snapshot_interval_s if self._unsaved else None):
                    return await follower.read()
            except TimeoutError:
                await self._save()

    async def _take(self, event: Event) -> None:
        watched = self._states.get(event.stream)
        if watched is None and event.seq == 1:
            watched = _Watched(Folding[AlertState].begin(ALERT_STATE, None, event.epoch))
            self._states[event.stream] = watched
        if watched is None:
            await self._begin(event.stream)
        elif event.position > watched.position:
            if watched.folding.epoch != event.epoch or watched.folding.seq != event.seq - 1:
                await self._begin(event.stream)
            else:
                self._step(watched, event)

    async def _begin(self, stream: str) -> None:
        """Read a session from its snapshot on."""
        info = await self._bus.info(stream)
        snapshot = await self._bus.call(self._bus.log.load_snapshot, stream, *_FOLD)
        if info.epoch:
            await self._read_on(stream, _begin(info, snapshot))

    async def _read_on(self, stream: str, watched: _Watched) -> None:
        """Read a session to its head."""
        while True:
            page = await self._bus.read(stream, watched.folding.cursor)
            if page.reset is not None or page.epoch != watched.folding.epoch:
                watched.folding = Folding[AlertState].begin(ALERT_STATE, None, page.epoch)
            for event in page.events:
                self._step(watched, event)
            await self._raise()
            if page.complete:
                break
        self._states[stream] = watched
        self._states.move_to_end(stream)

    def _step(self, watched: _Watched, event: Event) -> None:
        folding = watched.folding
        self._caused += [(event.epoch, alert) for alert in watch(folding.state, event, self._rules)]
        folding.seq, folding.tag, watched.position = event.seq, id_tag(event.id), event.position
        self._unsaved.add(event.stream)

    async def _raise(self) -> None:
        """Publish what was caused; returned means stored."""
        caused, self._caused = self._caused, []
        for epoch, alert in caused:
            info = await self._bus.info(alert.stream)
            if info.epoch != epoch or info.ended:
                continue
            try:
                await self._bus.publish_all([alert])
            except InvalidInput as error:  # a processor has made something else of it
                logger.warning("no alert in %s: %s", alert.stream, error)

    async def _save_when_due(self) -> None:
        is_late = asyncio.get_running_loop().time() - self._saved_at >= self._bus.settings.snapshot_interval_s
        if self._unsaved and (is_late or len(self._unsaved) >= LIST_SIZE):
            await self._save()

    async def _save(self) -> None:
        """Store the states that have changed, and let go of those beyond `MAX_STATES`."""
        unsaved = [stream for stream in self._unsaved if stream in self._states]
        snapshots = {stream: self._states[stream].folding.snapshot() for stream in unsaved}
        await self._bus.call(self._bus.log.save_snapshots, *_FOLD, snapshots)
        self._unsaved.clear()
        self._saved_at = asyncio.get_running_loop().time()
        while len(self._states) > MAX_STATES:
            self._states.popitem(last=False)


def _begin(info: StreamInfo, snapshot: Snapshot | None) -> _Watched:
    return _Watched(Folding[AlertState].begin(ALERT_STATE, snapshot, info.epoch), info.latest)


_FOLD: Final = (ALERT_STATE.name, ALERT_STATE.version)
