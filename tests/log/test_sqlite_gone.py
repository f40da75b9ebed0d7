"""A log whose file is removed or replaced while it is open: nothing is acknowledged that could not be read again."""

from pathlib import Path

import pytest

from runcast.core.event import NewEvent
from runcast.errors import LogGone
from runcast.log.sqlite import SqliteLog


def event(number: int) -> NewEvent:
    return NewEvent(stream="job:1", type="step", data=b"{}", time=number)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def remove(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def test_a_log_that_was_removed_acknowledges_nothing(path: Path) -> None:
    log = SqliteLog(path)
    log.append([event(1)])
    remove(path)
    for _ in range(2):
        with pytest.raises(LogGone, match="Restart"):
            log.append([event(2)])
        with pytest.raises(LogGone):
            log.read("job:1")
    log.close()


def test_a_log_that_was_replaced_acknowledges_nothing(path: Path) -> None:
    log = SqliteLog(path)
    log.append([event(1)])
    remove(path)
    other = SqliteLog(path)
    other.append([event(1), event(2)])
    with pytest.raises(LogGone):
        log.append([event(3)])
    assert other.info("job:1").head == 2
    other.close()
    log.close()


def test_a_log_that_was_moved_goes_on_when_it_is_back(path: Path) -> None:
    log = SqliteLog(path)
    log.append([event(1)])
    aside = path.with_name("aside.db")
    path.rename(aside)
    with pytest.raises(LogGone):
        log.append([event(2)])
    aside.rename(path)
    assert log.append([event(2)])[0].seq == 2
    log.close()
