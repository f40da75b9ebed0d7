"""Following a database: every row once, every change, whatever happens to the file meanwhile."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.htmlgraph import data_of, following, insert, make_database, real_database, write
from tests.support.server import flat

from runcast import Bus, WebSocketManager
from runcast.kinds.base import Publish, accept
from runcast.kinds.session import SESSION
from runcast.log.memory import MemoryLog
from runcast.log.sqlite import SqliteLog
from runcast.sources.htmlgraph import database, follow
from runcast.sources.htmlgraph.database import is_htmlgraph

SET_STATUS = "UPDATE agent_events SET status = ? WHERE event_id = ?"


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    (tmp_path / "log").mkdir()
    async with Bus(SqliteLog(tmp_path / "log" / "log.db"), [SESSION]) as bus:
        yield bus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "graph").mkdir()
    return tmp_path / "graph"


@pytest.fixture(params=["wal", "rollback"])
def path(folder: Path, request: pytest.FixtureRequest) -> Path:
    """An empty database in each of SQLite's ways."""
    path = folder / "htmlgraph.db"
    make_database(path, wal=request.param == "wal")
    return path


async def test_the_real_database_is_told_row_by_row_once(bus: Bus, folder: Path) -> None:
    path = real_database(folder)
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT event_id, cost_tokens, timestamp FROM agent_events").fetchall()
    for _ in range(2):  # and nothing more when it is followed again
        async with following(bus, path) as followed:
            events = await followed.until(lambda found: len(found) == len(rows))
        assert {event.id for event in events} == {row[0] for row in rows}
        assert (await bus.head()).offset == events[-1].position
    assert sum(data_of(event)["cost_tokens"] for event in events) == sum(row[1] for row in rows) > 0
    assert {event.stream for event in events} == {"session:session-8463c716"}
    assert [file.name for file in folder.iterdir()] == ["htmlgraph.db"]


async def test_new_rows_and_changes_are_told(bus: Bus, path: Path) -> None:
    insert(path, "a", "b")
    async with following(bus, path) as followed:
        insert(path, "c", session_id="s2")
        write(path, "UPDATE agent_events SET status = 'completed', cost_tokens = 9 WHERE event_id = 'a'")
        events = await followed.until(
            lambda found: Counter(e.type for e in found) == {"tool_call": 3, "update": 1}
        )
        update = next(event for event in events if event.type == "update")
        assert (update.stream, data_of(update)["parent_event_id"]) == ("session:s1", "a")
        assert (data_of(update)["status"], data_of(update)["cost_tokens"]) == ("completed", 9)
        write(path, "UPDATE agent_events SET updated_at = '2027-01-01'")  # says nothing
        insert(path, "d")
        events = await followed.until_ids("d")
        assert len(events) == 5
    assert [file.name for file in path.parent.iterdir()] == [path.name]


async def test_whoever_follows_next_tells_what_was_missed_and_nothing_twice(bus: Bus, path: Path) -> None:
    insert(path, "a", "b")
    async with following(bus, path) as followed:
        write(path, SET_STATUS, ("completed", "a"))
        assert len(await followed.until(lambda found: len(found) == 3)) == 3
    insert(path, "c")
    write(path, "UPDATE agent_events SET status = 'failed', cost_tokens = 4 WHERE event_id = 'b'")
    async with following(bus, path) as followed:
        events = await followed.until_ids("c")
        assert Counter(event.type for event in events) == {"tool_call": 3, "update": 2}
        missed = next(event for event in events if data_of(event)["status"] == "failed")
        assert data_of(missed)["cost_tokens"] == 4
    async with following(bus, path):
        assert (await bus.head()).offset == max(event.position for event in events)
    assert bus.log.statistics().duplicate_events == 0


async def test_while_somebody_has_it_open_it_is_followed_too(bus: Bus, path: Path) -> None:
    with closing(sqlite3.connect(path)) as writer:
        async with following(bus, path) as followed:
            for number in range(5):
                writer.execute(
                    "INSERT INTO agent_events (event_id, event_type, session_id) VALUES (?, 'start', 's')",
                    (f"e{number}",),
                )
                writer.commit()
                await followed.until_ids(f"e{number}")
    assert [file.name for file in path.parent.iterdir()] == [path.name], "the last writer has tidied up"


@pytest.mark.parametrize("renumber", ["VACUUM", "UPDATE agent_events SET rowid = rowid - 250"])
async def test_when_rows_are_numbered_anew_each_is_known_by_its_id(
    bus: Bus, path: Path, renumber: str
) -> None:
    """VACUUM may do that (https://www.sqlite.org/lang_vacuum.html), and does not have to."""
    insert(path, *[f"e{number}" for number in range(300)])
    async with following(bus, path) as followed:
        write(path, "DELETE FROM agent_events WHERE rowid <= 250")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(renumber)
            connection.commit()
        write(path, SET_STATUS, ("completed", "e299"))
        insert(path, "new")
        await followed.until_ids("new")
        write(path, SET_STATUS, ("completed", "new"))
        events = await followed.until(lambda found: Counter(e.type for e in found)["update"] == 2)
    assert Counter(event.type for event in events) == {"tool_call": 301, "update": 2}


async def test_old_rows_are_compared_as_well(bus: Bus, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "RECENT_ROWS", 10)
    monkeypatch.setattr(follow, "PAGE_ROWS", 7)
    monkeypatch.setattr(follow, "OLDER_EVERY_S", 0.0)
    insert(path, *[f"e{number}" for number in range(40)])
    async with following(bus, path) as followed:
        write(path, SET_STATUS, ("completed", "e0"))
        write(path, SET_STATUS, ("completed", "e39"))
        events = await followed.until(lambda found: Counter(e.type for e in found)["update"] == 2)
        assert len(events) == 42


async def test_of_very_many_rows_the_newest_are_followed_for_changes(
    bus: Bus, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"MAX_ROWS": 5, "RECENT_ROWS": 5, "PAGE_ROWS": 4, "MAX_RECALLED": 2}.items():
        monkeypatch.setattr(follow, name, value)
    for number in range(20):
        insert(path, f"e{number}", session_id=f"s{number % 4}")
    async with following(bus, path) as followed:
        write(path, SET_STATUS, ("completed", "e0"))
        write(path, SET_STATUS, ("completed", "e19"))
        events = await followed.until(lambda found: len(found) == 21)
    assert data_of(events[-1])["parent_event_id"] == "e19"


async def test_the_database_may_come_later(bus: Bus, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = folder / "later.db"
    async with following(bus, path, history=False) as followed:
        sqlite3.connect(path).close()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE unrelated (a)")
        path.unlink()
        make_database(path)
        insert(path, "a")
        assert [event.id for event in await followed.until_ids("a")] == ["a"]
    (told,) = [record.getMessage() for record in caplog.records if "no such file" in record.getMessage()]
    assert told == f"{path} cannot be followed now, and is tried again: there is no such file so far"


async def test_it_may_be_replaced(bus: Bus, path: Path, folder: Path) -> None:
    insert(path, "a", "b")
    other = folder / "other.db"
    shutil.copyfile(path, other)
    insert(other, "c")
    async with following(bus, path) as followed:
        os.replace(other, path)
        insert(path, "d")
        assert [event.id for event in await followed.until_ids("d")] == ["a", "b", "c", "d"]


async def test_a_locked_or_damaged_one_is_tried_again(
    bus: Bus, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.01)
    insert(path, "a")
    whole = path.read_bytes()
    caplog.set_level(logging.INFO, "runcast.htmlgraph")
    async with following(bus, path) as followed:
        for spoil in (whole[:5000], b"no database" * 1000):
            path.write_bytes(spoil)
            async with asyncio.timeout(20):
                while "cannot be followed" not in caplog.text:
                    await asyncio.sleep(0)  # the follower takes its turn
            path.write_bytes(whole)
            async with asyncio.timeout(20):
                while "is followed" not in caplog.text:
                    await asyncio.sleep(0)
            caplog.clear()
        with closing(sqlite3.connect(path, isolation_level=None)) as locking:
            locking.execute("PRAGMA locking_mode = EXCLUSIVE")
            locking.execute("BEGIN EXCLUSIVE")
            locking.execute(
                "INSERT INTO agent_events (event_id, event_type, session_id) VALUES ('b', 'x', 's')"
            )
            locking.execute("COMMIT")
            async with asyncio.timeout(20):
                while "locked" not in caplog.text:
                    await asyncio.sleep(0)
        assert [event.id for event in await followed.until_ids("b")] == ["a", "b"]


async def test_rows_that_cannot_be_told_do_not_keep_others_back(
    bus: Bus, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    statement = "INSERT INTO agent_events (event_id, event_type, session_id, timestamp) VALUES (?, ?, ?, ?)"
    async with following(bus, path) as followed:
        write(
            path,
            statement,
            ("a", "", "s", None),
            ("b", "start", None, None),
            ("c", "start", "s", "2999-01-01"),
            ("x" * 201, "start", "s", None),
            (None, "start", "s", None),
            ("d", "start", "s", None),
        )
        await followed.until_ids("d")
        for event_id in ("e", "f"):
            insert(path, event_id)
            assert next(event.id for event in await followed.until_ids(event_id)) == "d"
            assert len(caplog.records) == 5, "each is complained of once"


async def test_one_follower_of_a_log_is_enough_and_another_takes_over(
    bus: Bus, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "LEASE_S", 0.3)
    insert(path, "a")
    async with Bus(SqliteLog(tmp_path / "log" / "log.db"), [SESSION]) as second:
        name = f"htmlgraph:{path.absolute()}"
        lease = await second.call(second.log.acquire, name, "another process", 20)
        async with following(bus, path) as followed:
            assert (await bus.info("session:s1")).head == 0
            await second.call(second.log.release, lease)
            assert [event.id for event in await followed.until_ids("a")] == ["a"]
            assert await second.call(second.log.acquire, name, "another process", 20) is None


@pytest.mark.parametrize("lease_s", [0.001, 15.0])
async def test_what_another_one_told_during_a_long_pause_is_not_told_again(
    path: Path, lease_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock jumps; another process follows meanwhile, and tells a cost of 5; the row goes on to 9."""
    monkeypatch.setattr(follow, "LEASE_S", lease_s)
    now = [1_900_000_000_000_000]
    log = MemoryLog(clock=lambda: now[0])
    insert(path, "a")
    async with Bus(log, [SESSION]) as bus, following(bus, path) as followed:
        await followed.until_ids("a")
        now[0] += 60_000_000
        lease = log.acquire(f"htmlgraph:{path.absolute()}", "another process", 20)
        assert lease is not None
        told = {
            "source": "htmlgraph",
            "row_digest": "0" * 16,
            "parent_event_id": "a",
            "cost_tokens": 5,
            "agent_id": "a",
        }
        update = Publish(stream="session:s1", type="update", data=told, id="a:other")
        log.append([accept(SESSION, update, now[0], 2**20)], lease=lease)
        write(path, "UPDATE agent_events SET cost_tokens = 9 WHERE event_id = 'a'")
        log.release(lease)  # with the long lease it has not asked yet, and finds out when it tells something
        events = await followed.until(lambda found: len(found) == 3)
        assert sum(data_of(event)["cost_tokens"] for event in events) == 9


def test_which_files_are_htmlgraph_s(path: Path, folder: Path) -> None:
    assert is_htmlgraph(path)
    assert [file.name for file in folder.iterdir()] == [path.name]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO agent_events (event_id) VALUES ('a')")
        connection.commit()
        assert is_htmlgraph(path)
    for name, content in (("empty", b""), ("text", b"no database at all"), ("folder", None)):
        if content is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)
        assert not is_htmlgraph(folder / name)
    assert not is_htmlgraph(folder / "missing")


class _Socket:
    def __init__(self) -> None:
        self.texts: asyncio.Queue[str] = asyncio.Queue()

    async def send_text(self, data: str) -> None:
        self.texts.put_nowait(data)


async def test_the_documented_manager_follows_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNCAST_LOG", raising=False)
    insert(path, "old")
    before = path.stat().st_size
    manager = WebSocketManager(str(path))
    client = _Socket()
    try:
        assert await manager.connect(client, "s1", "c1")
        insert(path, "new")
        async with asyncio.timeout(20):
            text = await client.texts.get()
        assert '"event_id":"new"' in text
        assert '"old"' not in text
        write(path, SET_STATUS, ("completed", "old"))
        async with asyncio.timeout(20):
            text = await client.texts.get()
        assert '"parent_event_id":"old"' in text
        assert await manager.broadcast_event("s1", flat(1)) == 1
    finally:
        await manager.close()
    assert path.stat().st_size == before
    assert is_htmlgraph(path)


async def test_the_manager_tells_a_named_log_all_that_is_there(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNCAST_LOG", str(tmp_path / "named.db"))
    insert(path, "old")
    manager = WebSocketManager(path)
    client = _Socket()
    assert await manager.connect(client, "s1", "c1")
    await manager.close()
    assert client.texts.empty(), "a client hears what comes after it"
    with closing(sqlite3.connect(tmp_path / "named.db")) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (1,)
