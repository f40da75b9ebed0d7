"""The contract of a log: ordered, durable streams of events.

A log is blocking and thread-safe; `runcast.live.bus.Bus` has its asyncio face. Every log, ours or a third
party's, passes `runcast.log.suite`. Logs on this machine give one commit order to everything; a log that keeps its
streams on several servers gives the order in which events arrived where they are joined, and each append is atomic
for each of its streams (`orders_batches` in the suite). Times are in microseconds since the Unix epoch, read from the wall clock,
and order nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from runcast.core.event import Cursor, NewEvent, id_tag
from runcast.core.page import PAGE_MAX_BYTES, PAGE_MAX_EVENTS, Change, Control, Gap, Page, Record

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = [
    "PAGE_MAX_BYTES",
    "PAGE_MAX_EVENTS",
    "Appended",
    "Change",
    "Control",
    "EventLog",
    "Gap",
    "Lease",
    "LogStatistics",
    "Page",
    "Record",
    "Snapshot",
    "StreamInfo",
]


class Appended(msgspec.Struct, frozen=True, gc=False):
    """What became of one appended event.

    `duplicate`: an event of this id was there before; `epoch`, `seq` and `position` are that one's.
    """

    stream: str
    epoch: str
    seq: int
    position: int
    id: str
    duplicate: bool = False

    @property
    def cursor(self) -> Cursor:
        """The place right after it in its stream."""
        return Cursor(self.epoch, self.seq, id_tag(self.id))


class StreamInfo(msgspec.Struct, frozen=True, gc=False):
    """One stream, as of the log's `position` (the last one that was committed when this was read).

    `epoch` is empty and all counts are 0 for a stream to which nothing was ever published. `head` is the last
    seq, 0 if there is none; `oldest` the first seq kept (`head + 1` if none is). `tag` belongs to the event at
    `head`. `ended`: the run is sealed, and nothing more will come in this epoch. `created` and `updated` are
    times of the first and the last append to the current run. `latest` is the position of the event at `head`
    (of the beginning of the run while there is none): the larger, the later something was published.
    """

    stream: str
    epoch: str
    head: int
    oldest: int
    tag: int
    ended: bool
    created: int
    updated: int
    position: int
    latest: int = 0

    @property
    def cursor(self) -> Cursor:
        """The place after the last event."""
        return Cursor(self.epoch, self.head, self.tag)


class Lease(msgspec.Struct, frozen=True, gc=False):
    """Proof of being the one owner of `name` until `expires`; `token` grows with each new owner."""

    name: str
    owner: str
    token: int
    expires: int


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """A fold's state after the event `seq` of `epoch` (whose id has `tag`), as the fold's own bytes."""

    epoch: str
    seq: int
    tag: int
    state: bytes


class LogStatistics(msgspec.Struct, frozen=True, gc=False):
    """What a log has done since it was opened, and what waits in it."""

    appended_events: int
    duplicate_events: int
    commits: int
    queued_events: int
    queued_bytes: int
    foreign_events: int


class EventLog(Protocol):
    """Ordered, durable streams. All methods may be called from any thread and, but for `append_soon`, may block.

    After a fork the child goes on with threads and files of its own. Every method raises `LogClosed` after
    `close`, and `LogError` or one of its children when the log itself fails.
    """

    url: str
    """How this log was named: `sqlite:///path`, `memory:`, `redis://host:port`; without passwords."""

    blocking: bool
    """Whether calls can wait for a disk or a network, and so belong into a thread."""

    epoch: str
    """The identity of this log as a whole: the epoch of firehose cursors."""

    def append(self, events: Sequence[NewEvent], *, lease: Lease | None = None) -> list[Appended]:
        """Store `events` durably, in order, all or none, and return what became of each.

        An event whose id its stream has already (in any run that is kept; on Redis: among the newest ids that
        were given to the stream, 10,000 of them by default) is not stored again. One with
        `Edge.START` opens a new epoch if the current run saw a terminal event; any event does so after `end`.

        Raises:
            Busy: too much is waiting, or the file stays locked past the deadline.
            StaleToken: `lease` is no longer the newest for its name.
            LogFull, LogReadOnly, LogCorrupt: by the disk. Nothing was stored.
            LogUnavailable: a log on other machines does not answer. The events may be stored.
        """
        ...

    def append_soon(
        self, events: Sequence[NewEvent], *, lease: Lease | None = None
    ) -> Future[list[Appended]]:
        """`append` without waiting: joins the next commit, and the future has its outcome.

        Batches of one thread are stored in the order of the calls. The queue is bounded in bytes.

        Raises:
            Busy: the queue is full (at once, not in the future).
        """
        ...

    def read(
        self,
        stream: str,
        after: Cursor | None = None,
        *,
        limit: int = PAGE_MAX_EVENTS,
        until: int | None = None,
    ) -> Page:
        """The next events of `stream` after `after` (None: from the start of the current run).

        At most `limit` (1 to 256) events and 256 KiB of data (but always one event), none with a position
        over `until`. A cursor of an earlier run that is still kept is read on to that run's end. A cursor that
        fits nothing begins anew with `reset`; one before what is kept goes on with `gap`. The event at a cursor
        whose tag is `ANY_TAG` is not compared. For a stream that does not exist, a page with an empty epoch.
        """
        ...

    def read_all(
        self,
        kind: str | None = None,
        after: Cursor | None = None,
        *,
        limit: int = PAGE_MAX_EVENTS,
        until: int | None = None,
    ) -> Page:
        """The next events of all streams (of `kind`) in commit or arrival order; offsets are positions.

        Limits as `read`. Events that were cleared or trimmed are left out without a word: a firehose promises
        what is kept. A cursor of another log, or ahead of this one, begins anew with `reset`.
        """
        ...

    def info(self, stream: str) -> StreamInfo:
        """Where the current run of `stream` begins and ends; see `StreamInfo` for one that does not exist."""
        ...

    def head(self) -> Cursor:
        """The place in the firehose after everything that is committed."""
        ...

    def streams(self, kind: str | None = None, after: str = "", limit: int = 100) -> list[StreamInfo]:
        """The streams (of `kind`) in order of their names, at most `limit` (1 to 1,000), after the name `after`."""
        ...

    def recent(
        self, kind: str | None = None, before: int | None = None, limit: int = 100
    ) -> list[StreamInfo]:
        """The streams (of `kind`) by their `latest`, the largest first: at most `limit` (1 to 1,000), below `before`.

        To go on, give the last one's `latest`. A stream that is published to meanwhile moves to the front.
        """
        ...

    def end(self, stream: str) -> StreamInfo:
        """Seal the current run; the next event opens a new one. Does nothing if it is sealed.

        In the same commit the leases `runner:{stream}` and `work:{stream}` are taken away, where there are any: who runs it,
        or works at it, writes no more.

        Raises:
            StreamNotFound: there is no such stream.
        """
        ...

    def clear(self, stream: str) -> StreamInfo:
        """Forget all events of `stream`, of all its runs; it goes on, empty, in a new epoch.

        The events are gone for every reader at once; their space comes back with `sweep`. The leases of its
        run are taken away as by `end`.

        Raises:
            StreamNotFound: there is no such stream.
        """
        ...

    def trim(self, stream: str, *, keep: int) -> StreamInfo:
        """Forget all but the newest `keep` (at least 1) events of the current run.

        Raises:
            StreamNotFound: there is no such stream.
        """
        ...

    def sweep(self, *, idle_since: int, limit: int = 1_000) -> int:
        """One bounded step of the janitor: remove what retention allows, at most `limit` rows; return how many.

        Whole runs only: those that were cleared, earlier runs not touched since the time `idle_since`, and
        streams (events, folds' snapshots and name) that were not touched since then. Call again until it
        returns 0.
        """
        ...

    def watch(self, callback: Callable[[list[Record]], None]) -> Callable[[], None]:
        """Tell `callback` of everything that is committed from now on, by any process, in position order.

        It is called in a thread of the log, must return soon, and must not call the log. Returns a function
        that ends the watch.
        """
        ...

    def acquire(self, name: str, owner: str, ttl_s: float) -> Lease | None:
        """Become or stay the owner of `name` for `ttl_s` seconds; None while another owner's lease holds.

        The same owner renews and keeps its token; a new owner gets a larger one.
        """
        ...

    def release(self, lease: Lease) -> None:
        """Give a lease back before its time; does nothing if it was lost."""
        ...

    def load_snapshot(self, stream: str, fold: str, version: int) -> Snapshot | None:
        """The newest snapshot of a fold over `stream`, if there is one of this version."""
        ...

    def save_snapshot(self, stream: str, fold: str, version: int, snapshot: Snapshot) -> None:
        """Keep a fold's state. An older one of the same fold is replaced, a newer one of the epoch is kept."""
        ...

    def load_snapshots(self, streams: Sequence[str], fold: str, version: int) -> dict[str, Snapshot]:
        """`load_snapshot` of many streams at once, by their names; those without one are left out."""
        ...

    def save_snapshots(self, fold: str, version: int, snapshots: Mapping[str, Snapshot]) -> None:
        """`save_snapshot` for many streams (by name) at once, in one commit."""
        ...

    def statistics(self) -> LogStatistics:
        """Counters since the log was opened; never blocks."""
        ...

    def close(self) -> None:
        """Finish what is queued, then stop. Idempotent."""
        ...
