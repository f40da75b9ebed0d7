"""One file and several processes: in one order, through kills, forks and the end of a process."""

import json
import os
import random
import re
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest
from tests.log import programs

from runcast.log.conformance.support import Heard, events_of, new, numbers, read_all_events, read_events
from runcast.log.sqlite import SqliteLog

# Python 3.12 warns of every fork beside a thread; here the threads are the point.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def test_two_processes_hear_one_order(path: Path) -> None:
    each, total = 400, 1_200
    log = SqliteLog(path)
    heard = Heard()
    log.watch(heard)
    processes = [programs.start("write_and_watch", path, name, each, total) for name in ("one", "two")]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    futures = [log.append_soon([new(number, event_id=f"here-{number}")]) for number in range(each)]
    seqs = [[future.result(30)[0].seq for future in futures]]
    said = [json.loads(process.communicate(timeout=40)[0]) for process in processes]
    seqs += [each["seqs"] for each in said]
    records = heard.until_true(lambda records: len(events_of(records)) >= total)
    here = [[record.position, record.epoch, record.seq] for record in events_of(records)]
    assert said[0]["heard"] == said[1]["heard"] == here
    assert [seq for _, _, seq in here] == list(range(1, total + 1))
    assert sorted(seq for of_one in seqs for seq in of_one) == list(range(1, total + 1))
    assert all(of_one == sorted(of_one) for of_one in seqs)
    assert read_events(log, "session:a") == events_of(records)
    log.close()


def test_a_writer_that_is_killed_loses_nothing_acknowledged(path: Path) -> None:
    acknowledged: dict[str, int] = {}
    chance = random.Random(7)
    for life in range(10):
        process = programs.start("write_for_ever", path, life)
        assert process.stdout
        for _ in range(chance.randrange(1, 200)):
            _note(acknowledged, process.stdout.readline())
        process.kill()
        for line in process.stdout:
            _note(acknowledged, line)
        process.communicate()
    log = SqliteLog(path)
    events = read_events(log, "session:a")
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    kept = {event.id: event.seq for event in events}
    assert len(kept) == len(events)
    assert {event_id: kept.get(event_id) for event_id in acknowledged} == acknowledged
    assert len(acknowledged) > 100
    assert programs.query(path, "PRAGMA integrity_check") == [("ok",)]
    log.close()


def _note(acknowledged: dict[str, int], line: str) -> None:
    if line.endswith("\n"):  # one that was cut by the kill says nothing
        event_id, seq = line.split()
        acknowledged[event_id] = int(seq)


def test_a_wal_that_was_cut_keeps_every_commit_before_the_cut(path: Path, tmp_path: Path) -> None:
    log = SqliteLog(path, checkpoint_bytes=1 << 40)
    wal = path.with_name("log.db-wal")
    chance = random.Random(11)
    ends: list[tuple[int, int]] = [(0, 0)]  # of the WAL and of the stream, after each commit
    while len(ends) < 40:
        (*_, last) = log.append([new(number) for number in range(chance.choice([1, 5, 50]))])
        ends.append((wal.stat().st_size, last.seq))
    for attempt in range(20):
        cut = chance.randrange(wal.stat().st_size)
        folder = tmp_path / str(attempt)
        folder.mkdir()
        shutil.copy(path, folder / "log.db")
        (folder / "log.db-wal").write_bytes(wal.read_bytes()[:cut])
        reopened = SqliteLog(folder / "log.db")
        acknowledged = max(seq for size, seq in ends if size <= cut)
        events = read_events(reopened, "session:a")
        assert [event.seq for event in events] == list(range(1, acknowledged + 1))
        assert reopened.append([new(1)])[0].seq == acknowledged + 1
        reopened.close()
    log.close()


@pytest.mark.needs("strace")
def test_the_wal_is_synced_before_the_acknowledgement(path: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    calls = "trace=write,pwrite64,fsync,fdatasync"
    prefix = ("strace", "-f", "-y", "-s", "32", "-e", calls, "-o", str(trace))
    process = programs.start("acknowledge_one", path, prefix=prefix)
    assert process.communicate(timeout=60)[0] == "acknowledged\n"
    lines = trace.read_text().splitlines()
    acknowledged = next(number for number, line in enumerate(lines) if '"acknowledged' in line)
    before = lines[:acknowledged]
    written = max(
        number for number, line in enumerate(before) if re.search(r"pwrite64\(\d+<[^>]*-wal>", line)
    )
    synced = [line for line in before[written:] if re.search(r"f(data)?sync\(\d+<[^>]*-wal>", line)]
    assert synced
    assert all(line.rstrip().endswith("= 0") for line in synced)


def test_what_waits_is_committed_at_exit(path: Path) -> None:
    process = programs.start("end_with_a_queue", path)
    process.communicate(timeout=30)
    assert process.returncode == 0
    log = SqliteLog(path)
    assert numbers(read_events(log, "session:a")) == list(range(200))
    log.close()


# --- forks ----------------------------------------------------------------------------------------


def test_a_forked_child_goes_on_by_itself(path: Path) -> None:
    log = SqliteLog(path)
    heard = Heard()
    log.watch(heard)
    log.append([new(1)])
    child = _fork(lambda: _assert_child(log))
    log.append([new(2)])
    assert _exit_code(child) == 0
    log.append([new(3)])
    events = read_all_events(log)
    assert Counter(numbers(events)) == Counter([1, 2, 3, 100, 101])
    assert events_of(heard.until(log.head().offset)) == events
    log.close()


def _assert_child(log: SqliteLog) -> None:
    heard = Heard()
    log.watch(heard)
    assert log.append([new(100)])[0].seq >= 2
    log.append([new(101)])
    assert {100, 101} <= set(numbers(events_of(heard.until(log.head().offset))))
    assert log.statistics().appended_events == 2
    log.close()


def test_a_child_loses_nothing_when_the_parent_closes(path: Path) -> None:
    """SQLite alone loses the child's commits here: it takes the inherited locks for its own."""
    log = SqliteLog(path)
    log.append([new(1)])
    to_parent, to_child = os.pipe(), os.pipe()

    def child() -> None:
        log.append([new(2)])
        os.write(to_parent[1], b".")
        os.read(to_child[0], 1)
        log.append([new(3)])
        log.close()

    process = _fork(child)
    os.read(to_parent[0], 1)
    log.close()
    os.write(to_child[1], b".")
    assert _exit_code(process) == 0
    again = SqliteLog(path)
    assert numbers(read_all_events(again)) == [1, 2, 3]
    again.close()


def test_what_the_parent_has_queued_is_not_done_by_the_child(path: Path) -> None:
    log = SqliteLog(path)
    log.append([new(1)])
    with programs.write_lock(path):
        waiting = log.append_soon([new(2)])
        child = _fork(lambda: None)
        assert _exit_code(child) == 0
        assert not waiting.done()
    assert waiting.result(10)[0].seq == 2
    assert numbers(read_all_events(log)) == [1, 2]
    log.close()


def test_many_forks_under_load(path: Path) -> None:
    log = SqliteLog(path)
    futures = []
    children = []
    for number in range(8):
        futures += [log.append_soon([new(number)]) for _ in range(50)]
        children.append(_fork(lambda: log.append([new(1000)])))
        log.read("session:a")
    assert [_exit_code(child) for child in children] == [0] * 8
    for future in futures:
        future.result(10)
    assert [event.seq for event in read_events(log, "session:a")] == list(range(1, 409))
    log.close()


def _fork(act) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        signal.alarm(20)
        act()
        code = 0
    finally:
        os._exit(code)


def _exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
