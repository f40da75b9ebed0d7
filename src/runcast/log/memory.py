"""A log in this process's memory: the whole contract without a disk, for tests and for what need not last."""

from __future__ import annotations

import secrets
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from heapq import nlargest
from itertools import filterfalse, islice, takewhile
from operator import attrgetter
from typing import TypeVar

from runcast.core.event import Cursor, Event, NewEvent, id_tag, new_epoch
from runcast.core.resume import Run, resume
from runcast.errors import LogClosed, RuncastError, StaleToken
from runcast.log.base import (
    PAGE_MAX_EVENTS,
    Appended,
    Lease,
    LogStatistics,
    Page,
    Record,
    Snapshot,
    StreamInfo,
)
from runcast.log.ledger import Ledger, RunState, no_stream
from runcast.log.pages import NEWEST, firehose_end, fitting, no_page, page_of
from runcast.log.rules import STREAMS_MAX, check_keep, check_limit, lease_holds, ttl_us
from runcast.log.watchers import Callback, Watchers

T = TypeVar("T")
_position_of = attrgetter("position")


class _Run:
    """A run that is kept, with its events from `oldest` to `head`."""

    def __init__(self, state: RunState) -> None:
        self.state = state
        self.events: list[Event] = []

    def at(self, seq: int) -> Event | None:
        index = seq - self.state.oldest
        return self.events[index] if 0 <= index < len(self.events) else None

    def between(self, after: int, head: int) -> Iterator[Event]:
        return (self.events[seq - self.state.oldest] for seq in range(after + 1, head + 1))

    def trim(self) -> None:
        del self.events[: len(self.events) - (self.state.head - self.state.oldest + 1)]


class MemoryLog:
    """An `EventLog` that is gone with its process. No call waits for anything, so a loop may make them.

    Watchers are called in the thread whose commit it was, or in one that commits at the same moment.

    Args:
        clock: the time in microseconds since the Unix epoch; the wall clock if not given.
    """

    blocking = False

    def __init__(self, *, clock: Callable[[], int] | None = None) -> None:
        self.url = "memory:"
        self.epoch = new_epoch("*", secrets.randbits(40))
        self._clock = clock or (lambda: time.time_ns() // 1000)
        self._lock = threading.Lock()
        self._closed = False
        self._position = 0
        self._current: dict[str, RunState] = {}
        self._known: dict[str, dict[str, Appended]] = {}
        self._runs: dict[str, _Run] = {}  # by epoch
        self._firehose: list[Event] = []  # of dropped runs as well, until they are swept
        self._leases: dict[str, tuple[Lease, int]] = {}  # with the ttl
        self._tokens = 0
        self._snapshots: dict[tuple[str, str], tuple[int, Snapshot]] = {}  # with the version
        self._watchers = Watchers()
        self._outbox: deque[list[Record]] = deque()  # emptied by whoever has just filled it
        self._telling = threading.Lock()
        self._appended = self._duplicates = self._commits = 0

    # --- writing -----------------------------------------------------------------------------

    def append(self, events: Sequence[NewEvent], *, lease: Lease | None = None) -> list[Appended]:
        def act(ledger: Ledger) -> list[Appended]:
            if lease and not self._holds(lease):
                raise StaleToken
            return ledger.append(events)

        return self._commit(act)

    def append_soon(
        self, events: Sequence[NewEvent], *, lease: Lease | None = None
    ) -> Future[list[Appended]]:
        future: Future[list[Appended]] = Future()
        try:
            future.set_result(self.append(events, lease=lease))
        except LogClosed:
            raise
        except RuncastError as error:
            future.set_exception(error)
        return future

    def end(self, stream: str) -> StreamInfo:
        return self._commit(lambda ledger: ledger.end(stream))

    def clear(self, stream: str) -> StreamInfo:
        return self._commit(lambda ledger: ledger.clear(stream))

    def trim(self, stream: str, *, keep: int) -> StreamInfo:
        check_keep(keep)
        return self._commit(lambda ledger: ledger.trim(stream, keep))

    def sweep(self, *, idle_since: int, limit: int = 1_000) -> int:
        def act(ledger: Ledger) -> int:
            idle = [run.state for run in self._runs.values() if run.state.updated < idle_since][:limit]
            for state in idle:
                if self._current.get(state.stream) is state:
                    ledger.end(state.stream)
                    self._forget_stream(state.stream)
                else:
                    self._forget_run(state)
            return len(idle) + self._compact(limit - len(idle))

        return self._commit(act)

    def _commit(self, act: Callable[[Ledger], T]) -> T:
        with self._open():
            ledger = Ledger(self._current, self._known, self._position, self._clock())
            result = act(ledger)
            self._keep(ledger)
            for name in ledger.revoked:
                self._leases.pop(name, None)
        self._tell()
        return result

    def _keep(self, ledger: Ledger) -> None:
        """Store what a commit has decided. A run may be opened and cleared in one commit."""
        for state in ledger.opened:
            self._runs[state.epoch] = _Run(state)
        for state in ledger.cleared:
            self._forget_snapshots(state.stream)
            for run in self._runs_of(state.stream):
                if run.state.run < state.run:
                    del self._runs[run.state.epoch]
        for state, record, _ in ledger.entries:
            if isinstance(record, Event) and (run := self._runs.get(state.epoch)):
                run.events.append(record)
                self._firehose.append(record)
        for state in ledger.touched.values():
            if run := self._runs.get(state.epoch):
                run.trim()
        self._position = ledger.position
        self._appended += ledger.stored
        self._duplicates += ledger.repeated
        if ledger.entries:
            self._commits += 1
            self._outbox.append(ledger.records)

    def _tell(self) -> None:
        """Call the watchers in the order of commits, one thread at a time, without the log's lock."""
        while self._outbox and self._telling.acquire(blocking=False):
            try:
                while self._outbox:
                    self._watchers.tell(self._outbox.popleft())
            finally:
                self._telling.release()

    def _runs_of(self, stream: str) -> list[_Run]:
        return [run for run in self._runs.values() if run.state.stream == stream]

    def _forget_stream(self, stream: str) -> None:
        for run in self._runs_of(stream):
            del self._runs[run.state.epoch]
        self._current.pop(stream)
        self._known.pop(stream, None)
        self._forget_snapshots(stream)

    def _forget_run(self, state: RunState) -> None:
        self._runs.pop(state.epoch, None)
        if known := self._known.get(state.stream):
            self._known[state.stream] = {key: of for key, of in known.items() if of.epoch != state.epoch}

    def _forget_snapshots(self, stream: str) -> None:
        for key in [key for key in self._snapshots if key[0] == stream]:
            del self._snapshots[key]

    def _compact(self, limit: int) -> int:
        """Let go of at most `limit` events that no reader can see any more."""
        dead = {event.position for event in islice(filterfalse(self._kept, self._firehose), limit)}
        self._firehose = [event for event in self._firehose if event.position not in dead]
        return len(dead)

    def _kept(self, event: Event) -> bool:
        run = self._runs.get(event.epoch)
        return run is not None and event.seq >= run.state.oldest

    # --- reading -----------------------------------------------------------------------------

    def read(
        self,
        stream: str,
        after: Cursor | None = None,
        *,
        limit: int = PAGE_MAX_EVENTS,
        until: int | None = None,
    ) -> Page:
        check_limit(limit)
        until = NEWEST if until is None else until
        with self._open():
            current = self._current.get(stream)
            if current is None:
                return no_page(after)
            named = self._runs.get(after.epoch) if after else None
            named = named if named and named.state.stream == stream else None
            there = named.at(after.offset) if named and after else None
            tag = id_tag(there.id) if there else None
            start = resume(after, named and named.state.span(), current.span(), tag)
            run = self._runs[start.run.epoch]
            head = bisect_right(run.events, until, key=_position_of) + run.state.oldest - 1
            events, _ = fitting(run.between(start.after, head), limit)
        last = (events[-1].seq, events[-1]) if events else (start.after, None)
        return page_of(start, after, events, last, head, closed=0 < run.state.closed <= until)

    def read_all(
        self,
        kind: str | None = None,
        after: Cursor | None = None,
        *,
        limit: int = PAGE_MAX_EVENTS,
        until: int | None = None,
    ) -> Page:
        check_limit(limit)
        with self._open():
            log = Run(self.epoch, 1, self._position)
            named = log if after and after.epoch == self.epoch else None
            tag = self._tag_at(after.offset) if after and after.tag else None
            start = resume(after, named, log, tag)
            head = log.head if until is None else min(until, log.head)
            events, cut = fitting(self._after(start.after, head, f"{kind}:" if kind else ""), limit)
        return page_of(start, after, events, firehose_end(start, events, head, cut), head, closed=False)

    def _after(self, position: int, head: int, prefix: str) -> Iterator[Event]:
        index = bisect_right(self._firehose, position, key=_position_of)
        later = (self._firehose[place] for place in range(index, len(self._firehose)))
        events = takewhile(lambda event: event.position <= head, later)
        return (event for event in events if event.stream.startswith(prefix) and self._kept(event))

    def _tag_at(self, position: int) -> int | None:
        event = next(self._after(position - 1, position, ""), None)
        return id_tag(event.id) if event else None

    def info(self, stream: str) -> StreamInfo:
        with self._open():
            run = self._current.get(stream)
            return run.info(self._position) if run else no_stream(stream, self._position)

    def head(self) -> Cursor:
        with self._open():
            return Cursor(self.epoch, self._position, self._tag_at(self._position) or 0)

    def streams(self, kind: str | None = None, after: str = "", limit: int = 100) -> list[StreamInfo]:
        check_limit(limit, STREAMS_MAX)
        with self._open():
            prefix = f"{kind}:" if kind else ""
            names = sorted(name for name in self._current if name > after and name.startswith(prefix))
            return [self._current[name].info(self._position) for name in names[:limit]]

    def recent(
        self, kind: str | None = None, before: int | None = None, limit: int = 100
    ) -> list[StreamInfo]:
        check_limit(limit, STREAMS_MAX)
        below = NEWEST if before is None else before
        with self._open():
            prefix = f"{kind}:" if kind else ""
            runs = (
                run for name, run in self._current.items() if name.startswith(prefix) and run.position < below
            )
            return [run.info(self._position) for run in nlargest(limit, runs, key=_position_of)]

    # --- the rest ----------------------------------------------------------------------------

    def watch(self, callback: Callback) -> Callable[[], None]:
        with self._open():
            return self._watchers.add(callback)

    def acquire(self, name: str, owner: str, ttl_s: float) -> Lease | None:
        ttl = ttl_us(ttl_s)
        with self._open():
            now = self._clock()
            held, held_ttl = self._leases.get(name, (None, 0))
            if held and held.owner != owner and lease_holds(held.expires, held_ttl, now):
                return None
            if held is None or held.owner != owner:
                self._tokens += 1
            token = held.token if held and held.owner == owner else self._tokens
            lease = Lease(name, owner, token, now + ttl)
            self._leases[name] = (lease, ttl)
            return lease

    def renew(self, leases: Sequence[Lease], ttl_s: float) -> list[bool]:
        """See `RenewsMany`."""
        ttl = ttl_us(ttl_s)
        with self._open():
            held = [self._holds(lease) for lease in leases]
            for lease, is_held in zip(leases, held, strict=True):
                if is_held:
                    renewed = Lease(lease.name, lease.owner, lease.token, self._clock() + ttl)
                    self._leases[lease.name] = (renewed, ttl)
            return held

    def release(self, lease: Lease) -> None:
        with self._open():
            if self._holds(lease):
                del self._leases[lease.name]

    def _holds(self, lease: Lease) -> bool:
        held = self._leases.get(lease.name)
        return held is not None and held[0].token == lease.token

    def load_snapshot(self, stream: str, fold: str, version: int) -> Snapshot | None:
        with self._open():
            of_version, snapshot = self._snapshots.get((stream, fold), (None, None))
            return snapshot if of_version == version else None

    def save_snapshot(self, stream: str, fold: str, version: int, snapshot: Snapshot) -> None:
        with self._open():
            run = self._runs.get(snapshot.epoch)
            if run is None or run.state.stream != stream:
                return
            of_version, there = self._snapshots.get((stream, fold), (None, None))
            older = self._runs.get(there.epoch) if there and of_version == version else None
            if there and older and (older.state.run, there.seq) > (run.state.run, snapshot.seq):
                return
            self._snapshots[(stream, fold)] = (version, snapshot)

    def load_snapshots(self, streams: Sequence[str], fold: str, version: int) -> dict[str, Snapshot]:
        found = ((stream, self.load_snapshot(stream, fold, version)) for stream in streams)
        return {stream: snapshot for stream, snapshot in found if snapshot}

    def save_snapshots(self, fold: str, version: int, snapshots: Mapping[str, Snapshot]) -> None:
        for stream, snapshot in snapshots.items():
            self.save_snapshot(stream, fold, version, snapshot)

    def statistics(self) -> LogStatistics:
        return LogStatistics(
            appended_events=self._appended,
            duplicate_events=self._duplicates,
            commits=self._commits,
            queued_events=0,
            queued_bytes=0,
            foreign_events=0,
        )

    def close(self) -> None:
        with self._lock:
            self._closed = True

    @contextmanager
    def _open(self) -> Generator[None]:
        """The lock of a log that is not closed."""
        with self._lock:
            if self._closed:
                raise LogClosed
            yield
