"""The documented class `ConnectionManager`, over a bus: with any object that can send text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.text_sockets import BareSocket, ClosingSocket
from tests.support.workflow_sockets import FRAMES

from runcast.errors import InvalidEvent, InvalidStreamName
from runcast.feeds.workflows.manager import ConnectionManager
from runcast.kinds.system import SYSTEM
from runcast.kinds.workflow import WORKFLOW
from runcast.live.bus import Bus
from runcast.log.sqlite import SqliteLog

ALL = [frame["type"] for frame in FRAMES]


@pytest.fixture
async def manager() -> AsyncIterator[ConnectionManager]:
    manager = ConnectionManager()
    yield manager
    await manager.close()


def test_it_can_be_made_and_asked_outside_of_a_loop() -> None:
    manager = ConnectionManager()
    assert manager.get_connection_stats()["total_connections"] == 0
    asyncio.run(manager.close())


async def test_connected_comes_first_then_the_whole_story(manager: ConnectionManager) -> None:
    for frame in FRAMES[:4]:
        await manager.send_to_workflow("wf_1", frame)
    late = ClosingSocket()
    await manager.connect(late, "wf_1")
    for frame in FRAMES[4:]:
        assert await manager.send_to_workflow("wf_1", frame) == 1
    await late.until(lambda: late.closed is not None)
    assert late.types == ["connected", *ALL]
    assert late.frames[0]["workflow_id"] == late.frames[1]["workflow_id"] == "wf_1"
    assert late.closed == (1000, "the workflow is over")
    await late.until(lambda: manager.get_connection_stats()["total_connections"] == 0, polling=True)


async def test_what_is_sent_reaches_those_whom_it_is_for(manager: ConnectionManager) -> None:
    one, other, nobodys = BareSocket(), BareSocket(), BareSocket()
    await manager.connect(one, "wf_1")
    await manager.connect(other, "wf_2")
    await manager.connect(nobodys)
    assert await manager.send_to_workflow("wf_1", {"type": "note", "text": "for one"}) == 1
    assert await manager.send_to_workflow("wf_3", {"type": "note"}) == 0
    assert await manager.send_to_all({"type": "announcement", "text": "for all"}) == 3
    await manager.send_personal(nobodys, {"type": "hint", "text": "for you"})
    await one.until(lambda: len(one.frames) == 3)
    await other.until(lambda: len(other.frames) == 2)
    await nobodys.until(lambda: len(nobodys.frames) == 3)
    assert sorted(one.types) == ["announcement", "connected", "note"]
    assert other.types == ["connected", "announcement"]
    assert sorted(nobodys.types) == ["announcement", "connected", "hint"]
    assert [socket.types[0] for socket in (one, other, nobodys)] == ["connected"] * 3


async def test_the_stats_count_connections(manager: ConnectionManager) -> None:
    sockets = [BareSocket() for _ in range(4)]
    for socket, workflow in zip(sockets, ("wf_1", "wf_1", "wf_2", None), strict=True):
        await manager.connect(socket, workflow)
    stats = manager.get_connection_stats()
    assert stats["total_connections"] == 4
    assert stats["workflow_connections"] == {"wf_1": 2, "wf_2": 1}
    assert stats["active_workflows"] == 2
    await manager.disconnect(sockets[0])
    await manager.disconnect(sockets[0])
    assert manager.get_connection_stats()["workflow_connections"] == {"wf_1": 1, "wf_2": 1}


async def test_a_disconnected_socket_gets_nothing_more_and_is_not_closed(manager: ConnectionManager) -> None:
    gone, there = ClosingSocket(), BareSocket()
    await manager.connect(gone, "wf_1")
    await manager.connect(there, "wf_1")
    await gone.until(lambda: gone.types == ["connected"])
    await manager.disconnect(gone)
    assert await manager.send_to_workflow("wf_1", {"type": "note"}) == 1
    await there.until(lambda: len(there.frames) == 2)
    assert (gone.types, gone.closed) == (["connected"], None)
    await manager.send_personal(gone, {"type": "goodbye"})  # it is its owner's, and can still be told
    assert gone.types == ["connected", "goodbye"]


async def test_connecting_again_begins_anew(manager: ConnectionManager) -> None:
    socket = BareSocket()
    await manager.connect(socket, "wf_1")
    await socket.until(lambda: socket.types == ["connected"])
    await manager.connect(socket, "wf_2")
    await socket.until(lambda: len(socket.types) == 2)
    assert await manager.send_to_workflow("wf_1", {"type": "note"}) == 0
    assert manager.get_connection_stats()["workflow_connections"] == {"wf_2": 1}


async def test_a_socket_that_fails_is_forgotten_and_harms_nobody(manager: ConnectionManager) -> None:
    broken, well = BareSocket(), BareSocket()
    broken.error = ValueError("whatever a library may raise")
    await manager.connect(broken, "wf_1")
    await manager.connect(well, "wf_1")
    await well.until(lambda: manager.get_connection_stats()["total_connections"] == 1, polling=True)
    assert await manager.send_to_workflow("wf_1", {"type": "note"}) == 1
    await well.until(lambda: well.types == ["connected", "note"])


@pytest.mark.parametrize(
    "frame",
    [
        {},
        {"type": 1},
        {"type": "note", "workflow_id": "wf_other"},
        {"type": "note", "workflow_id": []},
        {"type": "note", "event_id": 7},
        {"type": "note", "timestamp": "yesterday"},
        {"type": "workflow_status", "status": "sleeping"},
    ],
)
async def test_a_message_that_cannot_be_is_refused(manager: ConnectionManager, frame: dict[str, Any]) -> None:
    socket = BareSocket()
    await manager.connect(socket, "wf_1")
    with pytest.raises(InvalidEvent):
        await manager.send_to_workflow("wf_1", frame)
    await manager.send_to_workflow("wf_1", {"type": "note"})
    await socket.until(lambda: socket.types == ["connected", "note"])


async def test_a_name_that_cannot_be_is_refused(manager: ConnectionManager) -> None:
    for name in ("", "..", "a/b", "a\x00b"):
        with pytest.raises(InvalidStreamName):
            await manager.connect(BareSocket(), name)
        with pytest.raises(InvalidStreamName):
            await manager.send_to_workflow(name, {"type": "note"})
    assert manager.get_connection_stats()["total_connections"] == 0


async def test_the_frames_of_one_s_own_stream_may_be_sent_on(
    manager: ConnectionManager, tmp_path: Path
) -> None:
    """What was received can be sent as it is: its place is the log's to give, and its id makes it one event."""
    first, second = BareSocket(), BareSocket()
    await manager.connect(first, "wf_1")
    await manager.send_to_workflow("wf_1", {"type": "note", "event_id": "n1", "text": "x"})
    await first.until(lambda: len(first.frames) == 2)
    note = first.frames[1]
    await manager.send_to_workflow("wf_1", note)
    await manager.connect(second, "wf_1")
    await manager.send_to_workflow("wf_1", {"type": "end_of_test"})
    await second.until(lambda: "end_of_test" in second.types)
    assert second.types == ["connected", "note", "end_of_test"]
    assert second.frames[1] == note


async def test_managers_on_one_log_reach_each_other_s_clients(tmp_path: Path) -> None:
    here, there = (
        ConnectionManager(Bus(SqliteLog(tmp_path / "log.db"), [WORKFLOW, SYSTEM])) for _ in range(2)
    )
    socket = BareSocket()
    await there.connect(socket, "wf_1")
    assert await here.send_to_workflow("wf_1", {"type": "note"}) == 0  # here is nobody
    await here.send_to_all({"type": "announcement"})
    await socket.until(lambda: sorted(socket.types) == ["announcement", "connected", "note"])
    await here.close()
    await there.close()
