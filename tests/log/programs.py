"""Small programs that tests run as processes of their own: `python -m tests.log.programs NAME ARGUMENT…`.

They say on stdout, line by line, what was acknowledged to them; a test may kill them at any moment.
"""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from runcast.log.base import Control, Record
from runcast.log.conformance.support import Heard, events_of, new
from runcast.log.sqlite import SqliteLog

ROOT = Path(__file__).resolve().parents[2]


def start(program: str, *arguments: object, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Run a program of this module."""
    command = [*prefix, sys.executable, "-m", "tests.log.programs", program, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def query(path: str | Path, sql: str) -> list[Any]:
    """Look into the file, or change it, behind the log's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(sql).fetchall()


@contextmanager
def write_lock(path: Path) -> Generator[None]:
    """Have another process hold the write lock of the file."""
    process = start("hold_write_lock", path)
    assert process.stdout
    assert process.stdout.readline() == "locked\n"
    try:
        yield
    finally:
        process.communicate()


def say(*words: object) -> None:
    print(*words, flush=True)


def write_for_ever(path: str, name: str, checkpoint_bytes: str = "4000000") -> None:
    """Append single events and batches of 5 and 50; say each id that was acknowledged, with its seq."""
    log = SqliteLog(path, checkpoint_bytes=int(checkpoint_bytes))
    for batch in count():
        size = (1, 5, 50)[batch % 3]
        events = [new(number, event_id=f"{name}-{batch}-{number}") for number in range(size)]
        for appended in log.append(events):
            say(appended.id, appended.seq)


def acknowledge_one(path: str) -> None:
    """Append one event, then say so."""
    log = SqliteLog(path)
    log.append([new(1)])
    say("acknowledged")
    log.close()


def write_and_watch(path: str, name: str, own: str, total: str) -> None:
    """Append `own` events to a stream that others write too, until `total` were heard of; say what was heard."""
    log = SqliteLog(path)
    heard = Heard()
    log.watch(heard)
    say("ready")
    sys.stdin.readline()
    futures = [log.append_soon([new(number, event_id=f"{name}-{number}")]) for number in range(int(own))]
    seqs = [future.result(30)[0].seq for future in futures]
    heard.until_true(lambda records: len(events_of(records)) >= int(total))
    say(json.dumps({"seqs": seqs, "heard": [_brief(record) for record in heard.records]}))
    log.close()


def end_with_a_queue(path: str) -> None:
    """Leave without `close`, while events wait for their commit."""
    log = SqliteLog(path)
    for number in range(200):
        log.append_soon([new(number)])


def hold_write_lock(path: str) -> None:
    """Lock the file until stdin is closed."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    say("locked")
    sys.stdin.read()
    connection.close()


def _brief(record: Record) -> tuple[int, str, int | str]:
    what = str(record.change) if isinstance(record, Control) else record.seq
    return record.position, record.epoch, what


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
