"""A storm: writers that come and are killed, checkpoints all the time, readers and a watcher who look on."""

import random
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.log import programs

from runcast.log.conformance.support import Heard, events_of, read_events
from runcast.log.sqlite import SqliteLog

STORM_S = 60
WRITERS = 4


@pytest.mark.soak
@pytest.mark.timeout(STORM_S + 120)
def test_a_storm_of_writers_that_are_killed_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = SqliteLog(path, checkpoint_bytes=200_000)
    heard = Heard()
    log.watch(heard)
    acknowledged: list[str] = []
    threads: list[threading.Thread] = []
    writers: list[subprocess.Popen[str]] = []

    def start() -> None:
        process = programs.start("write_for_ever", path, f"life{len(threads)}", 100_000)
        thread = threading.Thread(target=_collect, args=(process, acknowledged))
        thread.start()
        threads.append(thread)
        writers.append(process)

    chance = random.Random(5)
    until = time.monotonic() + STORM_S
    while time.monotonic() < until:
        while len(writers) < WRITERS:
            start()
        log.read_all(None, None)
        time.sleep(chance.uniform(0, 1))
        writers.pop(chance.randrange(WRITERS)).kill()
    for process in writers:
        process.kill()
    for thread in threads:
        thread.join()
    events = read_events(log, "session:a")
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert Counter(acknowledged) <= Counter(event.id for event in events)
    assert events_of(heard.until(log.head().offset)) == events
    assert path.with_name("log.db-wal").stat().st_size < 4_000_000
    log.close()
    assert programs.query(path, "PRAGMA integrity_check") == [("ok",)]


def _collect(process: subprocess.Popen[str], acknowledged: list[str]) -> None:
    with process:
        assert process.stdout
        acknowledged.extend(line.split()[0] for line in process.stdout if line.endswith("\n"))
