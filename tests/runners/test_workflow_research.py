"""The built-in workflow over a real knowledge base, with the built-in model: no language model, and an answer with sources."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from tests.runners.workflow_stage import WAIT_S, data, of_type

from runcast.config import Settings
from runcast.core.event import Event
from runcast.kinds.workflow import WORKFLOW, workflow_stream
from runcast.live.bus import Bus
from runcast.log.memory import MemoryLog
from runcast.runners.extractive import ExtractiveModel
from runcast.runners.host import RunnerHost
from runcast.runners.knowledge import KnowledgeBase
from runcast.runners.workflows.service import Workflows

NOTES = """# Otters

## Sleep

Sea otters hold hands while they sleep, so that they do not drift apart in the current.

## Food

Sea otters eat sea urchins, crabs and clams, about a quarter of their weight each day.
"""


def researched(
    path: Path, *tasks: str, notes: str = NOTES, max_steps: int | None = None
) -> list[list[Event]]:
    """The events of a workflow per task, one following up on the other."""

    async def run() -> list[list[Event]]:
        knowledge = KnowledgeBase(path / "knowledge.db")
        knowledge.add(notes.encode(), "otters.md")
        bus = Bus(MemoryLog(), [WORKFLOW], Settings())
        workflows = Workflows(bus, ExtractiveModel(knowledge), knowledge)
        async with bus, asyncio.timeout(WAIT_S):
            host = asyncio.create_task(RunnerHost(bus, [workflows]).run())
            told: list[list[Event]] = []
            parent = None
            for task in tasks:
                parent = await workflows.start(task, parent_workflow_id=parent, max_steps=max_steps)
                told.append([])
                async for event in bus.subscribe(workflow_stream(parent)):
                    told[-1].append(event)
                    if event.type in WORKFLOW.terminals:
                        break
            host.cancel()
            await asyncio.wait([host])
        knowledge.close()
        return told

    return asyncio.run(run())


def test_it_answers_from_the_documents_and_says_by_what(tmp_path: Path):
    (events,) = researched(tmp_path, "Why do sea otters hold hands while they sleep?")
    complete = data(events[-1])
    assert "drift apart" in complete["synthesis"]["content"]
    assert "otters.md" in complete["synthesis"]["content"]
    assert complete["model"] == "extractive"
    assert 0 < complete["synthesis"]["confidence"] <= 1
    kinds = [one["agent_type"] for one in of_type(events, "agent_spawned")]
    assert kinds == ["research", "synthesis"], "there is one passage, and the built-in model has no opinions"
    assert of_type(events, "synthesis_started") == [{"agent_count": 1}]
    assert complete["synthesis"]["agents_synthesized"] == 1
    assert {one["model"] for one in of_type(events, "agent_completed")} == {"extractive"}


def test_without_a_source_it_says_so_and_is_not_sure(tmp_path: Path):
    (events,) = researched(tmp_path, "Which volcano erupted in Iceland?")
    complete = data(events[-1])
    assert events[-1].type == "workflow_complete"
    assert complete["synthesis"]["confidence"] < 0.5
    assert "Nothing" in complete["synthesis"]["content"]
    reader, synthesis = of_type(events, "agent_completed")
    assert (reader["agent_id"], synthesis["agent_id"]) == ("research_001", "synthesis_001")
    assert reader["confidence"] is synthesis["confidence"] is None, "there was nothing to judge"


MANY = "\n\n".join(
    f"## Otters in {place}\n\nSea otters of {place} eat about {number} kinds of clams, and sleep in {place}."
    for number, place in enumerate(("Alaska", "Russia", "Japan", "Canada", "Oregon", "Chile", "Peru"), 2)
)


def test_each_passage_is_read_by_one_agent(tmp_path: Path):
    (events,) = researched(tmp_path, "What do sea otters eat?", notes=MANY, max_steps=9)
    found = [
        one["content"] for one in of_type(events, "agent_completed") if one["agent_id"].startswith("research")
    ]
    marks = [mark for content in found for mark in set(re.findall(r"\[otters.md, ([^]]+)\]", content))]
    assert 1 < len(found) <= 6
    assert len(marks) == len(set(marks)) >= len(found)
    assert data(events[-1])["synthesis"]["confidence"] > 0.9, "the sources have all that was asked for"


def test_a_follow_up_builds_on_the_first_result(tmp_path: Path):
    _, second = researched(tmp_path, "What do sea otters eat?", "How much of that each day?")
    assert "weight each day" in data(second[-1])["synthesis"]["content"]
