"""What a log sends again, because no answer came, happens once, though Redis hears it several times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.redis_server import RedisServer
from tests.support.server import WAIT_S, in_background, wait_until

from runcast.log.base import Change
from runcast.log.conformance.support import Heard, controls_of, events_of, new, numbers, several
from runcast.log.redis import RedisLog

pytestmark = pytest.mark.needs("redis-server")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def log(server: RedisServer) -> Iterator[RedisLog]:
    log = RedisLog(server.url, timeout_s=0.1)
    log.append([new(stream="session:other")])
    log.clear("session:other")  # Redis knows the scripts now
    yield log
    log.close()


def send_again(server: RedisServer, log: RedisLog, act: Callable[[], None]) -> None:
    """Let Redis stand still until it has been asked three times; then it does all that has come."""
    retries = log.server.retries
    server.stop()
    with in_background(act):
        wait_until(lambda: log.server.retries >= retries + 2, "tries")
        server.go_on()


def test_a_commit(server: RedisServer, log: RedisLog) -> None:
    def act() -> None:
        log.append(several(3))

    send_again(server, log, act)
    assert numbers(log.read("session:a").events) == [1, 2, 3]
    assert numbers(log.read_all().events) == [1, 2, 3]


def test_a_clear(server: RedisServer, log: RedisLog) -> None:
    def act() -> None:
        log.clear("session:a")

    heard = Heard()
    log.watch(heard)
    log.append(several(3))
    send_again(server, log, act)
    log.append([new(4)])
    records = heard.until_true(lambda records: 4 in numbers(events_of(records)))
    assert [one.change for one in controls_of(records)] == [Change.CLEAR]
    assert numbers(log.read("session:a").events) == [4]


@pytest.mark.soak
def test_a_commit_that_replicas_must_have(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the master already when it is sent again, over another connection; the replica still has to have it."""
    monkeypatch.setattr("runcast.log.redis.server.REPLICAS_WAIT_MS", 100)
    with RedisServer(replicaof=f"127.0.0.1 {server.port}") as replica:
        wait_until(lambda: is_replicated(replica), "the replica")
        log = RedisLog(server.url, replicas=1, wait_s=20)
        replica.stop()
        future = log.append_soon([new(1)])
        wait_until(lambda: log.server.retries, "a try")
        server.client.execute_command("CLIENT KILL TYPE normal SKIPME yes")
        retries = log.server.retries
        wait_until(lambda: log.server.retries >= retries + 4 or future.done(), "more tries")
        assert not future.done()
        replica.go_on()
        (appended,) = future.result(WAIT_S)
        assert appended.seq == 1
        log.close()


def is_replicated(replica: RedisServer) -> bool:
    info: Any = replica.client.info("replication")
    return info["master_link_status"] == "up"
