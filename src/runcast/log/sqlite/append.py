"""One transaction of the log: reads the runs that its jobs name, lets the ledger decide, writes the outcome.

Every statement gives up the GIL, so they are few: for events to streams that were written to before, one that
asks whether the log was changed from elsewhere, one INSERT of the events and one of their runs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from typing import Any, Protocol

import msgspec

from runcast.core.event import NewEvent
from runcast.errors import RuncastError, StaleToken
from runcast.log.base import Appended, Lease
from runcast.log.ledger import Ledger, RunState
from runcast.log.sqlite.rows import LAST_POSITION, RUN, insert_values, many_runs

INSERT_ROWS = 128
"""How many rows one statement takes. Each number of rows is a statement of its own, compiled once."""
CACHED_RUNS = 10_000


class Change(Protocol):
    """One job of a transaction: what it does, and what must be read beforehand."""

    @property
    def act(self) -> Callable[[Ledger], Any]:
        """Tells the ledger what happens, and returns the job's answer."""
        ...

    @property
    def streams(self) -> Collection[str]:
        """Every stream that is named."""
        ...

    @property
    def events(self) -> Sequence[NewEvent]:
        """Every event whose id may be taken."""
        ...

    @property
    def lease(self) -> Lease | None:
        """What must still be held."""
        ...


class Outcome(msgspec.Struct):
    """What a transaction did, once it is committed."""

    before: int
    """The last position before this transaction's own."""
    ledger: Ledger
    results: list[Any]
    """For each job what to answer, or an error that is that job's own."""
    foreign: bool
    """Another process has written since the transaction before."""


class Appender:
    """Makes transactions, and remembers runs from one to the next while nobody else writes to the file."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._runs: dict[str, RunState] = {}
        self._position = 0
        self._seen: tuple[sqlite3.Connection, int] | None = None

    def forget(self) -> None:
        """Take nothing for granted: the last transaction failed, or somebody else wrote."""
        self._seen = None

    def apply(self, connection: sqlite3.Connection, jobs: Sequence[Change]) -> Outcome:
        """Do `jobs` in the transaction that is open.

        Raises:
            sqlite3.Error: nothing is done; call `forget` after the ROLLBACK.
        """
        foreign = self._refresh(connection)
        self._read_runs(connection, {name for job in jobs for name in job.streams})
        ledger = Ledger(self._runs, self._read_ids(connection, jobs), self._position, self._clock())
        tokens = _read_tokens(connection, jobs)
        results = [_outcome(job, ledger, tokens) for job in jobs]
        if ledger.entries:
            _write(connection, ledger)
        outcome = Outcome(self._position, ledger, results, foreign)
        self._position = ledger.position
        return outcome

    def _refresh(self, connection: sqlite3.Connection) -> bool:
        version: int = connection.execute("PRAGMA data_version").fetchone()[0]
        if self._seen == (connection, version):
            if len(self._runs) > CACHED_RUNS:
                self._runs.clear()
            return False
        foreign = self._seen is not None
        self._seen = (connection, version)
        self._runs.clear()
        self._position = connection.execute(LAST_POSITION).fetchone()[0]
        return foreign

    def _read_runs(self, connection: sqlite3.Connection, names: set[str]) -> None:
        missing = names - self._runs.keys()
        if missing:
            found = connection.execute(_READ_RUNS, (_json(list(missing)),)).fetchone()[0]
            self._runs.update((run.stream, run) for run in many_runs.decode(found))

    def _read_ids(
        self, connection: sqlite3.Connection, jobs: Sequence[Change]
    ) -> dict[str, dict[str, Appended]]:
        wanted = [
            (run.stream_key, event.id)
            for job in jobs
            for event in job.events
            if event.id and (run := self._runs.get(event.stream))
        ]
        known: dict[str, dict[str, Appended]] = {}
        if wanted:
            found = connection.execute(_READ_IDS, (_json(wanted),)).fetchone()[0]
            for appended in _ids.decode(found):
                known.setdefault(appended[0], {})[appended[4]] = Appended(*appended)
        return known


def _read_tokens(connection: sqlite3.Connection, jobs: Iterable[Change]) -> dict[str, int]:
    """The newest token of each lease that is named."""
    names = {job.lease.name for job in jobs if job.lease}
    rows = (connection.execute(_READ_LEASE, (name,)).fetchone() for name in names)
    return {row[0]: row[1] for row in rows if row}


def _outcome(job: Change, ledger: Ledger, tokens: dict[str, int]) -> Any:
    try:
        if job.lease and (tokens.get(job.lease.name) != job.lease.token or job.lease.name in ledger.revoked):
            raise StaleToken
        return job.act(ledger)
    except RuncastError as error:  # raised before anything was changed, so the others go on
        return error


def _write(connection: sqlite3.Connection, ledger: Ledger) -> None:
    current = {run.stream_key: (run.stream_key, run.stream, run.run) for run in ledger.opened}
    _insert(connection, _WRITE_STREAMS, list(current.values()))
    _insert(connection, _WRITE_RUNS, [msgspec.structs.astuple(run)[1:] for run in ledger.touched.values()])
    entries = [insert_values(record, run, given, ledger.now) for run, record, given in ledger.entries]
    _insert(connection, _WRITE_EVENTS, entries)
    for run in ledger.cleared:
        connection.execute(_DROP_RUNS, (run.stream_key, run.run))
        connection.execute("DELETE FROM snapshots WHERE stream = ?", (run.stream_key,))
    for name in ledger.revoked:
        connection.execute("DELETE FROM leases WHERE name = ?", (name,))


def _insert(connection: sqlite3.Connection, sql: Callable[[int], str], rows: list[tuple[Any, ...]]) -> None:
    for first in range(0, len(rows), INSERT_ROWS):
        some = rows[first : first + INSERT_ROWS]
        connection.execute(sql(len(some)), [value for row in some for value in row])


def _inserting(table: str, columns: int, on_conflict: str = "") -> Callable[[int], str]:
    """The statement that inserts so many rows."""
    row = f"({', '.join('?' * columns)})"

    @cache
    def sql(rows: int) -> str:
        return f"INSERT INTO {table} VALUES {', '.join([row] * rows)} {on_conflict}"

    return sql


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


_ids = msgspec.json.Decoder(list[tuple[str, str, int, int, str]])

_READ_RUNS = f"""
SELECT json_group_array(json_array({RUN("r")})) FROM json_each(?) w
CROSS JOIN streams s ON s.name = w.value AND s.run IS NOT NULL
CROSS JOIN runs r ON r.run = s.run"""

_READ_IDS = """
SELECT json_group_array(json_array(s.name, r.epoch, e.seq, e.position, e.id)) FROM json_each(?) w
CROSS JOIN events e ON e.stream = json_extract(w.value, '$[0]') AND e.id = json_extract(w.value, '$[1]')
  AND e.given = 1
CROSS JOIN runs r ON r.run = e.run AND r.dropped = 0 AND e.seq >= r.oldest
CROSS JOIN streams s ON s.stream = e.stream"""

_READ_LEASE = "SELECT name, token FROM leases WHERE name = ?"

_WRITE_STREAMS = _inserting(
    "streams (stream, name, run)", 3, "ON CONFLICT (stream) DO UPDATE SET run = excluded.run"
)
_WRITE_RUNS = _inserting(
    "runs (stream, run, epoch, oldest, head, tag, position, terminal, closed, created, updated)",
    11,
    """ON CONFLICT (run) DO UPDATE SET oldest = excluded.oldest, head = excluded.head, tag = excluded.tag,
    position = excluded.position, terminal = excluded.terminal, closed = excluded.closed,
    updated = excluded.updated""",
)
_WRITE_EVENTS = _inserting("events", 9)
_DROP_RUNS = "UPDATE runs SET dropped = 1 WHERE stream = ? AND run < ?"
