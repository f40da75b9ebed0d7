"""The writer's thread: what goes together, what is refused, what others wrote, and what it costs."""

import os
import sqlite3
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from tests.log.programs import write_lock
from tests.support.server import wait_until

from runcast.errors import Busy, StaleToken
from runcast.log.base import Appended
from runcast.log.conformance.support import (
    Heard,
    VirtualClock,
    events_of,
    new,
    numbers,
    read_all_events,
    read_events,
    several,
)
from runcast.log.sqlite import SqliteLog

MIB = 1024 * 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def commits(log: SqliteLog) -> int:
    return log.statistics().commits


# --- group commit ---------------------------------------------------------------------------------


def test_what_waits_goes_into_one_commit(path: Path) -> None:
    log = SqliteLog(path)
    with write_lock(path):
        futures = [log.append_soon([new(number)]) for number in range(300)]
        futures += [log.append_soon(several(3, stream=f"chat:{number}")) for number in range(50)]
    for future in futures:
        future.result(10)
    assert commits(log) <= 2  # the first may have been taken alone
    assert len(read_all_events(log)) == 450
    log.close()


def test_a_commit_is_bounded(path: Path) -> None:
    log = SqliteLog(path, commit_events=100)
    with write_lock(path):
        futures = [log.append_soon(several(10)) for _ in range(50)]
        futures.append(log.append_soon(several(250)))  # more than fits is a commit of its own
    for future in futures:
        future.result(10)
    assert 6 <= commits(log) <= 7
    assert log.info("session:a").head == 750
    log.close()


@pytest.mark.parametrize("count", [1, 127, 128, 129, 1_000])
def test_any_number_of_rows_is_inserted(path: Path, count: int) -> None:
    log = SqliteLog(path)
    appended = log.append(several(count))
    assert [each.seq for each in appended] == list(range(1, count + 1))
    assert numbers(read_events(log, "session:a")) == list(range(1, count + 1))
    log.close()


def test_statements_are_few(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gives up the GIL, which beside a busy loop is the price of a commit."""
    log = SqliteLog(path)
    log.append([new(1)])
    statements: list[str] = []
    with log._file.writer() as connection:
        connection.set_trace_callback(statements.append)
    log.append(several(100))
    with log._file.writer() as connection:
        connection.set_trace_callback(None)
    verbs = [statement.split()[0] for statement in statements]
    assert verbs == ["BEGIN", "PRAGMA", "INSERT", "INSERT", "COMMIT"]
    log.close()


def test_leases_go_into_the_commits_of_events(path: Path) -> None:
    """A thousand runs that begin at once would otherwise cost a thousand commits, one after the other."""
    log = SqliteLog(path)
    log.append([new(0)])
    statements: list[str] = []
    with log._file.writer() as connection:
        connection.set_trace_callback(statements.append)
    with ThreadPoolExecutor(20) as threads:
        with write_lock(path):
            first = _taken(log)
            leases = [threads.submit(log.acquire, f"runner:chat:{one}", "me", 30.0) for one in range(20)]
            wait_until(lambda: len(log._writer._queue) == 20)
            events = log.append_soon([new(2)])
        tokens = {lease.result(10).token for lease in leases}  # pyright: ignore[reportOptionalMemberAccess]
    assert first.result(10)
    assert events.result(10)
    assert statements.count("COMMIT") == 2
    assert len(tokens) == 20
    log.append([new(3)], lease=log.acquire("runner:chat:3", "me", 30.0))
    assert numbers(read_events(log, "session:a")) == [0, 1, 2, 3]
    log.close()


def test_what_fails_beside_events_fails_alone(path: Path) -> None:
    log = SqliteLog(path)
    with ThreadPoolExecutor(1) as threads:
        with write_lock(path):
            first = _taken(log)
            broken = threads.submit(log.acquire, "runner:\ud800", "me", 30.0)
            wait_until(lambda: len(log._writer._queue) == 1)
            beside = log.append_soon([new(2)])
        assert isinstance(broken.exception(10), UnicodeEncodeError)
    assert first.result(10)
    assert beside.result(10)
    assert numbers(read_events(log, "session:a")) == [1, 2]
    log.close()


def _taken(log: SqliteLog) -> Future[list[Appended]]:
    """An event that the writer has taken already; what comes now waits behind it."""
    future = log.append_soon([new(1)])
    wait_until(future.running)
    return future


def test_a_batch_that_cannot_be_stored_fails_alone(path: Path) -> None:
    log = SqliteLog(path)
    with write_lock(path):
        futures = [log.append_soon([new(number)]) for number in range(5)]
        broken = log.append_soon([new(6), new(7, event_type="\ud800")])
        futures += [log.append_soon([new(number)]) for number in range(5, 10)]
    for future in futures:
        future.result(10)
    assert isinstance(broken.exception(10), UnicodeEncodeError)
    assert numbers(read_events(log, "session:a")) == list(range(10))
    log.close()


def test_a_cancelled_batch_is_not_stored(path: Path) -> None:
    log = SqliteLog(path)
    with write_lock(path):
        first = log.append_soon([new(1)])
        while not first.running():
            threading.Event().wait(0.001)
        cancelled = log.append_soon([new(2)])
        last = log.append_soon([new(3)])
        assert cancelled.cancel()
    last.result(10)
    assert numbers(read_events(log, "session:a")) == [1, 3]
    assert log.statistics().queued_bytes == 0
    log.close()


def test_a_lease_changes_hands_within_the_queue(path: Path) -> None:
    clock = VirtualClock()
    log = SqliteLog(path, clock=clock)
    mine = log.acquire("runner", "me", 1)
    assert mine
    clock.advance(2)
    with write_lock(path):
        good = log.append_soon([new(1)], lease=mine)
        wait_until(good.running)
        taken: Future[object] = Future()
        thread = threading.Thread(target=lambda: taken.set_result(log.acquire("runner", "you", 1)))
        thread.start()
        while not log._writer._queue:
            threading.Event().wait(0.001)
        stale = log.append_soon([new(2)], lease=mine)
    thread.join()
    assert good.result(10)
    assert taken.result(10)
    assert isinstance(stale.exception(10), StaleToken)
    log.close()


# --- the bound of the queue -----------------------------------------------------------------------


def test_a_publisher_that_floods_is_refused_and_goes_on(path: Path) -> None:
    log = SqliteLog(path)
    process = psutil.Process()
    batch = [new(number, data=b'{"n":"%s"}' % os.urandom(5_000).hex().encode()) for number in range(100)]
    accepted: list[Future[list[Appended]]] = []
    with write_lock(path):
        before = process.memory_info().rss
        with pytest.raises(Busy):
            accepted.extend(log.append_soon(batch) for _ in range(100_000))
        with pytest.raises(Busy):
            log.append_soon(batch)
        queued = log.statistics()
        assert 60 * MIB < queued.queued_bytes <= 64 * MIB
        assert queued.queued_events == 100 * len(accepted)
        assert process.memory_info().rss - before < 64 * MIB
    for future in accepted:
        future.result(30)
    head = log.append([new(1)])[0].seq
    assert head == 100 * len(accepted) + 1
    assert log.statistics().queued_bytes == 0
    log.close()


def test_the_bound_holds_for_distinct_data(path: Path) -> None:
    log = SqliteLog(path, queue_bytes=4 * MIB)
    process = psutil.Process()
    with write_lock(path):
        before = process.memory_info().rss
        refused = 0
        for _ in range(2_000):
            try:
                log.append_soon([new(data=b'{"n":"%s"}' % os.urandom(5_000).hex().encode())])
            except Busy:
                refused += 1
        assert refused > 1_000
        assert process.memory_info().rss - before < 16 * MIB
    log.close()


def test_a_batch_larger_than_the_bound_goes_in_alone(path: Path) -> None:
    log = SqliteLog(path, queue_bytes=10_000)
    large = [new(number, data=b'{"n":"%s"}' % (b"a" * 5_000)) for number in range(5)]
    assert len(log.append(large)) == 5
    log.close()


# --- commits of others ----------------------------------------------------------------------------


def test_a_hole_before_a_commit_of_ours_is_announced_first(path: Path) -> None:
    log = SqliteLog(path, poll_ms=60_000)  # so that only our own commit can find what others wrote
    other = SqliteLog(path)
    heard = Heard()
    log.watch(heard)
    other.append(several(700))
    other.end("session:a")
    log.append([new(701)])
    records = heard.until(log.head().offset)
    assert numbers(events_of(records)) == list(range(1, 702))
    assert all(one.position < two.position for one, two in pairwise(records))
    assert log.statistics().foreign_events == 700
    other.close()
    log.close()


def test_who_does_not_watch_reads_nothing_of_others(path: Path) -> None:
    log = SqliteLog(path)
    other = SqliteLog(path)
    other.append(several(10))
    log.append([new(11)])
    assert log.statistics().foreign_events == 0
    heard = Heard()
    leave = log.watch(heard)
    other.append([new(12)])
    heard.until(log.head().offset)
    leave()
    other.append([new(13)])
    log.append([new(14)])
    again = Heard()
    log.watch(again)
    other.append([new(15)])
    assert numbers(events_of(again.until(log.head().offset))) == [15]
    assert numbers(events_of(heard.records)) == [12]
    other.close()
    log.close()


def test_a_watcher_that_cannot_be_told_now_is_told_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = SqliteLog(path)
    other = SqliteLog(path)
    heard = Heard()
    log.watch(heard)
    catch_up = log._writer.announcer._catch_up
    failures = iter([True, True])

    def fail_twice(until: int) -> None:
        if next(failures, False):
            raise sqlite3.OperationalError("a fault in reading, on purpose")
        catch_up(until)

    monkeypatch.setattr(log._writer.announcer, "_catch_up", fail_twice)
    other.append([new(1)])
    log.append([new(2)])
    assert numbers(events_of(heard.until(log.head().offset))) == [1, 2]
    other.close()
    log.close()
