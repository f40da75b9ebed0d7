"""One append by a process that ends right after: what it stores is as good as what the log itself does."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.log.programs import query, write_lock

from runcast.errors import Busy, LogCorrupt, LogError, LogReadOnly
from runcast.log.conformance.support import Heard, events_of, new, read_events
from runcast.log.sqlite import SqliteLog
from runcast.log.sqlite.once import LONG_WAL_BYTES, LogOnce


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "log.db"


def append(path: Path, *numbers: int, patience_s: float = 5.0) -> list[tuple[int, bool]]:
    once = LogOnce(path, patience_s)
    try:
        stored = once.append([new(number, event_id=f"e{number}") for number in numbers])
        return [(one.seq, one.duplicate) for one in stored]
    finally:
        once.close()


def test_it_makes_the_log_and_goes_on_where_others_were(path: Path) -> None:
    assert append(path, 1, 2) == [(1, False), (2, False)]
    log = SqliteLog(path)
    heard = Heard()
    log.watch(heard)
    log.append([new(3, event_id="e3")])
    assert append(path, 4, 2) == [(4, False), (2, True)]
    log.append([new(5, event_id="e5")])
    records = heard.until_true(lambda records: len(events_of(records)) == 3)
    assert [event.id for event in events_of(records)] == ["e3", "e4", "e5"]
    assert [event.seq for event in read_events(log, "session:a")] == [1, 2, 3, 4, 5]
    log.close()


def test_it_gives_up_on_a_locked_file_in_time(path: Path) -> None:
    append(path, 1)
    with write_lock(path):
        begun = time.monotonic()
        with pytest.raises(Busy):
            append(path, 2, patience_s=0.02)
        assert time.monotonic() - begun < 5
    assert append(path, 3) == [(2, False)]


def test_all_or_none(path: Path) -> None:
    once = LogOnce(path, 5.0)
    with pytest.raises(UnicodeEncodeError):
        once.append([new(1, event_id="e1"), new(2, event_id="\ud83d")])
    assert [one.seq for one in once.append([new(3)])] == [1]
    once.close()
    assert query(path, "SELECT count(*) FROM events") == [(1,)]


def test_what_cannot_be_a_log_is_a_clear_error(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all " * 1_000)
    with pytest.raises(LogCorrupt):
        append(path, 1)
    with pytest.raises(LogError):
        append(Path("/proc/nothing/log.db"), 1)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anything")
def test_a_file_that_may_only_be_read(path: Path) -> None:
    append(path, 1)
    path.chmod(0o400)
    with pytest.raises(LogReadOnly):
        append(path, 2)


def test_a_process_that_leaves_without_closing_loses_nothing(path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path\n"
        "from runcast.log.conformance.support import new\n"
        "from runcast.log.sqlite.once import LogOnce\n"
        "once = LogOnce(Path(sys.argv[1]), 5.0)\n"
        "once.append([new(int(sys.argv[2]), event_id=sys.argv[2], data=b'{\"t\":\"%s\"}' % (b'x' * 100_000))])\n"
        "if once.is_long: once.close()\n"
        "os._exit(0)"
    )
    wal = path.with_name("log.db-wal")
    for number in range(15):
        subprocess.run([sys.executable, "-c", program, str(path), str(number)], check=True)
        assert not wal.exists() or wal.stat().st_size < 2 * LONG_WAL_BYTES
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert query(path, "SELECT count(*), max(seq) FROM events") == [(15, 15)]
