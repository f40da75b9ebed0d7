"""Both logs against a model that is too simple to be wrong: lists of events, searched from end to end."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runcast.core.event import Cursor, Edge, Event, NewEvent
from runcast.errors import StreamNotFound
from runcast.log.base import Change, Control, EventLog, Record
from runcast.log.conformance.support import Heard, VirtualClock, read_all_events, read_on
from runcast.log.memory import MemoryLog
from runcast.log.sqlite import SqliteLog

STREAMS = ["chat:a", "session:a", "session:b"]
new_events = st.builds(
    NewEvent,
    stream=st.sampled_from(STREAMS),
    type=st.sampled_from(["one", "two"]),
    data=st.sampled_from([b"{}", b'{"a":1}']),
    time=st.just(7),
    id=st.sampled_from(["", "", "x", "y", "z"]),
    edge=st.sampled_from(Edge),
)
streams = st.sampled_from(STREAMS)


@dataclass
class ModelRun:
    stream: str
    epoch: str
    updated: int
    events: list[Event] = field(default_factory=list)
    oldest: int = 1
    terminal: bool = False
    sealed: bool = False

    @property
    def kept(self) -> list[Event]:
        return [event for event in self.events if event.seq >= self.oldest]


class LogMachine(RuleBasedStateMachine):
    """Everything that can be done to a log, in any order, while readers and a watcher look on."""

    def make_log(self) -> EventLog:
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.clock = VirtualClock()
        self.folder = TemporaryDirectory()
        self.runs: list[ModelRun] = []  # that are kept, in the order of their beginning
        self.current: dict[str, ModelRun] = {}
        self.readers: list[tuple[str, Cursor | None]] = []
        self.told: list[tuple[str, str, int | Change]] = []
        self.open()

    def open(self) -> None:
        self.log = self.make_log()
        self.heard = Heard()
        self.log.watch(self.heard)
        self.told = []

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.log.close()
            self.folder.cleanup()

    # --- what can be done --------------------------------------------------------------------

    @rule(events=st.lists(new_events, min_size=1, max_size=5))
    def append(self, events: list[NewEvent]) -> None:
        for event, appended in zip(events, self.log.append(events), strict=True):
            first = self.find(event.stream, event.id)
            assert appended.duplicate == (first is not None)
            if first is not None:
                assert (appended.epoch, appended.seq, appended.position) == (
                    first.epoch,
                    first.seq,
                    first.position,
                )
                continue
            run = self.run_for(event, appended.epoch)
            assert (appended.epoch, appended.seq) == (run.epoch, len(run.events) + 1)
            event_id, seq, position = appended.id, appended.seq, appended.position
            stored = Event(run.stream, run.epoch, seq, position, event_id, event.type, event.time, event.data)
            run.events.append(stored)
            run.updated = self.clock.now
            run.terminal = run.terminal or event.edge == Edge.TERMINAL
            self.told.append((run.stream, run.epoch, appended.seq))

    @rule(stream=streams)
    def end(self, stream: str) -> None:
        with self.existing(stream):
            assert self.log.end(stream).ended
            self.seal(self.current[stream])

    @rule(stream=streams)
    def clear(self, stream: str) -> None:
        with self.existing(stream):
            info = self.log.clear(stream)
            self.runs = [run for run in self.runs if run.stream != stream]
            self.open_run(stream, info.epoch)
            self.told.append((stream, info.epoch, Change.CLEAR))

    @rule(stream=streams, keep=st.integers(1, 4))
    def trim(self, stream: str, keep: int) -> None:
        with self.existing(stream):
            self.log.trim(stream, keep=keep)
            run = self.current[stream]
            if len(run.events) - keep + 1 > run.oldest:
                run.oldest = len(run.events) - keep + 1
                self.told.append((stream, run.epoch, Change.TRIM))

    @rule(seconds=st.sampled_from([-100, 10, 100]))
    def advance(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(age_s=st.sampled_from([0, 50, 500]), limit=st.sampled_from([2, 1_000]))
    def sweep(self, age_s: int, limit: int) -> None:
        idle_since = self.clock.now - age_s * 1_000_000
        idle = [run for run in self.runs if run.updated < idle_since]
        before = len(self.told)
        for run in idle:
            if self.current.get(run.stream) is run:
                self.seal(run)
                del self.current[run.stream]
                self.runs = [other for other in self.runs if other.stream != run.stream]
        self.runs = [run for run in self.runs if run not in idle]
        while step := self.log.sweep(idle_since=idle_since, limit=limit):
            assert step <= limit
        self.put_in_order(before)

    @rule(stream=streams)
    def come(self, stream: str) -> None:
        if len(self.readers) < 5:
            self.readers.append((stream, None))

    @precondition(lambda self: self.readers)
    @rule(data=st.data(), limit=st.integers(1, 3), at_once=st.booleans())
    def read(self, data: st.DataObject, limit: int, at_once: bool) -> None:
        index = data.draw(st.integers(0, len(self.readers) - 1))
        stream, cursor = self.readers[index]
        while True:
            page = self.log.read(stream, cursor, limit=limit)
            run, first = self.expected_start(stream, cursor, reset=page.reset is not None)
            if run is None:
                assert (page.epoch, page.events) == ("", [])
                break
            assert page.events == [event for event in run.kept if event.seq > first][:limit]
            assert (page.epoch, page.first, page.last) == (run.epoch, first, first + len(page.events))
            assert (page.oldest, page.head) == (run.oldest, len(run.events))
            assert page.over == (run.sealed and page.last == page.head)
            seen = cursor.offset if cursor and cursor.epoch == run.epoch and not page.reset else 0
            assert page.gap == (None if first == seen else page.gap)
            assert page.gap is None or (page.gap.first, page.gap.last) == (seen + 1, first)
            cursor = page.cursor
            if page.complete or not at_once:
                break
        self.readers[index] = (stream, None if page.over else cursor)

    # --- what must hold at any time ----------------------------------------------------------

    @invariant()
    def the_firehose_has_all_that_is_kept(self) -> None:
        kept = sorted((event for run in self.runs for event in run.kept), key=lambda event: event.position)
        assert read_all_events(self.log, limit=3) == kept
        chats = [event for event in kept if event.stream == "chat:a"]
        assert read_all_events(self.log, "chat") == chats

    @invariant()
    def the_streams_are_what_they_are(self) -> None:
        infos = {info.stream: info for info in self.log.streams()}
        assert infos.keys() == self.current.keys()
        for stream, run in self.current.items():
            info = infos[stream]
            assert info == self.log.info(stream)
            assert (info.epoch, info.head, info.oldest) == (run.epoch, len(run.events), run.oldest)
            assert (info.ended, info.updated) == (run.sealed, run.updated)
            pages = read_on(lambda cursor, stream=stream: self.log.read(stream, cursor, limit=4))
            assert [event for page in pages for event in page.events] == run.kept

    @invariant()
    def the_watcher_has_heard_of_all_in_order(self) -> None:
        records = self.heard.until(self.log.head().offset) if self.told else []
        assert [_heard(record) for record in records] == self.told
        positions = [record.position for record in records]
        assert positions == sorted(set(positions))

    # --- the model ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def existing(self, stream: str):
        if stream in self.current:
            yield
        else:
            with pytest.raises(StreamNotFound):
                yield

    def find(self, stream: str, event_id: str) -> Event | None:
        kept = (event for run in self.runs if run.stream == stream for event in run.kept)
        return next((event for event in kept if event.id == event_id), None) if event_id else None

    def run_for(self, event: NewEvent, epoch: str) -> ModelRun:
        run = self.current.get(event.stream)
        if run is not None and run.terminal and event.edge == Edge.START:
            self.seal(run)
        if run is None or run.sealed:
            assert epoch not in {other.epoch for other in self.runs}
            return self.open_run(event.stream, epoch)
        return run

    def open_run(self, stream: str, epoch: str) -> ModelRun:
        run = ModelRun(stream, epoch, self.clock.now)
        self.runs.append(run)
        self.current[stream] = run
        return run

    def seal(self, run: ModelRun) -> None:
        if not run.sealed:
            run.sealed = True
            self.told.append((run.stream, run.epoch, Change.END))

    def put_in_order(self, before: int) -> None:
        """In which order streams are swept is the log's business."""
        if len(self.told) > before:
            heard = [_heard(record) for record in self.heard.until(self.log.head().offset)][before:]
            assert sorted(heard) == sorted(self.told[before:])
            self.told[before:] = heard

    def expected_start(
        self, stream: str, cursor: Cursor | None, *, reset: bool
    ) -> tuple[ModelRun | None, int]:
        current = self.current.get(stream)
        if cursor is None or not cursor.epoch or current is None:
            assert reset == (current is None and cursor is not None and bool(cursor.epoch))
            return current, current.oldest - 1 if current else 0
        named = next((run for run in self.runs if run.epoch == cursor.epoch), None)
        assert reset == (named is None)
        return (
            (current, current.oldest - 1) if named is None else (named, max(cursor.offset, named.oldest - 1))
        )


def _heard(record: Record) -> tuple[str, str, int | Change]:
    what = record.change if isinstance(record, Control) else record.seq
    return record.stream, record.epoch, what


class MemoryMachine(LogMachine):
    def make_log(self) -> MemoryLog:
        return MemoryLog(clock=self.clock)


class SqliteMachine(LogMachine):
    def make_log(self) -> SqliteLog:
        return SqliteLog(Path(self.folder.name) / "log.db", clock=self.clock)

    @rule()
    def reopen(self) -> None:
        self.log.close()
        self.open()

    @rule()
    def change_hands(self) -> None:
        """What another process has done must be known to this one."""
        other = self.make_log()
        mine, self.log = self.log, other
        self.append(
            [NewEvent("session:a", "foreign", b"{}", 7, "x"), NewEvent("session:b", "foreign", b"{}", 7)]
        )
        self.trim("session:b", 2)
        self.log = mine
        other.close()


_settings = settings(stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = settings(_settings, max_examples=100)
TestSqliteMachine = SqliteMachine.TestCase
TestSqliteMachine.settings = settings(_settings, max_examples=40)
