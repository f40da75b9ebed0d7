"""What the parts of the suite share: how a test gets its log, its events, its time and what was announced."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager

from runcast.core.event import Cursor, Edge, Event, NewEvent
from runcast.log.base import Control, EventLog, Page, Record

WAIT_S = 10.0
"""After so long, what was waited for will not come."""
SOME_TIME = 1_800_000_000_000_000
HOUR_US = 3_600_000_000


class VirtualClock:
    """The time in microseconds, which stands still until it is moved."""

    def __init__(self, now: int = SOME_TIME) -> None:
        self.now = now

    def __call__(self) -> int:  # noqa: D102 - said above
        return self.now

    def advance(self, seconds: float) -> None:
        """Move it, backwards as well."""
        self.now += int(seconds * 1_000_000)


class Heard:
    """A callback for `watch` that keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._news = threading.Condition()

    def __call__(self, records: list[Record]) -> None:  # noqa: D102 - said above
        with self._news:
            self.records += records
            self._news.notify_all()

    def until(self, position: int) -> list[Record]:
        """Wait for the record at `position`, and return all so far."""
        return self.until_true(lambda records: bool(records) and records[-1].position >= position)

    def until_true(self, test: Callable[[list[Record]], bool]) -> list[Record]:
        """Wait until `test` is true of what was heard, and return that."""
        with self._news:
            there = self._news.wait_for(lambda: test(self.records), WAIT_S)
            assert there, f"not announced in {WAIT_S} s; the last one was {self.records[-1:]}"
            return list(self.records)


class Support:
    """Gives each test an empty log with a virtual clock."""

    log: EventLog
    clock: VirtualClock

    orders_batches = True
    """Whether the events of one `append` stand in the firehose as they were given. A log that keeps its streams on
    several servers may say False: then only those of one stream do, and an append is atomic for each stream only.
    Nothing else is asked of it in another way."""

    def make_log(self, clock: Callable[[], int]) -> EventLog:
        """A new, empty log that takes the time from `clock`. To be overridden."""
        raise NotImplementedError

    def make_other(self, clock: Callable[[], int]) -> EventLog | None:
        """One more opening of what `make_log` has made last; None if the log cannot be shared."""
        return None

    def setup_method(self) -> None:
        """Called before each test."""
        self.clock = VirtualClock()
        self.log = self.make_log(self.clock)

    def teardown_method(self) -> None:
        """Called after each test."""
        self.log.close()


def new(
    number: int = 1,
    *,
    stream: str = "session:a",
    event_id: str = "",
    edge: Edge = Edge.NONE,
    event_type: str = "note",
    data: bytes | None = None,
) -> NewEvent:
    """An event with a number in its data."""
    return NewEvent(stream, event_type, data or b'{"n":%d}' % number, SOME_TIME + number, event_id, edge)


def several(count: int, *, first: int = 1, stream: str = "session:a") -> list[NewEvent]:
    """Events with the numbers from `first` on."""
    return [new(number, stream=stream) for number in range(first, first + count)]


def numbers(events: Iterable[Event]) -> list[int]:
    """The numbers in the data of `events`."""
    return [int(event.data[5:-1]) for event in events]


def events_of(records: Iterable[Record]) -> list[Event]:
    """The events among `records`."""
    return [record for record in records if isinstance(record, Event)]


def controls_of(records: Iterable[Record]) -> list[Control]:
    """The changes among `records`."""
    return [record for record in records if isinstance(record, Control)]


def read_on(read: Callable[[Cursor | None], Page], after: Cursor | None = None) -> list[Page]:
    """Read page after page until nothing newer is there."""
    pages = [read(after)]
    while not pages[-1].complete:
        assert pages[-1].last > pages[-1].first, "a page that is not complete must get on"
        pages.append(read(pages[-1].cursor))
    return pages


def read_events(log: EventLog, stream: str, after: Cursor | None = None, *, limit: int = 256) -> list[Event]:
    """All events of `stream` after `after`."""
    pages = read_on(lambda cursor: log.read(stream, cursor, limit=limit), after)
    return [event for page in pages for event in page.events]


def read_all_events(log: EventLog, kind: str | None = None, *, limit: int = 256) -> list[Event]:
    """All events of the firehose."""
    pages = read_on(lambda cursor: log.read_all(kind, cursor, limit=limit))
    return [event for page in pages for event in page.events]


@contextmanager
def raises(expected: type[Exception]) -> Generator[None]:
    """The block must raise `expected`."""
    try:
        yield
    except expected:
        return
    raise AssertionError(f"{expected.__name__} was not raised")
