"""Where a transcript's events go: calls that others told before, and what they cost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.claude_code import called, line
from tests.support.server import ThreadServer

from runcast.client.blocking import Client
from runcast.errors import InvalidInput
from runcast.kinds.base import Publish
from runcast.kinds.session import SESSION
from runcast.live.bus import Bus
from runcast.log.memory import MemoryLog
from runcast.sources.claude_code.follow import Follower
from runcast.sources.claude_code.positions import Positions
from runcast.sources.claude_code.publishers import MAX_STREAMS, BusPublisher, ClientPublisher

pytestmark = pytest.mark.anyio

SESSIONS = MAX_STREAMS + 36


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    async with Bus(MemoryLog(), [SESSION]) as bus:
        yield bus


def paid_call(stream: str, event_id: str = "toolu_1", **fields: Any) -> Publish:
    data = {"agent_id": "claude-code", "cost_tokens": 7, "usage": {"output_tokens": 7}, **fields}
    return Publish(stream=stream, type="tool_call", data=data, id=event_id, time=1)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


async def test_calls_that_are_there_already_in_very_many_sessions(bus: Bus, tmp_path: Path) -> None:
    for number in range(SESSIONS):
        (tmp_path / f"s{number}.jsonl").write_text(called(number, session=f"s{number}"))
    for _ in range(2):
        await Follower(BusPublisher(bus), tmp_path, Positions(None)).run(once=True)
    assert (await bus.head()).offset == SESSIONS, "each is stored once, and none costs twice"


async def test_the_cost_is_still_to_be_told_of_those_that_a_hook_told(bus: Bus) -> None:
    streams = [f"session:{number}" for number in range(SESSIONS)]
    for stream in streams:
        await bus.publish(stream, "tool_call", {"source": "hook"}, id="toolu_1")
    given = [paid_call(stream, event_id) for event_id in ("toolu_1", "toolu_2") for stream in streams]
    late = await BusPublisher(bus).publish(given)
    assert sorted(event.stream for event in late) == sorted(streams)
    assert {event.id for event in late} == {"toolu_1"}


async def test_a_call_that_is_refused_still_counts(bus: Bus) -> None:
    event = paid_call("session:a", tool_input=nested(70))
    with pytest.raises(InvalidInput):
        await BusPublisher(bus).publish([event, paid_call("session:b")])
    assert (await bus.head()).offset == 0, "which one it is is found out first"
    for _ in range(2):
        with pytest.raises(InvalidInput):
            await BusPublisher(bus).publish([event])
    (usage,) = (await bus.read("session:a")).events
    assert (usage.type, usage.id, json.loads(usage.data)["cost_tokens"]) == ("usage", "toolu_1:usage", 7)


async def test_so_it_does_at_a_server(tmp_path: Path) -> None:
    with ThreadServer(tmp_path / "log.db") as server, Client(server.url()) as client:
        publisher = ClientPublisher(client)
        with pytest.raises(InvalidInput):
            await publisher.publish([paid_call("session:a", tool_input=nested(70))])
        with pytest.raises(InvalidInput):
            await publisher.publish([paid_call("session:a", event_id="x" * 300)])
        (usage,) = client.events("session:a").events
        assert (usage["id"], usage["data"]["cost_tokens"]) == ("toolu_1:usage", 7)
        client.publish("session:b", [{"type": "tool_call", "id": "toolu_1", "data": {"source": "hook"}}])
        late = await publisher.publish([paid_call("session:b"), paid_call("session:c")])
        assert [event.stream for event in late] == ["session:b"]


async def test_a_call_with_a_deep_input_is_kept_without_it(bus: Bus, tmp_path: Path) -> None:
    (tmp_path / "s1.jsonl").write_text(
        called(1, given=nested(59)) + called(2, given=nested(60)) + called(3, given=nested(900))
    )
    progress = await Follower(BusPublisher(bus), tmp_path, Positions(None)).run(once=True)
    assert (progress.events, progress.refused, progress.garbage) == (3, 0, 0)
    found = [json.loads(event.data) for event in (await bus.read("session:s1")).events]
    assert ["tool_input" in data for data in found] == [True, False, False]
    assert sum(data["cost_tokens"] for data in found) == 15
    assert found[1]["input_summary"].startswith('{"given":[[[')


@pytest.mark.parametrize("kind", [["text"], {"a": 1}, None, 5])
async def test_a_block_of_a_type_that_is_none_stops_nobody(bus: Bus, tmp_path: Path, kind: object) -> None:
    odd = {"role": "user", "content": [{"type": kind, "text": "x"}, {"type": "text", "text": "Hello"}]}
    (tmp_path / "s1.jsonl").write_text(line(1, "user", message=odd) + called(2))
    await Follower(BusPublisher(bus), tmp_path, Positions(None)).run(once=True)
    assert "toolu_2" in [event.id for event in (await bus.read("session:s1")).events]
