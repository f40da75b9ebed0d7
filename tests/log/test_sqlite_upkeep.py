"""What a log costs and how it stays small: threads, files, the WAL, memory, retention."""

import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from tests.log.programs import query

from runcast.core.event import Cursor, NewEvent
from runcast.log.conformance.support import (
    Heard,
    VirtualClock,
    new,
    numbers,
    read_on,
    several,
)
from runcast.log.sqlite import SqliteLog, append, reads

MIB = 1024 * 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def test_threads_begin_when_they_are_needed(path: Path) -> None:
    before = set(threading.enumerate())

    def names() -> list[str]:
        begun = set(threading.enumerate()) - before
        return [thread.name for thread in begun if thread.name.startswith("runcast-log")]

    log = SqliteLog(path)
    log.read_all()
    log.info("session:a")
    assert names() == []
    log.append([new(1)])
    assert names() == ["runcast-log-writer"]
    log.close()
    assert names() == []


def test_files_are_closed(path: Path) -> None:
    log = SqliteLog(path)
    log.watch(lambda _: None)
    log.append([new(1)])
    log.read_all()
    log.close()
    assert not [file for file in psutil.Process().open_files() if file.path.startswith(str(path))]
    assert [file.name for file in path.parent.iterdir()] == ["log.db"]


def test_the_wal_stays_short(path: Path) -> None:
    log = SqliteLog(path, checkpoint_bytes=256 * 1024)
    with _reading_all_the_time(log):
        largest = 0
        for _ in range(400):
            log.append(_large(5))
            largest = max(largest, wal_bytes(path))
    assert largest < 4 * MIB  # of 20 that were written
    log.close()


def test_a_long_reader_does_not_stop_the_writer(path: Path) -> None:
    log = SqliteLog(path, checkpoint_bytes=64 * 1024)
    log.append([new(0)])
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchone()
    for _ in range(100):
        log.append(_large(5))
    assert wal_bytes(path) > 4 * MIB
    reader.execute("COMMIT")
    reader.close()
    for _ in range(10):
        log.append(_large(5))
    assert wal_bytes(path) < MIB
    assert log.info("session:a").head == 551
    log.close()


def test_what_others_write_is_moved_into_the_file_as_well(path: Path) -> None:
    log = SqliteLog(path, checkpoint_bytes=256 * 1024)
    heard = Heard()
    log.watch(heard)
    largest = 0
    for _ in range(100):  # like hooks, each a process of its own that writes little
        hook = SqliteLog(path)
        (*_, last) = hook.append(_large(2))
        hook.close()
        heard.until(last.position)
        largest = max(largest, wal_bytes(path))
    assert largest < MIB
    log.close()


def test_a_writer_that_leaves_sees_to_a_long_wal(path: Path) -> None:
    idle = SqliteLog(path)
    idle.append([new(0)])  # it has the file open, and so keeps SQLite from checkpoints when others close
    largest = 0
    for _ in range(50):
        hook = SqliteLog(path, checkpoint_bytes=128 * 1024)
        hook.append(_large(3))
        hook.close()
        largest = max(largest, wal_bytes(path))
    assert largest < MIB
    idle.close()


def test_a_checkpoint_that_fails_is_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = SqliteLog(path, checkpoint_bytes=128 * 1024)

    def fail() -> None:
        raise sqlite3.OperationalError("a fault in a checkpoint, on purpose")

    with monkeypatch.context() as patch:
        patch.setattr(log._file, "checkpoint", fail)
        for _ in range(20):
            log.append(_large(5))
    assert "on purpose" in caplog.text
    for _ in range(10):
        log.append(_large(5))
    assert wal_bytes(path) < MIB
    assert log.info("session:a").head == 150
    log.close()


def wal_bytes(path: Path) -> int:
    return path.with_name("log.db-wal").stat().st_size


def _large(count: int) -> list[NewEvent]:
    return [new(data=b'{"n":"%s"}' % (b"a" * 10_000)) for _ in range(count)]


@contextmanager
def _reading_all_the_time(log: SqliteLog) -> Generator[None]:
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            log.read_all()

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_page_of_a_rare_kind_looks_through_a_bounded_stretch(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "SCAN_POSITIONS", 100)
    log = SqliteLog(path)
    log.append([new(0, stream="chat:a"), *several(1_000), new(1_001, stream="chat:a")])
    pages = read_on(lambda cursor: log.read_all("chat", cursor))
    assert 10 <= len(pages) <= 12
    assert [number for page in pages for number in numbers(page.events)] == [0, 1_001]
    log.clear("session:a")
    while log.sweep(idle_since=0):
        pass
    assert len(read_on(lambda cursor: log.read_all("chat", cursor))) <= 3  # holes are not looked through
    assert numbers(log.read_all("chat", Cursor(log.epoch, 500)).events) == [1_001]
    log.close()


def test_many_streams_are_remembered_within_bounds(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(append, "CACHED_RUNS", 50)
    log = SqliteLog(path)
    for round_ in range(3):
        for number in range(120):
            assert log.append([new(stream=f"session:{number}")])[0].seq == round_ + 1
    assert len(log._writer._appender._runs) <= 52
    assert len(log.streams(limit=1_000)) == 120
    log.close()


def test_retention_goes_in_small_transactions(path: Path) -> None:
    clock = VirtualClock()
    log = SqliteLog(path, clock=clock)
    log.append(several(500))
    for number in range(40):
        log.append(several(5, stream=f"chat:{number}"))
    clock.advance(3600)
    log.append(several(10, stream="task:young"))
    steps = []
    while step := log.sweep(idle_since=clock.now, limit=50):
        steps.append(step)
        log.append([new(stream="task:young")])
    assert max(steps) <= 50
    assert sum(steps) >= 700
    assert [info.stream for info in log.streams()] == ["task:young"]
    counts = [query(path, f"SELECT count(*) FROM {table}")[0][0] for table in ("streams", "runs", "events")]
    assert counts == [1, 1, log.info("task:young").head]
    log.close()


def test_trims_leave_nothing_behind(path: Path) -> None:
    log = SqliteLog(path)
    for number in range(20):
        log.append(several(10, first=10 * number))
        log.trim("session:a", keep=5)
        while log.sweep(idle_since=0, limit=7):
            pass
    events, controls = query(path, "SELECT count(seq), count(*) - count(seq) FROM events")[0]
    assert events == 5
    assert controls <= 2
    log.close()
