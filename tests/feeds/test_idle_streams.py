"""Ten thousand streams, of which most lie idle: what they cost, and that they are in nobody's way."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.clients import ids_of, open_ws, take
from tests.support.server import ThreadServer, flat
from tests.support.watcher import PlainCodec, PlainFraming, Watcher

from runcast import Bus
from runcast.core.filters import EVERYTHING
from runcast.core.scope import Scope
from runcast.kinds.base import Publish
from runcast.kinds.session import SESSION
from runcast.live.cohort import Wish
from runcast.log.memory import MemoryLog

STREAMS = 10_000
WATCHED = 5_000
KIB = 1024
MOST_PER_WATCHED_STREAM = 6 * KIB


def names(count: int) -> list[str]:
    return [f"idle-{number:05d}" for number in range(count)]


def publishes(count: int) -> Iterator[list[Publish]]:
    everything = [Publish(stream=f"session:{name}", type="note", id="first") for name in names(count)]
    for start in range(0, count, 1_000):
        yield everything[start : start + 1_000]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadServer]:
    path: Path = tmp_path_factory.mktemp("idle") / "log.db"
    with ThreadServer(path) as server:
        for some in publishes(STREAMS):
            server.run(server.bus.publish_all(some))
        yield server


def test_all_of_them_are_listed_in_pages(full: ThreadServer) -> None:
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = full.get("/api/sessions", order="name", limit=1_000, after=after)
        found += [one["session_id"] for one in page["sessions"]]
        after = page["next"]
    assert found == names(STREAMS)


def test_nobody_watches_so_nothing_is_kept_for_them(full: ThreadServer) -> None:
    assert full.bus.topics() == []
    assert full.bus.live_statistics().connections == 0


def test_one_of_them_is_as_live_as_ever(full: ThreadServer) -> None:
    name = names(STREAMS)[7_777]
    with open_ws(full.session(name, after="start")) as ws, open_ws(full.ws("/ws/events")) as everything:
        full.post(name, flat(0))
        assert ids_of(take(ws, 2)) == ["first", "e0"]
        assert ids_of(take(everything, 1)) == ["e0"]


async def test_a_watched_stream_that_lies_idle_costs_little_and_leaves_nothing() -> None:
    async with Bus(MemoryLog(), [SESSION]) as bus:
        for some in publishes(WATCHED):
            await bus.publish_all(some)
        wish = Wish(PlainCodec(), PlainFraming(), EVERYTHING, 50)
        await subscribe(bus, wish, "warming-up")
        gc.collect()
        tracemalloc.start()
        watchers = [await subscribe(bus, wish, name) for name in names(WATCHED)]
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        assert held / WATCHED < MOST_PER_WATCHED_STREAM
        assert len(bus.topics()) == WATCHED + 1
        await bus.publish(f"session:{names(WATCHED)[-1]}", "note", id="second")
        last = watchers[-1]
        async with asyncio.timeout(20):
            while not last.ids:
                await asyncio.sleep(0)
        assert last.ids == ["second"]
        assert sum(len(watcher.messages) for watcher in watchers) == 1
        for watcher in watchers:
            assert watcher.connection is not None
            watcher.connection.closed()
        assert len(bus.topics()) == 1
        del watchers, watcher, last
        gc.collect()
        left, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert left < held / 5  # what is left is mostly room in tables


async def subscribe(bus: Bus, wish: Wish, name: str) -> Watcher:
    watcher = Watcher()
    watcher.connection = bus.hub.connect(watcher, lambda _: None)
    await bus.hub.subscribe(watcher.connection, Scope.of_stream(f"session:{name}"), wish, "now")
    return watcher
