"""This process as a node of a shared log: it says that it is there, how it fares, and that it leaves.

Who falls silent is told to be lost by the first node that notices; its event's id is that of the node's going, so that each
node goes once, however many notice, and whatever it says itself later.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from runcast.chance import CHANCE
from runcast.core.event import format_time
from runcast.errors import NEVER, InvalidInput, LogError
from runcast.feeds.system.load import LoadMeter, Runs, runs_by_kind, subscriptions
from runcast.feeds.system.roll import Roll
from runcast.kinds.system import EVENTS
from runcast.kinds.system_nodes import JOINED, LEFT, LOAD, LOST, NODES, NODES_STATE, UP, Node, NodesState
from runcast.live.bus import Bus
from runcast.live.figures import Figure, counter, gauge
from runcast.log.place import is_redis

logger = logging.getLogger("runcast.nodes")

MAX_HOST_CHARS: Final = 100
LEAVE_S: Final = 2.0
"""So long the end of a process may wait for its last word to be stored."""
KEEP: Final = 1_000
TRIM_EVERY: Final = 500
"""Whose report has a seq that this divides trims the stream to `KEEP`: one node does, without any agreement."""


def is_shared(bus: Bus) -> bool:
    """Whether other nodes are to know of this one: by the setting, or as the log is one for several nodes."""
    settings = bus.settings
    if settings.presence == "auto":
        return is_redis(bus.log.url) or settings.workers > 1
    return settings.presence == "on"


class Presence:
    """One node. On a log that is not shared it writes nothing, and knows itself only.

    Args:
        bus: whose log is shared, or not. Its kinds must have `SYSTEM`.
        runs: the streams that this process runs.
        version: what others are told that runs here.
    """

    def __init__(self, bus: Bus, runs: Runs = tuple, version: str = "") -> None:
        self.is_shared = is_shared(bus)
        self._bus = bus
        self._runs = runs
        self._interval_s = bus.settings.node_report_s
        host = socket.gethostname()[:MAX_HOST_CHARS]
        self._node = Node(
            node_id=f"{host}-{os.getpid()}-{secrets.token_hex(3)}",
            host=host,
            pid=os.getpid(),
            version=version,
            interval_s=self._interval_s,
        )
        self._roll = Roll(self.node_id, self._interval_s)
        self._meter: LoadMeter | None = None
        self._has_joined = False
        self._leaving = asyncio.Lock()
        self._is_last: bool | None = None
        self._known_up = 1
        self._reports = self._found_lost = 0

    @property
    def node_id(self) -> str:
        """This node: host, process and a few random digits."""
        return self._node.node_id

    def here(self) -> Node | None:
        """This node as it is now; None while it does not run. For the event loop."""
        if self._meter is None:
            return None
        now_us = self._bus.now_us()
        return msgspec.structs.replace(self._node, seen=now_us, load=self._meter.read())

    async def run(self) -> None:
        """Be there until cancelled; then leave. Ends by itself when the log is closed or may only be read."""
        self._begin()
        self._meter = LoadMeter(self._bus, self._runs)
        self._bus.figures.append(self.figures)
        try:
            while True:
                if not await self._report():
                    return
                await asyncio.sleep(self._interval_s * CHANCE.uniform(0.9, 1.1))
        except asyncio.CancelledError:
            await self.leave()
            raise
        finally:
            self._bus.figures.remove(self.figures)
            self._meter = None

    async def leave(self) -> bool:
        """Say that this node goes, if others know of it; returns whether no other one is there. Idempotent.

        Waits at most `LEAVE_S` for the log; a node that could not say it is found to be lost by the others.
        """
        async with self._leaving:
            if self._is_last is None:
                self._is_last = await self._leave()
            return self._is_last

    def figures(self) -> Iterable[Figure]:
        """For `/metrics`. Needs no running loop."""
        node = self._node
        about = {"node_id": node.node_id, "host": node.host, "version": node.version}
        yield gauge("runcast_node_info", "This process, as other nodes know it.", 1, about)
        yield gauge("runcast_subscriptions", "Subscriptions of the clients here.", subscriptions(self._bus))
        for kind, count in runs_by_kind(self._runs()).items():
            yield gauge("runcast_runs", "What runs here, by kind.", count, {"kind": kind})
        if self.is_shared:
            yield gauge("runcast_nodes_up", "Nodes that are there, as this one knows.", self._known_up)
            yield counter("runcast_node_reports", "Reports of this node that were stored.", self._reports)
            yield counter("runcast_nodes_lost", "Nodes that this one was first to miss.", self._found_lost)

    # Reporting

    def _begin(self) -> None:
        now_us = self._bus.now_us()
        self._node.incarnation += self._has_joined  # an app may be started again
        self._node.joined, self._node.started_at = now_us, format_time(now_us)
        self._has_joined, self._is_last = False, None

    async def _report(self) -> bool:
        """One report, and one look at the others; False if there will be none any more."""
        assert self._meter is not None
        try:
            if self.is_shared:
                await self._tell_load() if self._has_joined else await self._join()
                await self._look()
        except NEVER:
            return False
        except (LogError, InvalidInput) as error:  # processors may change what is told
            logger.info("this node is not told of: %s", error)
        except Exception:  # a task's root: the next report may fare better
            logger.exception("telling of this node failed")
        self._meter.mark()
        return True

    async def _join(self) -> None:
        await self._announce(JOINED, self._who(), f"joined:{self._place()}")
        self._has_joined = True
        self._reports += 1

    async def _tell_load(self) -> None:
        appended = await self._bus.publish(NODES, LOAD, self._who())
        self._reports += 1
        if appended is not None and appended.seq % TRIM_EVERY == 0:
            await self._bus.trim(NODES, keep=KEEP)

    async def _look(self) -> None:
        """After a report of ours was stored: who is there, who is missing, and whether we were missed ourselves."""
        state = await self._bus.fold(NODES, NODES_STATE)
        own = state.nodes.get(self.node_id)
        if own is not None and own.incarnation >= self._node.incarnation and own.status != UP:
            self._node.incarnation = own.incarnation + 1
            self._node.joined = self._bus.now_us()
            logger.warning("this node was taken for lost, and joins again")
            self._has_joined = False
            await self._join()
        for node in self._roll.call(state):
            await self._tell_lost(node)
        self._known_up = max(1, len(state.up()))

    async def _tell_lost(self, node: Node) -> None:
        data = {
            "node_id": node.node_id,
            "incarnation": node.incarnation,
            "reason": "silent",
            "by": self.node_id,
        }
        if await self._announce(LOST, data, _going(node)):
            self._found_lost += 1
            logger.warning("the node %s has fallen silent, and counts as lost", node.node_id)

    async def _leave(self) -> bool:
        if not self._has_joined:
            return not self.is_shared
        data = {"node_id": self.node_id, "incarnation": self._node.incarnation, "reason": "drain"}
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._announce(LEFT, data, _going(self._node))
                state: NodesState = await self._bus.fold(NODES, NODES_STATE)
                return not [node for node in state.up() if node.node_id != self.node_id]
        except (LogError, InvalidInput, TimeoutError) as error:
            logger.info(
                "the others are not told that this node leaves: %s", error or "the log takes too long"
            )
            return False

    async def _announce(self, event_type: str, data: dict[str, Any], event_id: str) -> bool:
        """Tell in both streams; returns whether it is news.

        One after the other: they may lie on different servers of Redis, and what failed is told again as a whole.
        """
        appended = None
        for stream in (EVENTS, NODES):
            appended = await self._bus.publish(stream, event_type, data, id=event_id)
        return appended is not None and not appended.duplicate

    def _who(self) -> dict[str, Any]:
        assert self._meter is not None
        node = self._node
        return {
            "node_id": node.node_id,
            "host": node.host,
            "pid": node.pid,
            "version": node.version,
            "started_at": node.started_at,
            "incarnation": node.incarnation,
            "interval_s": node.interval_s,
            "load": msgspec.to_builtins(self._meter.read()),
        }

    def _place(self) -> str:
        return f"{self.node_id}:{self._node.incarnation}"


def _going(node: Node) -> str:
    """The id of the one event by which a node goes, whether it says so itself or another one does."""
    return f"gone:{node.node_id}:{node.incarnation}"
