"""A disk that is full, a file that is damaged, foreign, too new or not ours to write: each is said clearly."""

import os
import random
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.log.programs import query, write_lock

from runcast.errors import Busy, LogCorrupt, LogError, LogFull, LogReadOnly, LogTooNew
from runcast.log.conformance.support import Heard, events_of, new, numbers, read_events, several
from runcast.log.sqlite import SqliteLog
from runcast.log.sqlite import format as file_format
from runcast.log.sqlite.mounts import file_system, refuse_network

# Python 3.12 warns of every fork beside a thread; here the threads are the point.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@contextmanager
def mounted(folder: Path, options: str) -> Generator[None]:
    """A tmpfs at `folder`."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


# --- no space -------------------------------------------------------------------------------------


@pytest.mark.needs("tmpfs")
def test_a_full_disk_is_said_and_got_over(tmp_path: Path) -> None:
    with mounted(tmp_path, "size=2m"):
        log = SqliteLog(tmp_path / "log.db")
        heard = Heard()
        log.watch(heard)
        ballast = tmp_path / "ballast"
        ballast.write_bytes(bytes(1_000_000))
        stored = 0
        with pytest.raises(LogFull, match=str(tmp_path)):
            while stored < 1_000:
                log.append([new(stored, data=b'{"n":"%s"}' % (b"a" * 5_000))])
                stored += 1
        with pytest.raises(LogFull):
            log.append(several(1_000))
        assert len(read_events(log, "session:a")) == stored
        ballast.unlink()
        assert log.append([new(1)])[0].seq == stored + 1
        assert [event.seq for event in read_events(log, "session:a")] == list(range(1, stored + 2))
        assert len(heard.until(log.head().offset)) == stored + 1
        log.close()


def test_a_file_that_may_not_grow_fails_only_what_waits(path: Path) -> None:
    """A limit on the size of files makes the write fail as on a full disk, without one."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            log = SqliteLog(path)
            log.append([new(1)])
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
            with pytest.raises(LogError):
                log.append([new(2, data=b'{"n":"%s"}' % (b"a" * 300_000))])
            assert log.append([new(3)])[0].seq == 2
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    log = SqliteLog(path)
    assert numbers(read_events(log, "session:a")) == [1, 3]
    log.close()


# --- not ours to write ----------------------------------------------------------------------------


@pytest.mark.needs("tmpfs")
def test_a_log_on_a_read_only_disk_can_be_read(tmp_path: Path) -> None:
    with mounted(tmp_path, "size=4m"):
        path = tmp_path / "log.db"
        log = SqliteLog(path)
        log.append(several(3))
        log.close()
        subprocess.run(["mount", "-o", "remount,ro", tmp_path], check=True)
        log = SqliteLog(path)
        assert numbers(read_events(log, "session:a")) == [1, 2, 3]
        log.watch(lambda _: None)
        for write in (
            lambda: log.append([new(4)]),
            lambda: log.end("session:a"),
            lambda: log.acquire("a", "b", 1),
        ):
            with pytest.raises(LogReadOnly, match=str(path)):
                write()
        log.close()
        with pytest.raises(LogReadOnly, match=str(tmp_path)):
            SqliteLog(tmp_path / "another.db")
        with pytest.raises(LogReadOnly, match=str(tmp_path)):
            SqliteLog(tmp_path / "folder" / "another.db")


@pytest.mark.needs("tmpfs")
def test_a_crashed_log_on_a_read_only_disk_is_not_read_wrongly(tmp_path: Path) -> None:
    with mounted(tmp_path, "size=4m"):
        live, path = tmp_path / "live.db", tmp_path / "log.db"
        log = SqliteLog(live)
        log.append(several(3))
        shutil.copy(live, path)
        shutil.copy(f"{live}-wal", f"{path}-wal")
        log.close()
        subprocess.run(["mount", "-o", "remount,ro", tmp_path], check=True)
        with pytest.raises(LogReadOnly, match="files beside it"):
            SqliteLog(path)


# --- not a log ------------------------------------------------------------------------------------


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_bytes(b"these are my notes, not a log\n" * 100)
    with pytest.raises(LogCorrupt, match=str(path)):
        SqliteLog(path)
    assert path.read_bytes().startswith(b"these are my notes")


def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    query(path, "CREATE TABLE accounts (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(LogCorrupt, match="another program"):
        SqliteLog(path)
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*-wal"))


def test_an_empty_file_becomes_a_log(path: Path) -> None:
    path.touch()
    log = SqliteLog(path)
    log.append([new(1)])
    log.close()


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="folder"):
        SqliteLog(tmp_path)


def test_the_folder_is_made(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "a" / "b" / "log.db")
    assert log.url == f"sqlite:///{tmp_path}/a/b/log.db"
    log.close()


def test_a_damaged_file_is_said_to_be_damaged(path: Path) -> None:
    log = SqliteLog(path)
    log.append([new(number, data=b'{"n":"%s"}' % (b"a" * 2_000)) for number in range(300)])
    log.close()
    content = bytearray(path.read_bytes())
    chance = random.Random(3)
    content[8_192:] = chance.randbytes(len(content) - 8_192)
    path.write_bytes(content)
    with pytest.raises(LogCorrupt, match=str(path)):
        log = SqliteLog(path)
        read_events(log, "session:a")
        log.append([new(1)])
    log.close()


# --- formats --------------------------------------------------------------------------------------


def test_a_newer_format_is_refused(path: Path) -> None:
    SqliteLog(path).close()
    query(path, "PRAGMA user_version = 7")
    with pytest.raises(LogTooNew, match=r"format 7.* up to 1\b"):
        SqliteLog(path)


def test_an_older_format_is_migrated_in_one_transaction(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = SqliteLog(path)
    log.append(several(3))
    log.close()

    def add_column(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE runs ADD COLUMN note TEXT")

    def fill_column(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE runs SET note = 'migrated'")

    def fail(connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("a fault in a migration, on purpose")

    _migrations(monkeypatch, [add_column, fail])
    with pytest.raises(LogError, match="on purpose"):
        SqliteLog(path)
    assert _format(path) == 1
    _migrations(monkeypatch, [add_column, fill_column])
    log = SqliteLog(path)
    assert numbers(read_events(log, "session:a")) == [1, 2, 3]
    log.close()
    assert _format(path) == 3
    assert query(path, "SELECT DISTINCT note FROM runs") == [("migrated",)]
    _migrations(monkeypatch, [])
    with pytest.raises(LogTooNew, match=r"format 3.* up to 1\b"):
        SqliteLog(path)


def _migrations(monkeypatch: pytest.MonkeyPatch, migrations: list[file_format.Migration]) -> None:
    monkeypatch.setattr(file_format, "MIGRATIONS", migrations)


def _format(path: Path) -> int:
    return query(path, "PRAGMA user_version")[0][0]


def test_the_schema_is_split_into_statements() -> None:
    script = "CREATE TABLE a (x); -- one; two\nCREATE TABLE b (\n  y TEXT DEFAULT ';'\n);\n"
    assert len(list(file_format.statements(script))) == 2


# --- locks ----------------------------------------------------------------------------------------


def test_a_lock_that_stays_is_busy_and_nothing_is_stored(path: Path) -> None:
    log = SqliteLog(path, busy_deadline_s=0.2)
    log.append([new(1)])
    with write_lock(path):
        with pytest.raises(Busy, match=str(path)):
            log.append([new(2)])
        with pytest.raises(Busy):
            log.end("session:a")
        assert numbers(read_events(log, "session:a")) == [1]
    log.append([new(3)])
    assert numbers(read_events(log, "session:a")) == [1, 3]
    log.close()


def test_while_locked_out_a_watcher_hears_of_the_one_who_locks(path: Path) -> None:
    log = SqliteLog(path)
    heard = Heard()
    log.watch(heard)
    other = sqlite3.connect(path, isolation_level=None)
    writer = SqliteLog(path)
    (first,) = writer.append([new(1)])
    other.execute("BEGIN IMMEDIATE")
    waiting = log.append_soon([new(2)])
    assert numbers(events_of(heard.until(first.position))) == [1]
    assert not waiting.done()
    other.execute("ROLLBACK")
    other.close()
    assert waiting.result(10)[0].seq == 2
    writer.close()
    log.close()


def test_many_may_open_a_new_file_at_once(path: Path) -> None:
    children = []
    for _ in range(6):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                log = SqliteLog(path)
                log.append([new(1)])
                log.close()
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 6
    log = SqliteLog(path)
    assert log.info("session:a").head == 6
    log.close()


# --- network mounts -------------------------------------------------------------------------------

MOUNTS = """\
/dev/vda / ext4 rw,relatime 0 0
server:/home /home nfs4 rw 0 0
/dev/vdb /home/local\\040disk ext4 rw 0 0
user@host: /mnt/far fuse.sshfs rw 0 0
share /mnt/share 9p rw 0 0
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/var/log.db", "ext4"),
        ("/home/me/log.db", "nfs4"),
        ("/home/local disk/log.db", "ext4"),
        ("/homely/log.db", "ext4"),
        ("/mnt/far/log.db", "fuse.sshfs"),
        ("/mnt/share/deep/down/log.db", "9p"),
    ],
)
def test_a_network_mount_is_refused(tmp_path: Path, place: str, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert file_system(Path(place), mounts) == kind
    if kind == "ext4":
        refuse_network(Path(place), mounts)
    else:
        with pytest.raises(LogError, match="local disk"):
            refuse_network(Path(place), mounts)


def test_where_mounts_are_not_listed_nothing_is_refused(tmp_path: Path) -> None:
    refuse_network(tmp_path, tmp_path / "none")
