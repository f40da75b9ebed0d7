"""Nodes that come, go and fall silent, on a virtual clock; what others see of it, and that one alone is quiet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from tests.support.clients import open_ws, receive
from tests.support.server import ThreadServer
from tests.support.virtual import run_virtual

from runcast.config import Settings
from runcast.core.event import Event
from runcast.errors import LogUnavailable
from runcast.feeds.system.presence import KEEP, TRIM_EVERY, Presence
from runcast.feeds.system.roll import PATIENCE, Roll
from runcast.feeds.system.telling import set_running, tell_system
from runcast.kinds.base import Publish
from runcast.kinds.known import KINDS
from runcast.kinds.system import EVENTS, SYSTEM_STATE
from runcast.kinds.system_nodes import NODES, NODES_STATE, Node, NodesState
from runcast.live.bus import Bus
from runcast.log.base import Appended, Lease
from runcast.log.memory import MemoryLog

T = TypeVar("T")
REPORT_S = 10.0
SETTINGS = Settings(presence="on", node_report_s=REPORT_S)
LONG_S = (PATIENCE + 3) * REPORT_S
"""So long that a silence is noticed in any case."""


class CutBus(Bus):
    """A bus whose way to the log can be cut, or slow."""

    is_cut = False
    lag_s = 0.0

    async def publish_all(self, events: Sequence[Publish], *, lease: Lease | None = None) -> list[Appended]:
        self._look()
        await asyncio.sleep(self.lag_s)
        return await super().publish_all(events, lease=lease)

    async def call(self, method: Callable[..., T], *args: object, **kwargs: object) -> T:
        self._look()
        return await super().call(method, *args, **kwargs)

    def _look(self) -> None:
        if self.is_cut:
            raise LogUnavailable


class Member:
    """One node, with a bus of its own on the log of all."""

    def __init__(self, log: MemoryLog, settings: Settings) -> None:
        self.bus = CutBus(log, KINDS, settings)
        self.presence = Presence(self.bus, tuple, "1.2.3")
        self.node_id = self.presence.node_id
        self.tasks = [
            asyncio.create_task(self.presence.run()),
            asyncio.create_task(tell_system(self.bus, self.presence.leave)),
        ]

    async def leave(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


class Nodes:
    """Some nodes on one log, within a test."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.bus = Bus(self.log, KINDS)
        self.members: list[Member] = []

    def start(self, settings: Settings = SETTINGS) -> Member:
        self.members.append(Member(self.log, settings))
        return self.members[-1]

    async def told(self, stream: str = EVENTS) -> list[tuple[str, str]]:
        """Who has joined and gone, in order."""
        events = [one async for one in self._events(stream)]
        named = [(event.type, msgspec.json.decode(event.data)) for event in events]
        return [(name, data["node_id"]) for name, data in named if "node_id" in data and name != "node_load"]

    async def _events(self, stream: str) -> AsyncIterator[Event]:
        page = await self.bus.read(stream)
        while page.events:
            for event in page.events:
                yield event
            page = await self.bus.read(stream, page.cursor)

    async def state(self) -> NodesState:
        return await self.bus.fold(NODES, NODES_STATE)


def figure(member: Member, name: str) -> float:
    return next(one.value for one in member.presence.figures() if one.name == name)


def on_nodes(test: Callable[[Nodes], Awaitable[None]]) -> None:
    async def run() -> None:
        nodes = Nodes()
        try:
            await test(nodes)
        finally:
            for member in nodes.members:
                member.bus.is_cut = False
                await member.leave()
                member.bus.log = MemoryLog()  # the shared one is closed once
                await member.bus.close()
            await nodes.bus.close()

    work: Coroutine[Any, Any, None] = run()
    run_virtual(work)


def test_they_join_report_and_leave() -> None:
    async def test(nodes: Nodes) -> None:
        a, b = nodes.start(), nodes.start()
        await asyncio.sleep(3 * REPORT_S)
        state = await nodes.state()
        assert {node.node_id for node in state.up()} == {a.node_id, b.node_id}
        assert all(node.version == "1.2.3" and node.heard > 2 for node in state.up())
        await b.leave()
        assert [node.node_id for node in (await nodes.state()).up()] == [a.node_id]
        await asyncio.sleep(LONG_S)
        told = [("node_joined", a.node_id), ("node_joined", b.node_id), ("node_left", b.node_id)]
        assert await nodes.told() == await nodes.told(NODES) == told

    on_nodes(test)


def test_one_that_falls_silent_is_lost_once_however_many_notice() -> None:
    async def test(nodes: Nodes) -> None:
        members = [nodes.start() for _ in range(5)]
        for member in members:
            member.bus.lag_s = REPORT_S / 2  # so that others notice, too, before the first one is heard
        await asyncio.sleep(3 * REPORT_S)
        silent = members[2]
        silent.bus.is_cut = True
        await asyncio.sleep((PATIENCE - 1) * REPORT_S * 0.9)
        assert ("node_lost", silent.node_id) not in await nodes.told()
        await asyncio.sleep(3 * LONG_S)
        told = await nodes.told()
        assert told.count(("node_lost", silent.node_id)) == 1
        assert [name for name, _ in told].count("node_lost") == 1
        assert sorted(await nodes.told(NODES)) == sorted(told)
        assert sum(figure(member, "runcast_nodes_lost") for member in members) == 1
        assert [figure(member, "runcast_nodes_up") for member in members if member is not silent] == [4] * 4

    on_nodes(test)


def test_one_that_was_there_after_all_joins_again_and_can_be_lost_again() -> None:
    async def test(nodes: Nodes) -> None:
        nodes.start()
        silent = nodes.start()
        for _ in range(2):
            await asyncio.sleep(2 * REPORT_S)
            silent.bus.is_cut = True
            await asyncio.sleep(LONG_S)
            silent.bus.is_cut = False
        await asyncio.sleep(2 * REPORT_S)
        own = [name for name, node_id in await nodes.told() if node_id == silent.node_id]
        assert own == ["node_joined", "node_lost", "node_joined", "node_lost", "node_joined"]
        assert (await nodes.state()).nodes[silent.node_id].incarnation == 3

    on_nodes(test)


def test_while_the_log_is_away_nobody_is_missed() -> None:
    async def test(nodes: Nodes) -> None:
        members = [nodes.start() for _ in range(3)]
        await asyncio.sleep(2 * REPORT_S)
        for member in members:
            member.bus.is_cut = True
        await asyncio.sleep(100 * REPORT_S)
        for member in members:
            member.bus.is_cut = False
        await asyncio.sleep(LONG_S)
        assert [name for name, _ in await nodes.told()] == ["node_joined"] * 3

    on_nodes(test)


def test_one_that_reports_seldom_is_given_its_time() -> None:
    async def test(nodes: Nodes) -> None:
        nodes.start()
        seldom = nodes.start(msgspec.structs.replace(SETTINGS, node_report_s=12 * REPORT_S))
        await asyncio.sleep(100 * REPORT_S)
        assert [name for name, _ in await nodes.told()] == ["node_joined"] * 2
        seldom.bus.is_cut = True
        await asyncio.sleep(12 * LONG_S)
        assert (await nodes.told())[-1] == ("node_lost", seldom.node_id)

    on_nodes(test)


def test_what_a_killed_node_left_behind_is_found_by_one_that_comes_later() -> None:
    async def test(nodes: Nodes) -> None:
        killed = nodes.start()
        await asyncio.sleep(2 * REPORT_S)
        killed.bus.is_cut = True
        await killed.leave()
        assert [node.node_id for node in (await nodes.state()).up()] == [killed.node_id]
        nodes.start()
        await asyncio.sleep(LONG_S)
        assert (await nodes.told())[-1] == ("node_lost", killed.node_id)

    on_nodes(test)


def test_the_reports_of_months_take_no_more_room_than_those_of_an_hour() -> None:
    async def test(nodes: Nodes) -> None:
        for _ in range(2):
            nodes.start()
        await asyncio.sleep(1_000 * REPORT_S)
        info = await nodes.bus.info(NODES)
        assert info.head > KEEP + TRIM_EVERY
        assert info.head - info.oldest < KEEP + TRIM_EVERY
        assert len((await nodes.state()).up()) == 2
        assert (await nodes.bus.info(EVENTS)).head == 2

    on_nodes(test)


def test_the_system_stops_with_its_last_node() -> None:
    async def test(nodes: Nodes) -> None:
        members = [nodes.start() for _ in range(2)]
        await asyncio.sleep(1)
        await set_running(nodes.bus, "a test")
        for member, status in zip(members, ("running", "stopped"), strict=True):
            await member.leave()
            assert (await nodes.bus.fold(EVENTS, SYSTEM_STATE)).status == status

    on_nodes(test)


def test_of_two_that_stop_together_one_says_so() -> None:
    async def test(nodes: Nodes) -> None:
        members = [nodes.start() for _ in range(2)]
        await asyncio.sleep(1)
        await set_running(nodes.bus, "a test")
        await asyncio.gather(*(member.leave() for member in members))
        assert (await nodes.bus.fold(EVENTS, SYSTEM_STATE)).status == "stopped"

    on_nodes(test)


@pytest.mark.parametrize(("workers", "presence"), [(1, "auto"), (4, "off")])
def test_on_a_log_of_its_own_a_node_writes_nothing(workers: int, presence: str) -> None:
    async def test(nodes: Nodes) -> None:
        nodes.start(Settings(workers=workers, presence=presence))
        await asyncio.sleep(20_000)
        assert (await nodes.bus.head()).offset == 0
        assert nodes.log.statistics().commits == 0

    on_nodes(test)


# --- the roll -------------------------------------------------------------------------------------


def heard(**nodes: int) -> NodesState:
    return NodesState({name: Node(node_id=name, heard=seq, interval_s=10) for name, seq in nodes.items()})


def test_the_roll_counts_looks_without_news() -> None:
    roll = Roll("me", 10)
    for seq in range(5):  # each look has news
        assert roll.call(heard(me=1, other=seq)) == []
    missing = [bool(roll.call(heard(me=1, other=4))) for _ in range(PATIENCE)]
    assert missing == [False] * (PATIENCE - 1) + [True]
    assert roll.call(heard(me=1, other=9)) == []


def test_the_roll_begins_anew_with_a_node_that_joined_again() -> None:
    roll, state = Roll("me", 10), heard(other=4)
    for _ in range(PATIENCE):
        roll.call(state)
    state.nodes["other"].incarnation = 2
    assert roll.call(state) == []


# --- what others see of one alone -------------------------------------------------------------------


def test_a_single_server_on_a_file_knows_itself_and_tells_the_file_nothing(tmp_path: Path) -> None:
    with ThreadServer(tmp_path / "log.db", node_report_s=0.02) as server:
        with open_ws(server.session("s")):
            first = server.get("/api/v1/nodes")
            (node,) = first["nodes"]
            assert (first["total"], first["shared"], node["status"], node["is_this"]) == (
                1,
                False,
                "up",
                True,
            )
            assert (node["load"]["connections"], node["load"]["subscriptions"]) == (1, 1)
            assert node["load"]["memory_mb"] > 10
            assert f'node_id="{node["node_id"]}"' in server.http.get("/metrics").text
        assert server.get("/api/status")["position"] == 0
        assert server.get("/api/v1/streams")["streams"] == []
        assert server.bus.log.statistics().commits == 0


def test_the_nodes_have_a_socket_in_the_frames_of_the_system(tmp_path: Path) -> None:
    with (
        ThreadServer(tmp_path / "log.db", presence="on", node_report_s=0.05) as server,
        open_ws(server.ws("/api/v1/ws/system/nodes", after="start")) as ws,
        open_ws(server.ws("/api/v1/ws/system/events", after="start")) as system,
    ):
        assert receive(ws)["type"] == receive(system)["type"] == "connected"
        joined, load = receive(ws), receive(ws)
        assert (joined["type"], load["type"]) == ("node_joined", "node_load")
        assert joined["node_id"] == load["node_id"] == receive(system)["node_id"]
        assert joined.keys() >= {"host", "pid", "version", "started_at", "timestamp", "seq", "cursor"}
        assert load["load"]["connections"] >= 1
