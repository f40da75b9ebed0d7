"""Readers that drop, lag, filter and rejoin, while the stream is cleared, ended, trimmed and begun anew.

Whatever happens, each reader gets every event after its place that its filter passes, once and in order, or
is told what is missing.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from tests.support.virtual import VirtualLoop
from tests.support.watcher import PlainCodec, PlainFraming, Watcher

from runcast.core.event import Cursor, Edge, NewEvent
from runcast.core.filters import EventSubscriptionFilter
from runcast.core.page import Page, Record
from runcast.core.scope import Scope
from runcast.live.cohort import Wish
from runcast.live.hub import Hub, Limits, Place
from runcast.live.subscriber import Subscriber
from runcast.log.memory import MemoryLog

STREAM = "session:machine"
TYPES = ("a", "b", "c")


class SlowSource:
    """Reads a log, and gives other work a turn meanwhile, as threads would."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log

    def log_epoch(self) -> str:
        return self.log.epoch

    async def place(self, scope: Scope) -> Place:
        await asyncio.sleep(0)
        if not scope.stream:
            head = self.log.head()
            return Place(head, head.offset)
        info = self.log.info(scope.stream)
        await asyncio.sleep(0)
        return Place(info.cursor, info.position, over=info.ended)

    async def page(self, scope: Scope, after: Cursor | None, limit: int, until: int) -> Page:
        await asyncio.sleep(0)
        if scope.stream:
            page = self.log.read(scope.stream, after, limit=limit, until=until)
        else:
            page = self.log.read_all(scope.kind or None, after, limit=limit, until=until)
        await asyncio.sleep(0)
        return page


@dataclass
class ModelRun:
    """What was published to one epoch."""

    events: list[tuple[int, str, str]] = field(default_factory=list)  # seq, id, type
    trimmed: int = 0
    over: bool = False
    dropped: bool = False


@dataclass
class Reader:
    watcher: Watcher
    subscriber: Subscriber
    types: frozenset[str] | None
    epoch: str
    seq: int
    checked: int = 0
    ended: bool = False


class ReaderMachine(RuleBasedStateMachine):
    readers = Bundle("readers")

    @initialize(tagged=st.booleans())
    def begin(self, tagged: bool) -> None:
        self.loop = VirtualLoop()
        self.log = MemoryLog()
        self.waiting: deque[list[Record]] = deque()
        self.log.watch(self.waiting.append)
        self.runs: dict[str, ModelRun] = {}
        self.current = ""
        self.count = 0
        self.alive: list[Reader] = []
        self.hub = self.loop.run_until_complete(self._make_hub())
        self.running = self.loop.create_task(self.hub.run())

    async def _make_hub(self) -> Hub:
        return Hub(SlowSource(self.log), Limits(batch_window_s=0.05, catch_up_readers=2), lambda: 0)

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.running.cancel()
            self.loop.run_until_complete(asyncio.wait([self.running], timeout=5))
            assert self.running.done(), "the hub did not stop when it was cancelled"
            self.loop.close()

    # What happens to the stream

    @rule(count=st.integers(1, 40), kinds=st.lists(st.sampled_from(TYPES), min_size=1, max_size=3))
    def publish(self, count: int, kinds: list[str]) -> None:
        events = []
        for _ in range(count):
            self.count += 1
            kind = kinds[self.count % len(kinds)]
            events.append(NewEvent(STREAM, kind, b'{"status":"ok"}', 0, id=f"e{self.count}"))
        self._append(events)

    @rule(count=st.integers(1_100, 1_500))
    def flood(self, count: int) -> None:
        """More than the ring holds."""
        self.publish(count, ["a", "b"])

    @rule()
    def finish(self) -> None:
        self.count += 1
        self._append([NewEvent(STREAM, "end", b"{}", 0, id=f"e{self.count}", edge=Edge.TERMINAL)])

    @rule()
    def start(self) -> None:
        self.count += 1
        self._append([NewEvent(STREAM, "start", b"{}", 0, id=f"e{self.count}", edge=Edge.START)])

    @rule()
    def end(self) -> None:
        if self.current:
            self.log.end(STREAM)
            self.runs[self.current].over = True

    @rule()
    def clear(self) -> None:
        if self.current:
            info = self.log.clear(STREAM)
            for run in self.runs.values():
                run.dropped = True
            self.current = info.epoch
            self.runs[info.epoch] = ModelRun()

    @rule(keep=st.integers(1, 50))
    def trim(self, keep: int) -> None:
        if self.current:
            self.log.trim(STREAM, keep=keep)
            run = self.runs[self.current]
            run.trimmed = max(run.trimmed, len(run.events) - keep)

    def _append(self, events: list[NewEvent]) -> None:
        for event, appended in zip(events, self.log.append(events), strict=True):
            if appended.epoch != self.current:
                if self.current:
                    self.runs[self.current].over = True
                self.current = appended.epoch
                self.runs[self.current] = ModelRun()
            self.runs[self.current].events.append((appended.seq, event.id, event.type))

    # What happens in between

    @rule(count=st.integers(1, 5))
    def announce(self, count: int) -> None:
        """The hub learns of some of what was committed."""
        for _ in range(min(count, len(self.waiting))):
            self.hub.announce(self.waiting.popleft())

    @rule(turns=st.integers(1, 8))
    def turn(self, turns: int) -> None:
        """A few turns of the loop."""

        async def some() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(some())

    @rule(seconds=st.sampled_from([0.001, 0.03, 0.2]))
    def pass_time(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    # What happens to readers

    @rule(
        target=readers,
        after=st.sampled_from(["start", "now"]),
        types=st.none() | st.frozensets(st.sampled_from(TYPES), max_size=2),
        interval_s=st.sampled_from([0.0, 0.0, 0.002]),
        limit_bytes=st.sampled_from([100, 100_000]),
    )
    def join(self, after: str, types: frozenset[str] | None, interval_s: float, limit_bytes: int) -> Reader:
        return self._join(after, types, interval_s, limit_bytes)

    @rule(target=readers, reader=consumes(readers), lose=st.integers(0, 3))
    def reconnect(self, reader: Reader, lose: int) -> Reader:
        """Drop and come back with the cursor of the last message that arrived."""
        self._check(reader)
        self._leave(reader)
        if reader.ended or not reader.epoch:
            return self._join("start", reader.types, 0.0, 1_000)
        cursors = [item[5] for item in reader.watcher.items if item[0] == "event"]
        after = cursors[-1 - min(lose, len(cursors) - 1)] if cursors else "start"
        if cursors:
            return self._join(after, reader.types, 0.0, 1_000)
        return self._join("start", reader.types, 0.0, 1_000)

    @rule(reader=readers)
    def stop_reading(self, reader: Reader) -> None:
        reader.watcher.stop()

    @rule(reader=readers)
    def go_on_reading(self, reader: Reader) -> None:
        if not reader.watcher.takes:
            reader.watcher.go_on()

    @rule(reader=consumes(readers))
    def drop(self, reader: Reader) -> None:
        self._leave(reader)

    def _leave(self, reader: Reader) -> None:
        assert reader.watcher.connection is not None
        reader.watcher.connection.closed()
        self.alive.remove(reader)

    def _join(self, after: str, types: frozenset[str] | None, interval_s: float, limit_bytes: int) -> Reader:
        watcher = Watcher(limit_bytes)
        ended: list[Subscriber] = []
        connection = watcher.connection = self.hub.connect(watcher, ended.append)
        wish = Wish(PlainCodec(7), PlainFraming(), EventSubscriptionFilter(event_types=types), 7, interval_s)
        subscriber = self.loop.run_until_complete(
            self.hub.subscribe(connection, Scope.of_stream(STREAM), wish, after)
        )
        cursor = subscriber.machine.cursor
        if after not in {"start", "now"}:
            epoch, seq, _ = after.split("-")
            reader = Reader(watcher, subscriber, types, epoch, int(seq))
        elif after == "now" and cursor is not None:
            reader = Reader(watcher, subscriber, types, cursor.epoch, cursor.offset)
        else:
            reader = Reader(watcher, subscriber, types, "", 0)
        self.alive.append(reader)
        return reader

    # What must hold

    @invariant()
    def nothing_is_silently_lost(self) -> None:
        for reader in getattr(self, "alive", []):
            self._check(reader)

    def _check(self, reader: Reader) -> None:
        items = reader.watcher.items
        for item in items[reader.checked :]:
            assert not reader.ended, f"{item} after the end"
            self._check_item(reader, item)
        reader.checked = len(items)

    def _check_item(self, reader: Reader, item: list[Any]) -> None:
        match item:
            case ["event", _, epoch, seq, event_id, _]:
                if not reader.epoch:
                    reader.epoch, reader.seq = epoch, 0
                assert epoch == reader.epoch
                wanted = self._next(reader)
                assert wanted is not None
                assert (seq, event_id) == wanted[:2]
                reader.seq = seq
            case ["gap", epoch, first, last]:
                reader.epoch = reader.epoch or epoch
                assert epoch == reader.epoch
                skipped = self.runs[epoch].events[
                    reader.seq : first - 1
                ]  # what the filter left out is not lost
                assert not [e for e in skipped if reader.types is None or e[2] in reader.types]
                assert self.runs[epoch].trimmed >= last
                reader.seq = last
            case ["reset", epoch]:
                assert reader.epoch != epoch
                assert not reader.epoch or self.runs[reader.epoch].dropped
                reader.epoch, reader.seq = epoch, 0
            case ["end", epoch, seq]:
                reader.epoch = reader.epoch or epoch
                assert epoch == reader.epoch
                assert self.runs[epoch].over
                assert seq == len(self.runs[epoch].events)
                assert self._next(reader) is None
                reader.ended = True
            case _:
                raise AssertionError(item)

    def _next(self, reader: Reader) -> tuple[int, str, str] | None:
        """The next event that the reader must get."""
        events = self.runs[reader.epoch].events[reader.seq :]
        return next((e for e in events if reader.types is None or e[2] in reader.types), None)

    @rule()
    def settle(self) -> None:
        """When everything is announced and time passes, each reader that takes has everything."""
        while self.waiting:
            self.hub.announce(self.waiting.popleft())
        for reader in self.alive:
            if not reader.watcher.takes:
                reader.watcher.go_on()
        self.loop.run_until_complete(asyncio.sleep(30))
        for reader in self.alive:
            self._check(reader)
            if reader.ended or not self.runs:
                continue
            epoch = reader.epoch or self.current
            assert epoch == self.current, "a reader of an old run must have seen its end"
            run = self.runs[epoch]
            assert not run.over, "a reader of an ended run must have seen its end"
            reader.epoch = epoch
            rest = [e for e in run.events[reader.seq :] if reader.types is None or e[2] in reader.types]
            assert not [e for e in rest if e[0] > run.trimmed]


TestReaderMachine = ReaderMachine.TestCase
TestReaderMachine.settings = settings(
    max_examples=int(os.environ.get("MACHINE_EXAMPLES", "60")), stateful_step_count=40, deadline=None
)
