"""What one commit does to streams: it numbers events, knows repeated ids, and opens and closes runs.

Decides, and touches nothing outside itself: the logs of this machine share it, and each stores its `entries`
in its own way.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import msgspec

from runcast.core import resume
from runcast.core.event import Edge, Event, NewEvent, id_tag, new_epoch
from runcast.errors import StreamNotFound
from runcast.log.base import Appended, Change, Control, Record, StreamInfo
from runcast.log.rules import lease_names


class RunState(msgspec.Struct, array_like=True, gc=False):
    """One run of a stream. The current one is changed in place by each commit.

    `stream_key` and `run` are numbers inside the log: the positions of the first row of the stream and of the
    run. `position` is that of the event at `head` (of the first row while there is none). `closed` is the
    position of the row that sealed the run, 0 while it is open.
    """

    stream: str
    stream_key: int
    run: int
    epoch: str
    oldest: int
    head: int
    tag: int
    position: int
    terminal: bool
    closed: int
    created: int
    updated: int

    def info(self, position: int) -> StreamInfo:
        """The public face of the stream whose current run this is."""
        return StreamInfo(
            stream=self.stream,
            epoch=self.epoch,
            head=self.head,
            oldest=self.oldest,
            tag=self.tag,
            ended=self.closed > 0,
            created=self.created,
            updated=self.updated,
            position=position,
            latest=self.position,
        )

    def span(self) -> resume.Run:
        """What the rule for resuming needs to know."""
        return resume.Run(self.epoch, self.oldest, self.head)


def no_stream(stream: str, position: int) -> StreamInfo:
    """What is said of a stream to which nothing was ever published."""
    return StreamInfo(stream, "", 0, 0, 0, ended=False, created=0, updated=0, position=position)


class Ledger:
    """The changes of one commit, in order.

    Args:
        runs: the current run of each stream that will be named, where there is one; kept up to date in place.
        known: of each stream the ids that are taken, as far as they will be asked for; kept up to date, too.
        position: the last one given before this commit.
        now: the time of this commit, in microseconds.
    """

    def __init__(
        self, runs: dict[str, RunState], known: dict[str, dict[str, Appended]], position: int, now: int
    ) -> None:
        self.position = position
        self.now = now
        self.stored = self.repeated = 0
        self.entries: list[tuple[RunState, Record, bool]] = []
        """Each new row with its run, and whether its id was given by the publisher."""
        self.touched: dict[int, RunState] = {}
        """The runs that changed, by number."""
        self.opened: list[RunState] = []
        """The runs that are now the current ones of their streams."""
        self.cleared: list[RunState] = []
        """Those of `opened` before which all of their stream is gone."""
        self.revoked: set[str] = set()
        """The names of leases that nobody holds any more: those of runs that were sealed or cleared."""
        self._runs = runs
        self._known = known

    @property
    def records(self) -> list[Record]:
        """What to announce."""
        return [record for _, record, _ in self.entries]

    def append(self, events: Sequence[NewEvent]) -> list[Appended]:
        """Number `events`; one whose id is taken is not stored again."""
        for event in events:
            event.id.encode()  # an id that has no bytes fails here, before anything is changed
        return [self._repeated(event) or self._store(event) for event in events]

    def end(self, stream: str) -> StreamInfo:
        """Seal the current run, if it is open.

        Raises:
            StreamNotFound: there is no such stream.
        """
        run = self._existing(stream)
        if not run.closed:
            self._close(run)
            self.revoked.update(lease_names(stream))
        return run.info(self.position)

    def end_idle(self, streams: Iterable[str], idle_since: int) -> None:
        """Seal the current runs of those `streams` that were not touched since `idle_since`."""
        for stream in streams:
            run = self._runs.get(stream)
            if run and run.updated < idle_since:
                self.end(stream)

    def clear(self, stream: str) -> StreamInfo:
        """Forget every run, and open an empty one.

        Raises:
            StreamNotFound: there is no such stream.
        """
        run = self._open(stream, self._existing(stream).stream_key)
        self._control(run, Change.CLEAR)
        self.cleared.append(run)
        self.revoked.update(lease_names(stream))
        self._known.pop(stream, None)
        return run.info(self.position)

    def trim(self, stream: str, keep: int) -> StreamInfo:
        """Forget all but the newest `keep` events of the current run.

        Raises:
            StreamNotFound: there is no such stream.
        """
        run = self._existing(stream)
        oldest = run.head - keep + 1
        if oldest > run.oldest:
            run.oldest = oldest
            self._control(run, Change.TRIM)
            known = self._known.get(stream, {})
            for event_id in [key for key, of in known.items() if of.epoch == run.epoch and of.seq < oldest]:
                del known[event_id]
        return run.info(self.position)

    def _repeated(self, event: NewEvent) -> Appended | None:
        known = self._known.get(event.stream) if event.id else None
        first = known.get(event.id) if known else None
        if first is None:
            return None
        self.repeated += 1
        return Appended(first.stream, first.epoch, first.seq, first.position, first.id, duplicate=True)

    def _store(self, event: NewEvent) -> Appended:
        run = self._run_for(event)
        event_id = event.id or _new_id()
        seq = run.head + 1
        self.position = position = self.position + 1
        run.head, run.position, run.tag, run.updated = seq, position, id_tag(event_id), self.now
        run.terminal = run.terminal or event.edge == Edge.TERMINAL
        self.touched[run.run] = run
        self.stored += 1
        stored = Event(run.stream, run.epoch, seq, position, event_id, event.type, event.time, event.data)
        self.entries.append((run, stored, bool(event.id)))
        appended = Appended(run.stream, run.epoch, seq, position, event_id)
        if event.id:
            self._known.setdefault(run.stream, {})[event_id] = appended
        return appended

    def _run_for(self, event: NewEvent) -> RunState:
        run = self._runs.get(event.stream)
        if run is None:
            return self._open(event.stream, self.position + 1)
        again = run.terminal and event.edge == Edge.START
        if again and not run.closed:
            self._close(run)
        return self._open(run.stream, run.stream_key) if run.closed else run

    def _open(self, stream: str, stream_key: int) -> RunState:
        number = self.position + 1
        run = RunState(
            stream=stream,
            stream_key=stream_key,
            run=number,
            epoch=new_epoch(stream, int.from_bytes(os.urandom(5))),
            oldest=1,
            head=0,
            tag=0,
            position=number,
            terminal=False,
            closed=0,
            created=self.now,
            updated=self.now,
        )
        self._runs[stream] = run
        self.opened.append(run)
        return run

    def _close(self, run: RunState) -> None:
        run.closed = self.position + 1
        self._control(run, Change.END)

    def _control(self, run: RunState, change: Change) -> None:
        self.position += 1
        self.touched[run.run] = run
        control = Control(run.stream, run.epoch, self.position, change, run.oldest)
        self.entries.append((run, control, False))

    def _existing(self, stream: str) -> RunState:
        run = self._runs.get(stream)
        if run is None:
            raise StreamNotFound(f"There is no stream {stream}.")
        return run


def _new_id() -> str:
    from uuid_utils import uuid7  # noqa: PLC0415 - a process that appends once brings its own ids

    return str(uuid7())
