"""HtmlGraph itself writes, from a venv of its own, while Runcast follows."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.htmlgraph import HtmlGraph, data_of, following, own_python

from runcast import Bus
from runcast.kinds.session import SESSION
from runcast.log.sqlite import SqliteLog

pytestmark = pytest.mark.timeout(400)  # the first run installs it


@pytest.fixture(scope="module")
def python(request: pytest.FixtureRequest) -> Path:
    return own_python(request.config.cache.mkdir("htmlgraph"))


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    async with Bus(SqliteLog(tmp_path / "log.db"), [SESSION]) as bus:
        yield bus


async def test_every_row_once_with_its_changes(bus: Bus, python: Path, tmp_path: Path) -> None:
    path = tmp_path / ".htmlgraph" / "htmlgraph.db"
    path.parent.mkdir()
    async with following(bus, path) as followed:
        with HtmlGraph(python, path) as graph:
            await asyncio.to_thread(write_a_session, graph)
            await followed.until(lambda found: len(found) >= 61)
            await asyncio.to_thread(complete_calls, graph)
            events = await followed.until(lambda found: len(found) >= 61 + 20)
            assert Counter(event.type for event in events) == {
                "tool_call": 60,
                "task_delegation": 1,
                "update": 20,
            }
            assert len({event.id for event in events}) == len(events)
            check_updates(events)
    async with following(bus, path):
        pass
    assert (await bus.info("session:s1")).head == len(events)
    assert bus.log.statistics().duplicate_events == 0
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def write_a_session(graph: HtmlGraph) -> None:
    graph.do("session", "s1")
    graph.insert("t0", event_type="task_delegation", tool_name="Task", subagent_type="Explore", cost_tokens=5)
    for number in range(60):
        graph.insert(f"e{number}", tool_name="Bash", cost_tokens=number, parent_event_id="t0")
        if number == 20:
            graph.do("reopen")
        if number == 40:
            graph.do("sql", "DELETE FROM live_events")
            graph.do("sql", "VACUUM")


def complete_calls(graph: HtmlGraph) -> None:
    for number in range(20):
        graph.do("complete", f"e{number}", "done", "completed", 1.5)


def check_updates(events: list) -> None:
    updates = {
        data_of(event)["parent_event_id"]: data_of(event) for event in events if event.type == "update"
    }
    assert set(updates) == {f"e{number}" for number in range(20)}
    for told in updates.values():
        assert (told["status"], told["output_summary"]) == ("completed", "done")
        assert (told["execution_duration_seconds"], told["cost_tokens"]) == (1.5, 0)
    assert sum(data_of(event)["cost_tokens"] for event in events) == sum(range(60)) + 5
