"""Following transcripts into a log: what is there, what is added, and going on after any kind of stop."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.claude_code import answered, called, line, prompt
from tests.support.server import WAIT_S
from tests.support.transcript import LONG, transcript_path

from runcast.core.event import Event
from runcast.errors import Busy, LogReadOnly
from runcast.kinds.base import Publish
from runcast.kinds.session import SESSION
from runcast.live.bus import Bus
from runcast.log.memory import MemoryLog
from runcast.sources.claude_code import follow as following
from runcast.sources.claude_code import merging
from runcast.sources.claude_code.follow import Follower, Progress, follow
from runcast.sources.claude_code.positions import Positions
from runcast.sources.claude_code.publishers import BusPublisher

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "GLANCE_S", 0.002)
    monkeypatch.setattr(following, "SCAN_S", 0.01)


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    async with Bus(MemoryLog(), [SESSION]) as bus:
        yield bus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "projects" / "-home-me"
    folder.mkdir(parents=True)
    return folder


async def once(bus: Bus, folder: Path, journal: Path | None = None, **options: Any) -> Progress:
    """Tell everything that is there."""
    publisher = BusPublisher(bus)
    return await Follower(publisher, folder, Positions(journal, publisher.identity), **options).run(once=True)


@asynccontextmanager
async def followed(bus: Bus, folder: Path, **options: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(follow(bus, folder, **options))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task.exception()


async def stored(bus: Bus, session: str = "s1") -> list[Event]:
    events: list[Event] = []
    page = await bus.read(f"session:{session}")
    events += page.events
    while not page.complete:
        page = await bus.read(f"session:{session}", page.cursor)
        events += page.events
    return events


async def ids(bus: Bus, session: str = "s1") -> list[str]:
    return [event.id for event in await stored(bus, session)]


async def until(bus: Bus, test: Callable[[list[str]], bool], session: str = "s1") -> list[str]:
    deadline = time.monotonic() + WAIT_S
    while not test(found := await ids(bus, session)):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.002)
    return found


def spent(events: list[Event]) -> int:
    return sum(msgspec.json.decode(event.data)["cost_tokens"] for event in events)


# --- what is there, and what comes -----------------------------------------------------------------------


async def test_it_tells_what_is_there_then_each_line_as_it_comes(bus: Bus, folder: Path) -> None:
    file = folder / "s1.jsonl"
    file.write_text(prompt(1) + called(2))
    async with followed(bus, folder.parent):
        await until(bus, lambda found: found == ["u1:0", "toolu_2"])
        with file.open("a") as more:
            more.write(answered(3, 2))
            more.flush()
            await until(bus, lambda found: found[2:] == ["toolu_2:result"])
            more.write(prompt(4))
            more.flush()
            await until(bus, lambda found: found[3:] == ["u4:0"])


async def test_half_a_line_waits_for_its_other_half(bus: Bus, folder: Path) -> None:
    file, whole = folder / "s1.jsonl", called(2, command="ls é")
    cut = whole.encode().index(b"u00e9") + 2
    async with followed(bus, folder):
        file.write_bytes(prompt(1).encode() + whole.encode()[:cut])
        await until(bus, lambda found: found == ["u1:0"])
        with file.open("ab") as more:
            more.write(whole.encode()[cut:])
        await until(bus, lambda found: found == ["u1:0", "toolu_2"])
    (_, call) = await stored(bus)
    assert msgspec.json.decode(call.data)["input_summary"] == "ls é"


async def test_a_last_line_that_is_complete_needs_no_line_end(bus: Bus, folder: Path) -> None:
    file = folder / "s1.jsonl"
    file.write_text(prompt(1).rstrip("\n"))
    async with followed(bus, folder):
        await until(bus, lambda found: found == ["u1:0"])
        with file.open("a") as more:
            more.write("\n" + prompt(2))
        await until(bus, lambda found: found == ["u1:0", "u2:0"])


async def test_new_files_and_folders_are_found(bus: Bus, folder: Path) -> None:
    async with followed(bus, folder.parent):
        (folder / "s1.jsonl").write_text(prompt(1))
        await until(bus, lambda found: found == ["u1:0"])
        (folder.parent / "another").mkdir()
        (folder.parent / "another" / "s2.jsonl").write_text(prompt(2, session="s2"))
        await until(bus, lambda found: found == ["u2:0"], "s2")


async def test_a_folder_may_come_later(bus: Bus, tmp_path: Path) -> None:
    folder = tmp_path / "later" / "projects"
    async with followed(bus, folder):
        folder.mkdir(parents=True)
        (folder / "s1.jsonl").write_text(prompt(1))
        await until(bus, lambda found: found == ["u1:0"])


async def test_one_file_can_be_followed(bus: Bus, folder: Path) -> None:
    file = folder / "s1.jsonl"
    file.write_text(prompt(1))
    (folder / "s2.jsonl").write_text(prompt(1, session="s2"))
    async with followed(bus, file):
        await until(bus, lambda found: found == ["u1:0"])
        with file.open("a") as more:
            more.write(prompt(2))
        await until(bus, lambda found: found == ["u1:0", "u2:0"])
    assert await ids(bus, "s2") == []


@pytest.mark.parametrize("sidecar", [True, False], ids=["told beside it", "told by the prompt"])
async def test_a_new_subagent_knows_the_call_that_began_it(bus: Bus, folder: Path, sidecar: bool) -> None:
    task: dict[str, Any] = {"description": "Look", "prompt": "Explore!", "subagent_type": "Explore"}
    async with followed(bus, folder.parent):
        (folder / "s1.jsonl").write_text(prompt(1) + called(2, tool="Task", **task))
        await until(bus, lambda found: "toolu_2" in found)
        agents = folder / "s1" / "subagents"
        agents.mkdir(parents=True)
        if sidecar:
            beside = {"agentType": "Explore", "description": "Look", "toolUseId": "toolu_2"}
            (agents / "agent-a7.meta.json").write_bytes(msgspec.json.encode(beside))
        asked = prompt(3, "Explore!" if not sidecar else "Else", agentId="a7", isSidechain=True)
        (agents / "agent-a7.jsonl").write_text(asked)
        await until(bus, lambda found: "agent:a7" in found)
    begun = msgspec.json.decode((await stored(bus))[-1].data)
    assert (begun["agent_id"], begun["parent_event_id"]) == ("a7", "toolu_2")
    assert (begun["agent_type"], begun["description"]) == ("Explore", "Look")


async def test_a_file_that_was_cut_is_begun_anew(bus: Bus, folder: Path) -> None:
    file = folder / "s1.jsonl"
    file.write_text(prompt(1) + called(2) + answered(3, 2))
    async with followed(bus, folder):
        await until(bus, lambda found: len(found) == 3)
        file.write_text(prompt(1))
        with file.open("a") as more:
            more.write(prompt(9))
        found = await until(bus, lambda found: "u9:0" in found)
    assert found == ["u1:0", "toolu_2", "toolu_2:result", "u9:0"]


async def test_a_file_that_was_replaced_by_a_longer_one_is_begun_anew(bus: Bus, folder: Path) -> None:
    file, other = folder / "s1.jsonl", folder / "other.tmp"
    file.write_text(prompt(1) + called(2))
    async with followed(bus, folder):
        await until(bus, lambda found: len(found) == 2)
        other.write_text(prompt(5) + called(6) + answered(7, 6) + prompt(8))
        other.replace(file)
        found = await until(bus, lambda found: "u8:0" in found)
    assert found == ["u1:0", "toolu_2", "u5:0", "toolu_6", "toolu_6:result", "u8:0"]


async def test_garbage_and_what_cannot_be_stored_hold_up_nothing(bus: Bus, folder: Path) -> None:
    future = prompt(2).replace("2026-", "9026-")
    (folder / "s1.jsonl").write_text(prompt(1) + "{garbage}\n\x00\n" + future + prompt(3))
    progress = await once(bus, folder)
    assert await ids(bus) == ["u1:0", "u3:0"]
    assert (progress.garbage, progress.refused) == (2, 1)


async def test_files_unchanged_for_long_can_be_left_out_until_they_change(bus: Bus, folder: Path) -> None:
    old, new = folder / "old.jsonl", folder / "new.jsonl"
    old.write_text(prompt(1, session="old"))
    new.write_text(prompt(1, session="new"))
    os.utime(old, (1_000_000_000, 1_000_000_000))
    async with followed(bus, folder, since_s=3_600):
        await until(bus, lambda found: found == ["u1:0"], "new")
        assert await ids(bus, "old") == []
        with old.open("a") as more:
            more.write(prompt(2, session="old"))
        await until(bus, lambda found: found == ["u1:0", "u2:0"], "old")


async def test_sessions_used_last_come_last_and_main_files_first(bus: Bus, folder: Path) -> None:
    for n, name in enumerate(["b", "a", "c"]):
        file = folder / f"{name}.jsonl"
        file.write_text(prompt(n, session=name))
        os.utime(file, (1_000_000_000 + n, 1_000_000_000 + n))
    agents = folder / "b" / "subagents"
    agents.mkdir(parents=True)
    (agents / "agent-x.jsonl").write_text(prompt(9, session="b", agentId="x"))
    await once(bus, folder)
    page = await bus.read_all("session")
    assert [event.stream for event in page.events] == ["session:a", "session:c", "session:b", "session:b"]
    assert page.events[-1].id == "agent:x"


# --- a session's files together ------------------------------------------------------------------------------


def with_subagents(folder: Path, session: str = "s1") -> None:
    """A session with two subagents; the numbers are the seconds of the lines."""
    task: dict[str, Any] = {"description": "Look", "prompt": "Explore!", "subagent_type": "Explore"}
    ending = line(13, "user", session, message={"content": "No time"}).replace('"timestamp"', '"time"')
    main = prompt(1, session=session) + called(2, tool="Task", session=session, **task)
    main += prompt(5, session=session) + answered(9, 2, session=session) + ending
    (folder / f"{session}.jsonl").write_text(main)
    agents = folder / session / "subagents"
    agents.mkdir(parents=True)
    for agent, first, *rest in (("x", 3, 4, 7, 12), ("y", 4, 5, 6, 10)):
        text = prompt(first, "Explore!", session, agentId=agent)
        text += "".join(called(n, session=session, by=agent).replace("toolu_", f"{agent}_") for n in rest)
        (agents / f"agent-{agent}.jsonl").write_text(text.replace(f'"u{first}"', f'"{agent}{first}"'))


MERGED = ["u1:0", "toolu_2", "agent:x", "x_4", "agent:y", "u5:0", "y_5", "y_6", "x_7"]
MERGED += ["toolu_2:result", "u13:0", "y_10", "x_12"]


async def test_the_files_of_a_session_are_told_in_the_order_of_their_times(bus: Bus, folder: Path) -> None:
    with_subagents(folder)
    assert (await once(bus, folder)).files_done == 3
    events = await stored(bus)
    assert [event.id for event in events] == MERGED
    assert [event.time for event in events] == sorted(event.time for event in events)
    begun = {event.id: msgspec.json.decode(event.data) for event in events if event.type == "delegation"}
    assert {data["parent_event_id"] for data in begun.values()} == {"toolu_2"}


async def test_a_stop_between_any_two_batches_leaves_the_order_as_it_is(
    bus: Bus, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "BATCH_EVENTS", 1)
    monkeypatch.setattr(merging, "MERGED_BYTES", 1)
    monkeypatch.setattr(merging, "LEAST_BYTES", 1)
    with_subagents(folder)
    for saved in range(3 * len(MERGED)):  # now and then the places are lost as well, as by a kill
        publisher = BusPublisher(bus)
        journal = tmp_path / "places" if saved % 3 else None
        follower = Follower(publisher, folder, Positions(journal, publisher.identity))
        task = asyncio.create_task(follower.run())
        while not follower.progress.events and not follower.progress.current:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert await ids(bus) == MERGED


async def test_a_session_that_goes_on_while_its_files_are_merged(bus: Bus, folder: Path) -> None:
    with_subagents(folder)
    publisher = Counting(bus)
    follower = Follower(publisher, folder, Positions(None))
    other = folder / "s2.jsonl"
    publish = publisher.publish

    async def grow(events: Sequence[Publish]) -> list[Publish]:
        if not publisher.published:
            other.write_text(prompt(1, session="s2"))
            with (folder / "s1.jsonl").open("a") as more:
                more.write(prompt(20))
        return await publish(events)

    publisher.publish = grow
    task = asyncio.create_task(follower.run())
    try:
        assert await until(bus, lambda found: "u20:0" in found) == [*MERGED, "u20:0"]
        await until(bus, lambda found: found == ["u1:0"], "s2")
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_merged_or_not_a_real_session_has_the_same_events(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, folder = LONG.removesuffix(".jsonl"), transcript_path(LONG).parent
    await once(bus, folder)
    merged = await stored(bus, session)
    async with Bus(MemoryLog(), [SESSION]) as other:
        main = transcript_path(LONG)
        await once(other, main)
        for agent in sorted(main.with_suffix("").glob("subagents/*.jsonl")):
            await once(other, agent)
        apart = await stored(other, session)
    assert {event.id for event in merged} == {event.id for event in apart}
    assert spent(merged) == spent(apart)

    def steps_back(events: list[Event]) -> int:
        """Of over a second: within one file, the results of parallel calls are written as they come."""
        return sum(event.time < before.time - 1_000_000 for before, event in pairwise(events))

    assert (steps_back(merged), steps_back(apart) > 0) == (0, True)


# --- going on after a stop ---------------------------------------------------------------------------------


class Counting:
    """A publisher that counts, and fails when it is told to."""

    def __init__(self, bus: Bus, *failures: Exception) -> None:
        self._inner = BusPublisher(bus)
        self.identity = self._inner.identity
        self.failures = list(failures)
        self.published: list[str | None] = []

    async def publish(self, events: Sequence[Publish]) -> list[Publish]:
        if self.failures:
            raise self.failures.pop(0)
        self.published += [event.id for event in events]
        return await self._inner.publish(events)


async def test_what_was_told_is_not_read_again(bus: Bus, folder: Path, tmp_path: Path) -> None:
    journal, file = tmp_path / "places", folder / "s1.jsonl"
    file.write_text(prompt(1) + called(2))
    await once(bus, folder, journal)
    with file.open("a") as more:
        more.write(answered(3, 2))
    publisher = Counting(bus)
    await Follower(publisher, folder, Positions(journal, publisher.identity)).run(once=True)
    assert publisher.published == ["toolu_2:result"]
    result = msgspec.json.decode((await stored(bus))[-1].data)
    assert (result["tool_name"], result["execution_duration_seconds"]) == ("Bash", 1.0), (
        "its call is remembered"
    )


async def test_places_of_another_log_do_not_count(bus: Bus, folder: Path, tmp_path: Path) -> None:
    (folder / "s1.jsonl").write_text(prompt(1))
    await once(bus, folder, tmp_path / "places")
    async with Bus(MemoryLog(), [SESSION]) as fresh:
        await once(fresh, folder, tmp_path / "places")
        assert await ids(fresh) == ["u1:0"]


async def test_without_its_places_it_tells_all_again_and_nothing_counts_twice(bus: Bus, folder: Path) -> None:
    (folder / "s1.jsonl").write_text(transcript_path(LONG).read_text(encoding="utf-8"))
    session = LONG.removesuffix(".jsonl")
    await once(bus, folder)
    before = await stored(bus, session)
    assert max(Counter(event.id for event in before).values()) == 1
    await once(bus, folder)
    assert await stored(bus, session) == before


async def test_a_stop_at_any_moment_loses_nothing(bus: Bus, folder: Path, tmp_path: Path) -> None:
    text = "".join(called(n, tokens=n) + answered(n + 1, n) for n in range(2, 2_000, 2))
    (folder / "s1.jsonl").write_text(text)
    (folder / "s2.jsonl").write_text(text.replace("s1", "s2"))
    rounds = 0
    while len(await ids(bus)) + len(await ids(bus, "s2")) < 3_996:
        rounds += 1
        publisher = BusPublisher(bus)
        follower = Follower(publisher, folder, Positions(tmp_path / "places", publisher.identity))
        task = asyncio.create_task(follower.run())
        for _ in range(rounds * 3):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
    for session in ("s1", "s2"):
        events = await stored(bus, session)
        assert max(Counter(event.id for event in events).values()) == 1
        assert spent(events) == sum(range(2, 2_000, 2))


async def test_a_log_that_is_busy_is_waited_for(bus: Bus, folder: Path) -> None:
    (folder / "s1.jsonl").write_text(prompt(1) + called(2))
    told: list[str | None] = []
    publisher = Counting(bus, Busy(), Busy("Still busy."))
    follower = Follower(publisher, folder, Positions(None), on_progress=lambda now: told.append(now.waiting))
    await follower.run(once=True)
    assert await ids(bus) == ["u1:0", "toolu_2"]
    assert "Still busy." in told
    assert told[-1] is None


async def test_a_log_that_never_stores_ends_it(bus: Bus, folder: Path, tmp_path: Path) -> None:
    (folder / "s1.jsonl").write_text(prompt(1))
    publisher = Counting(bus, LogReadOnly())
    with pytest.raises(LogReadOnly):
        await Follower(publisher, folder, Positions(tmp_path / "places")).run(once=True)
    await once(bus, folder, tmp_path / "places")
    assert await ids(bus) == ["u1:0"]


# --- beside the hooks ----------------------------------------------------------------------------------------


async def hook_tells(bus: Bus, number: int) -> None:
    """What a hook tells of the call `toolu_NUMBER`: everything but its cost."""
    data = {"agent_id": "claude-code", "source": "hook", "tool_name": "Bash", "status": "started"}
    await bus.publish("session:s1", "tool_call", data, id=f"toolu_{number}")


async def test_the_cost_of_a_call_that_a_hook_told_first_is_told_beside_it(bus: Bus, folder: Path) -> None:
    await hook_tells(bus, 2)
    (folder / "s1.jsonl").write_text(prompt(1) + called(2, tokens=7) + called(3, tokens=11))
    await once(bus, folder)
    assert await ids(bus) == ["toolu_2", "u1:0", "toolu_3", "toolu_2:usage"]
    events = await stored(bus)
    assert spent(events) == 18
    usage = msgspec.json.decode(events[-1].data)
    assert (usage["tool_name"], usage["model"], usage["cost_tokens"]) == ("Bash", "claude-x", 7)
    assert usage["usage"]["input_tokens"] == 3


async def test_it_is_told_once_also_after_a_crash(bus: Bus, folder: Path) -> None:
    await hook_tells(bus, 2)
    (folder / "s1.jsonl").write_text(called(2, tokens=7) + called(3, tokens=11))
    for _ in range(3):  # each time without the places, as a crash before they are saved leaves it
        await once(bus, folder)
    assert await ids(bus) == ["toolu_2", "toolu_3", "toolu_2:usage"]


async def test_it_is_told_when_the_crash_came_between_the_call_and_its_cost(bus: Bus, folder: Path) -> None:
    await hook_tells(bus, 2)
    (folder / "s1.jsonl").write_text(called(2, tokens=7))
    publisher = Counting(bus)
    publisher_publish = publisher.publish

    async def crash_before_usage(events: Sequence[Publish]) -> list[Publish]:
        if events[0].type == "usage":
            raise LogReadOnly
        return await publisher_publish(events)

    publisher.publish = crash_before_usage
    with pytest.raises(LogReadOnly):
        await Follower(publisher, folder, Positions(None)).run(once=True)
    assert await ids(bus) == ["toolu_2"]
    await once(bus, folder)
    assert await ids(bus) == ["toolu_2", "toolu_2:usage"]


async def test_a_hook_that_comes_later_changes_nothing(bus: Bus, folder: Path) -> None:
    async with followed(bus, folder):
        (folder / "s1.jsonl").write_text(called(2, tokens=7))
        await until(bus, lambda found: found == ["toolu_2"])
        await hook_tells(bus, 2)
        await hook_tells(bus, 4)
        with (folder / "s1.jsonl").open("a") as more:
            more.write(called(4, tokens=9))
        await until(bus, lambda found: found == ["toolu_2", "toolu_4", "toolu_4:usage"])
    assert spent(await stored(bus)) == 16


async def test_two_watchers_of_one_folder_count_once(bus: Bus, folder: Path) -> None:
    text = "".join(called(n, tokens=n) for n in range(1, 400))
    async with followed(bus, folder), followed(bus, folder):
        (folder / "s1.jsonl").write_text(text)
        await until(bus, lambda found: len(found) == 399)
        with (folder / "s1.jsonl").open("a") as more:
            more.write(line(900, "system", subtype="turn_duration", durationMs=5))
        await until(bus, lambda found: "u900:0" in found)
    assert spent(await stored(bus)) == sum(range(1, 400))
