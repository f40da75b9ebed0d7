"""Whoever seals or clears a stream takes the leases of its runner and of who works for it, in the same commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.log.programs import write_lock
from tests.support.redis_server import RedisServer

from runcast.core.event import NewEvent
from runcast.errors import StaleToken
from runcast.log.base import EventLog
from runcast.log.memory import MemoryLog
from runcast.log.redis import RedisLog
from runcast.log.rules import ROLES, lease_name
from runcast.log.sqlite import SqliteLog
from runcast.log.sqlite.jobs import StreamJob

STREAM = "job:a"
NEEDS_REDIS = pytest.mark.needs("redis-server")


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(
    params=["memory", "sqlite", *(pytest.param(name, marks=NEEDS_REDIS) for name in ("redis", "partitions"))]
)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    if request.param == "memory":
        log: EventLog = MemoryLog()
    elif request.param == "sqlite":
        log = SqliteLog(tmp_path / "log.db")
    else:
        redis: RedisServer = request.getfixturevalue("redis")
        redis.client.flushall()
        log = RedisLog(redis.url, partitions=1 if request.param == "redis" else 7)
    yield log
    log.close()


def new(stream: str = STREAM) -> NewEvent:
    return NewEvent(stream, "step", b"{}", 1)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("change", ["end", "clear"])
def test_its_runner_writes_no_more_and_the_lease_is_free(log: EventLog, change: str, role: str) -> None:
    log.append([new(), new("job:b")])
    lease = log.acquire(lease_name(STREAM, role), "me", 100)
    other = log.acquire(lease_name("job:b", role), "me", 100)
    assert lease
    assert other
    getattr(log, change)(STREAM)
    with pytest.raises(StaleToken):
        log.append([new()], lease=lease)
    log.append([new("job:b")], lease=other)
    next_one = log.acquire(lease_name(STREAM, role), "you", 100)
    assert next_one
    assert next_one.token > lease.token
    log.release(lease)
    log.append([new()], lease=next_one)
    assert log.info(STREAM).head == 1  # of the new run


def test_in_one_commit_what_comes_after_the_change_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = SqliteLog(path)
    log.append([new()])
    lease = log.acquire(lease_name(STREAM), "me", 100)
    commits = log.statistics().commits
    with write_lock(path):  # so that these wait, and go into one commit
        before = log.append_soon([new()], lease=lease)
        end = log._writer.submit(StreamJob(lambda ledger: ledger.end(STREAM), (STREAM,)))
        after = log.append_soon([new()], lease=lease)
    assert before.result().pop().seq == 2
    assert end.result().ended
    assert isinstance(after.exception(), StaleToken)
    assert log.statistics().commits - commits <= 2
    log.close()


def test_what_was_queued_behind_the_change_is_refused_and_what_is_sealed_stays_so(log: EventLog) -> None:
    log.append([new()])
    lease = log.acquire(lease_name(STREAM), "me", 100)
    before = log.append_soon([new()], lease=lease)
    log.end(STREAM)
    after = log.append_soon([new()], lease=lease)
    assert before.result().pop().seq == 2
    assert isinstance(after.exception(), StaleToken)
    young = log.acquire(lease_name(STREAM), "you", 100)
    assert young
    log.end(STREAM)  # does nothing: neither does it take the lease
    log.append([new()], lease=young)
