"""The spool beside the log: in order of time, bounded, and nothing stored twice."""

import asyncio
import logging
import os
import stat
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from runcast.config import Settings
from runcast.core.event import Event
from runcast.errors import Busy, LogError, LogFull
from runcast.kinds.base import Publish
from runcast.kinds.session import SESSION
from runcast.live.bus import Bus
from runcast.log.open import open_log
from runcast.log.place import spool_folder
from runcast.sources import spool
from runcast.sources.spool import drain, follow_spool, put, waits

NOW = 1_780_000_000_000_000


def event(number: int, **fields: object) -> Publish:
    return Publish(stream="session:a", type="x", data=dict(fields), id=f"e{number}", time=NOW + number)


class Taken(list[str]):
    """Takes events as a log would; may be told to fail."""

    error: Exception | None = None

    def __call__(self, events: Sequence[Publish]) -> None:
        if self.error:
            raise self.error
        self.extend(event.id or "" for event in events)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return spool_folder(tmp_path / "log.db")


def test_it_is_drained_in_order_of_time(folder: Path) -> None:
    for number in (3, 1, 2):
        put(folder, [event(number)], NOW + number)
    taken = Taken()
    assert drain(folder, taken, most_files=2) == 2
    assert drain(folder, taken) == 1
    assert taken == ["e1", "e2", "e3"]
    assert list(folder.iterdir()) == []


def test_nothing_is_there_before_the_first() -> None:
    assert drain(Path("/nowhere/log.db.spool"), Taken()) == 0


def test_what_is_not_stored_stays(folder: Path) -> None:
    put(folder, [event(1)], NOW)
    taken = Taken()
    taken.error = Busy()
    with pytest.raises(Busy):
        drain(folder, taken)
    taken.error = None
    assert drain(folder, taken) == 1


def test_what_can_never_be_stored_is_moved_aside(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> list[str]:
        async with Bus(open_log(tmp_path / "log.db"), [SESSION]) as bus:

            def take(events: Sequence[Publish]) -> object:
                return bus.publish_soon(events).result()

            put(folder, [event(1)], NOW + 1)
            put(folder, [event(2, cost_tokens="many")], NOW + 2)
            put(folder, [Publish(stream="../x", type="x", id="e", time=1)], NOW + 3)
            put(folder, [Publish(stream="session:a", type="x")], NOW + 4)
            (folder / f"{NOW + 5}-1-a-1.json").write_bytes(b"\xff{")
            put(folder, [event(6)], NOW + 6)
            assert await bus.call(drain, folder, take) == 2
            return [event.id for event in (await bus.read("session:a")).events]

    with caplog.at_level(logging.WARNING, "runcast.sources"):
        assert asyncio.run(run()) == ["e1", "e6"]
    assert len(list(folder.glob("*.bad"))) == len(list(folder.iterdir())) == 4
    assert len(caplog.messages) == 4
    assert "cost_tokens" in caplog.text


def test_what_is_aside_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_MAX_BAD", 3)
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}-1-a-1.json").write_bytes(b"bad")
    assert drain(folder, Taken()) == 0
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("limit", ["MAX_FILES", "MAX_BYTES"])
def test_when_it_is_full_the_new_one_is_refused(
    limit: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = int(put(folder, [event(1)], NOW).stem.rpartition("-")[2])
    put(folder, [event(2)], NOW + 1)
    monkeypatch.setattr(spool, limit, 2 if limit == "MAX_FILES" else 2 * size)
    with pytest.raises(LogFull):
        put(folder, [event(3)], NOW + 2)
    taken = Taken()
    drain(folder, taken)
    assert taken == ["e1", "e2"]
    put(folder, [event(3)], NOW + 2)


def test_half_a_file_is_not_seen_and_goes_when_it_is_old(folder: Path) -> None:
    put(folder, [event(1)], NOW)
    new, old = folder / "1-1-a-9.tmp", folder / "2-1-a-9.tmp"
    for unfinished in (new, old):
        unfinished.write_bytes(b'{"events": [')
    os.utime(old, (1, 1))
    assert drain(folder, Taken()) == 1
    assert list(folder.iterdir()) == [new]


def test_a_folder_that_cannot_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "log.db.spool").write_text("in the way")
    for place in (tmp_path / "log.db", Path("/proc/nothing/log.db")):
        with pytest.raises(LogError, match="cannot be written"):
            put(spool_folder(place), [event(1)], NOW)


def test_two_drainers_store_nothing_twice(folder: Path, tmp_path: Path) -> None:
    """As after a crash between the commit and the removal: the same files are taken again."""

    async def run() -> list[str]:
        async with Bus(open_log(tmp_path / "log.db"), [SESSION]) as bus:
            for number in range(5):
                put(folder, [event(number)], NOW + number)
            files = {file: file.read_bytes() for file in folder.iterdir()}

            def take(events: Sequence[Publish]) -> object:
                return bus.publish_soon(events).result()

            assert await bus.call(drain, folder, take) == 5
            for file, content in files.items():
                file.write_bytes(content)
            assert await bus.call(drain, folder, take) == 5
            return [event.id for event in (await bus.read("session:a")).events]

    assert asyncio.run(run()) == [f"e{number}" for number in range(5)]


def test_a_server_follows_its_spool(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(spool, "LOOK_S", 0.001)

    async def run() -> list[str]:
        put(folder, [event(1)], NOW)
        async with Bus(open_log(tmp_path / "log.db"), [SESSION], Settings()) as bus:
            follower = asyncio.create_task(follow_spool(bus))
            seen: list[str] = []
            async with asyncio.timeout(20):
                async for one in bus.subscribe("session:a"):
                    seen.append(one.id)
                    if one.id == "e2":
                        break
                    folder.rename(folder.with_name("away"))
                    folder.write_text("in the way")
                    while not caplog.messages:
                        await asyncio.sleep(0)
                    folder.unlink()
                    put(folder, [event(2)], NOW)
            follower.cancel()
            await asyncio.wait([follower])
            assert follower.cancelled()
            return seen

    with caplog.at_level(logging.WARNING, "runcast.sources"):
        assert asyncio.run(run()) == ["e1", "e2"]
    assert waits(folder) == 0
    assert len(caplog.messages) == 1, "the same trouble is told once"


def test_a_log_in_memory_has_no_spool() -> None:
    async def run() -> None:
        async with Bus(open_log("memory:"), [SESSION]) as bus:
            await follow_spool(bus)

    asyncio.run(run())


def test_what_the_system_does_not_let_us_read_holds_up_nothing(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(folder, [event(1)], NOW + 1)
    (folder / f"{0:017d}-1-a-1.json").mkdir()
    (folder / f"{1:017d}-1-a-1.json").symlink_to(f"{1:017d}-1-a-1.json")  # to itself: it can never be opened
    taken = Taken()
    with pytest.raises(LogError, match="1 files that are passed over"):
        drain(folder, taken)
    assert taken == ["e1"]
    assert (folder / f"{0:017d}-1-a-1.json.bad").is_dir()
    assert "moved aside" in caplog.text
    (folder / f"{1:017d}-1-a-1.json").unlink()
    assert drain(folder, taken) == waits(folder) == 0


@pytest.mark.parametrize("given", [2**60, "2099-01-01T00:00:00Z"])
def test_an_event_of_a_clock_that_was_ahead_happens_now(
    folder: Path, tmp_path: Path, given: int | str
) -> None:
    async def run() -> Event:
        async with Bus(open_log(tmp_path / "log.db"), [SESSION]) as bus:
            put(folder, [Publish(stream="session:a", type="x", id="e", time=given)], NOW)

            def take(events: Sequence[Publish]) -> object:
                return bus.publish_soon(events).result()

            assert await bus.call(drain, folder, take) == 1
            return (await bus.read("session:a")).events[0]

    before = time.time_ns() // 1000
    assert before <= asyncio.run(run()).time <= time.time_ns() // 1000
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="folders are not synced there")
def test_the_name_is_on_disk_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    sync = os.fsync

    def spy(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    folder.parent.mkdir(exist_ok=True)
    put(folder, [event(1)], NOW)
    assert synced == [str(folder.parent), str(folder)]
    put(folder, [event(2)], NOW)
    assert synced[2:] == [str(folder)]
