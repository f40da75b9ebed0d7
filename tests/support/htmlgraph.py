"""HtmlGraph databases for tests: the real one beside the checkout, and HtmlGraph itself, in a venv of its own."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
import venv
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, closing
from pathlib import Path
from typing import Any, Self, cast

import pytest

from runcast.core.event import Event
from runcast.core.scope import Scope
from runcast.live.bus import Bus
from runcast.sources.htmlgraph.follow import follow

VERSION = "0.35.0"
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / f"htmlgraph-{VERSION}.db"
INSTALL_S = 300
WAIT_S = 20.0

WRITER = """
import json, sys
from pathlib import Path
from htmlgraph.db.schema import HtmlGraphDB
from htmlgraph.orchestration.spawner_event_tracker import SpawnerEventTracker

path = sys.argv[1]

def open_db():
    db = HtmlGraphDB(path)
    db.connect()
    return db

db = open_db()
db.create_tables()
tracker = SpawnerEventTracker(session_id="s1")
for line in sys.stdin:
    act, *args = json.loads(line)
    if act == "session":
        done = db.insert_session(args[0], "claude-code")
    elif act == "insert":
        done = db.insert_event(**args[0])
    elif act == "complete":
        tracker.db = db
        done = tracker.complete_phase(*args)
    elif act == "sql":
        db.connection.execute(*args)
        db.connection.commit()
        done = True
    elif act == "reopen":
        db.close()
        db = open_db()
        done = True
    elif act == "close":
        db.close()
        done = True
    print(json.dumps(done), flush=True)
"""
"""What HtmlGraph's own code does, one act a line."""


def real_database(folder: Path) -> Path:
    """A copy of the real one; skips the test if there is none on this machine."""
    if not REAL.exists():
        pytest.skip("needs ../shared/data")
    path = folder / "htmlgraph.db"
    shutil.copyfile(REAL, path)
    return path


def own_python(folder: Path) -> Path:
    """The Python of a venv with nothing but HtmlGraph, made once; skips the test where it cannot be had."""
    python = folder / "venv" / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        venv.create(folder / "venv", with_pip=True, clear=True)
        install = [python, "-m", "pip", "install", "--quiet", f"htmlgraph=={VERSION}"]
        done = subprocess.run(install, check=False, capture_output=True, text=True, timeout=INSTALL_S)
        if done.returncode != 0:
            pytest.skip(f"needs htmlgraph {VERSION} from the package index: {done.stderr[-300:]}")
        ready.touch()
    return python


class HtmlGraph:
    """HtmlGraph writing its database, in a process of its own."""

    def __init__(self, python: Path, path: Path) -> None:
        self.path = path
        self._process = subprocess.Popen(
            [python, "-c", WRITER, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=path.parent,
            env={"HOME": str(path.parent), "PATH": "/usr/bin:/bin"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(WAIT_S)
        self._process.stdout.close()

    def do(self, act: str, *args: Any) -> None:
        """Let it be done; it is committed afterwards."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([act, *args]), file=self._process.stdin, flush=True)
        while (line := self._process.stdout.readline()) and not line.startswith(("true", "false")):
            pass  # what else it may print
        assert line.startswith("true"), f"HtmlGraph did not {act} {args}"

    def insert(self, event_id: str, **fields: Any) -> None:
        given = {"agent_id": "claude-code", "event_type": "tool_call", "session_id": "s1", **fields}
        self.do("insert", {"event_id": event_id, **given})


def make_database(path: Path, *, wal: bool = True) -> None:
    """An empty database of the columns that matter."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {'WAL' if wal else 'DELETE'}")
        connection.execute(
            "CREATE TABLE agent_events (event_id TEXT PRIMARY KEY, agent_id TEXT, event_type TEXT, timestamp TEXT"
            " DEFAULT CURRENT_TIMESTAMP, tool_name TEXT, input_summary TEXT, session_id TEXT, status TEXT DEFAULT"
            " 'recorded', cost_tokens INTEGER DEFAULT 0, updated_at TEXT DEFAULT CURRENT_TIMESTAMP)"
        )
        connection.commit()


def write(path: Path, statement: str, *rows: Sequence[Any]) -> None:
    """Run a statement for each row in one transaction, and close the database again, as a hook does."""
    with closing(sqlite3.connect(path, timeout=WAIT_S)) as connection:
        connection.executemany(statement, rows or [()])
        connection.commit()


def insert(path: Path, *event_ids: str, session_id: str = "s1") -> None:
    statement = "INSERT INTO agent_events (event_id, agent_id, event_type, session_id) VALUES (?, 'a', 'tool_call', ?)"
    write(path, statement, *[(event_id, session_id) for event_id in event_ids])


class Following:
    """A bus that follows, and all it has told."""

    def __init__(self, bus: Bus, task: asyncio.Task[None]) -> None:
        self.bus = bus
        self.task = task

    async def until(self, done: Callable[[list[Event]], Any]) -> list[Event]:
        """All events from the first one on, as soon as they are as `done` wants them."""
        found: list[Event] = []
        async with asyncio.timeout(WAIT_S):
            told = cast("AsyncGenerator[Event]", self.bus.subscribe(Scope.firehose("session"), after="start"))
            async with aclosing(told):
                async for event in told:
                    found.append(event)
                    if done(found):
                        break
        return found

    async def until_ids(self, *event_ids: str) -> list[Event]:
        return await self.until(lambda found: {event.id for event in found} >= set(event_ids))


@asynccontextmanager
async def following(bus: Bus, path: Path, **options: Any) -> AsyncGenerator[Following]:
    """Follow `path` meanwhile; what was there at the beginning is told when the block begins."""
    caught_up = asyncio.Event()
    task = asyncio.create_task(follow(bus, path, caught_up=caught_up, **options))
    try:
        async with asyncio.timeout(WAIT_S):
            await caught_up.wait()
        yield Following(bus, task)
        assert not task.done(), "it must never end by itself"
    finally:
        task.cancel()
        await asyncio.wait([task])


def data_of(event: Event) -> dict[str, Any]:
    return json.loads(event.data)
