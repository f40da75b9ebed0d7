"""What is particular to the log on Redis: URLs, ids in a window, caps, repeated commits, partitions, forks."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from tests.support.redis_server import RedisServer
from tests.support.server import wait_until

from runcast.errors import Busy, ConfigError, LogError, StaleToken
from runcast.log.base import Appended, Change
from runcast.log.conformance.support import (
    Heard,
    VirtualClock,
    controls_of,
    events_of,
    new,
    numbers,
    read_all_events,
    read_events,
    several,
)
from runcast.log.open import open_log
from runcast.log.redis import RedisLog
from runcast.log.redis.address import read_address
from runcast.log.redis.commit import Batch, Commit
from runcast.log.redis.partitions import Partitions
from runcast.log.redis.store import append_arguments
from runcast.log.rules import lease_name

pytestmark = pytest.mark.needs("redis-server")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return request.node.name


def fault_of(url: str) -> str:
    with pytest.raises(ConfigError) as caught:
        open_log(url)
    return str(caught.value)


def test_urls() -> None:
    address, options = read_address("redis://me:s%40crit@example.org:7000/2?name=x&wait_s=0")
    assert (address.hosts, address.username, address.password) == (
        (("example.org", 7000),),
        "me",
        "s@crit",
    )
    assert (address.database, options) == (2, {"name": "x", "wait_s": "0"})
    assert address.url == "redis://example.org:7000/2"
    address, _ = read_address("rediss+sentinel://a,b:7000,[::1]/main/3?ssl_ca_certs=/ca.pem")
    assert address.hosts == (("a", 26379), ("b", 7000), ("::1", 26379))
    assert (address.service, address.database) == ("main", 3)
    assert address.tls == {"ssl": True, "ssl_ca_certs": "/ca.pem"}
    address, _ = read_address("redis+cluster://a:1,b")
    assert address.is_cluster
    assert address.hosts == (("a", 1), ("b", 6379))


def test_what_a_url_cannot_say_is_said() -> None:
    assert "redis+cluster" in fault_of("redis://a,b")
    assert "NAME" in fault_of("redis+sentinel://a,b")
    assert "no database x" in fault_of("redis://a/x")
    assert "wait" in fault_of("redis://a?wait=3")
    assert "id_window" in fault_of("redis://a?id_window=0")
    assert "braces" in fault_of("redis://a?name={x}")


def test_a_url_opens_a_log_and_the_log_names_it_again(server: RedisServer, name: str) -> None:
    log = open_log(f"{server.url}?name={name}", queue_bytes=1_000_000)
    log.append([new(1)])
    again = open_log(log.url)
    assert (again.epoch, again.info("session:a").head) == (log.epoch, 1)
    log.close()
    again.close()


def test_logs_of_other_names_are_apart(server: RedisServer, name: str) -> None:
    one, other = (RedisLog(server.url, name=f"{name}{number}") for number in range(2))
    one.append(several(3))
    assert other.streams() == []
    assert one.epoch != other.epoch
    one.close()
    other.close()


def test_the_newest_ids_are_known(server: RedisServer, name: str) -> None:
    log = RedisLog(server.url, name=name, id_window=100)
    for first in range(0, 350, 50):
        log.append([new(number, event_id=f"e{number}") for number in range(first, first + 50)])
    again = log.append([new(number, event_id=f"e{number}") for number in range(250, 350)])
    assert all(one.duplicate for one in again), "the window is 100 at least"
    assert not log.append([new(1, event_id="e1")])[0].duplicate, "and 200 at most"
    keys = server.client.keys(f"{{{name}:0}}:d*")
    assert sum(server.client.hlen(key) for key in keys) <= 200
    log.close()


def test_a_stream_may_have_a_cap(server: RedisServer, name: str) -> None:
    log, heard = RedisLog(server.url, name=name, max_events=100), Heard()
    log.watch(heard)
    for first in range(1, 1001, 50):
        last = log.append(several(50, first=first))[-1]
    info = log.info("session:a")
    assert 100 <= info.head - info.oldest + 1 <= 113
    assert numbers(read_events(log, "session:a"))[-1] == 1000
    heard.until_true(lambda records: len(events_of(records)) == 1000)
    trims = controls_of(heard.records)
    assert {one.change for one in trims} == {Change.TRIM}
    assert trims[-1].oldest == info.oldest
    key = f"{{{name}:0}}:e:session:a:{last.epoch}"
    wait_until(lambda: log.sweep(idle_since=0) == 0)
    assert server.client.xlen(key) == info.head - info.oldest + 1
    assert server.client.xlen(f"{{{name}:0}}:x:session") <= 3, "the firehose forgets what was trimmed"
    log.close()


def test_a_swept_log_leaves_next_to_nothing(server: RedisServer, name: str) -> None:
    log = RedisLog(server.url, name=name)
    for number in range(20):
        log.append(several(30, stream=f"session:{number}"))
    log.clear("session:3")
    log.trim("session:4", keep=7)
    wait_until(lambda: log.sweep(idle_since=1 << 60, limit=50) == 0)
    assert log.streams() == []
    keys: Any = server.client.keys(f"{{{name}:0}}:*")
    left = {key.decode().partition("}:")[2] for key in keys}
    assert {one for one in left if not one.startswith("w:")} <= {"g", "k", "x:session", "x:!"}
    assert server.client.xlen(f"{{{name}:0}}:x:session") == 0
    log.close()


def test_a_commit_that_is_sent_again_is_stored_once(server: RedisServer, name: str) -> None:
    log = RedisLog(server.url, name=name)
    commit = Commit([Batch(several(3))])
    arguments = append_arguments(log.server, 0, "writer", 1, commit)
    first = log.server.call("append", 0, *arguments)
    assert log.server.call("append", 0, *arguments) == first
    assert numbers(read_events(log, "session:a")) == [1, 2, 3]
    later = append_arguments(log.server, 0, "writer", 2, Commit([Batch([new(4)])]))
    log.server.call("append", 0, *later)
    with pytest.raises(LogError, match="LATE"):
        log.server.call("append", 0, *arguments)
    log.close()


def test_a_reserved_position_that_nobody_uses_keeps_back_nobody(server: RedisServer, name: str) -> None:
    log = RedisLog(server.url, name=name, partitions=3)
    heard = Heard()
    log.watch(heard)
    Partitions(log.server).reserve(5, 0)  # and its writer dies
    (last,) = log.append([new(1)])
    assert numbers(events_of(heard.until(last.position))) == [1]
    assert log.head().offset >= last.position
    assert numbers(read_all_events(log)) == [1]
    log.close()


def test_a_writer_that_comes_too_late_for_its_positions_takes_others(server: RedisServer, name: str) -> None:
    log = RedisLog(server.url, name=name, partitions=2)
    commit = Commit([Batch(several(2))])
    partition = log.server.partition_of("session:a")
    first = Partitions(log.server).reserve(2, 0)
    log.append([new(7)])
    late = append_arguments(log.server, 0, "late", 1, commit, first, 2)
    with pytest.raises(LogError, match="BEHIND"):
        log.server.call("append", partition, *late)
    log.append([new(8)])
    assert numbers(read_all_events(log)) == [7, 8]
    log.close()


def test_without_a_firehose_streams_are_followed_one_by_one(server: RedisServer, name: str) -> None:
    log = RedisLog(server.url, name=name, partitions=3, firehose=False)
    other = RedisLog(server.url, name=name)
    heard = Heard()
    other.watch(heard)
    for number in range(1, 31):
        log.append([new(number, stream=f"session:{number % 6}")])
    records = heard.until_true(lambda records: len(records) == 30)
    for stream in range(6):
        own = [one for one in events_of(records) if one.stream == f"session:{stream}"]
        assert [one.seq for one in own] == [1, 2, 3, 4, 5]
        assert [one.position for one in own] == sorted(one.position for one in own)
    assert [info.stream for info in log.recent(limit=2)] == ["session:0", "session:5"]
    for call in (log.read_all, log.head):
        with pytest.raises(LogError, match="without a firehose"):
            call()
    log.close()
    other.close()


def test_a_queue_that_is_full_says_so(server: RedisServer, name: str) -> None:
    log = RedisLog(server.url, name=name, queue_bytes=10_000, wait_s=5)
    server.stop()
    futures: list[Future[list[Appended]]] = []
    with pytest.raises(Busy):
        futures.extend(log.append_soon([new(1)]) for _ in range(20))
    server.go_on()
    assert all(future.result(10) for future in futures)
    log.close()


def test_a_fork_goes_on_by_itself(server: RedisServer, name: str) -> None:
    log, heard = RedisLog(server.url, name=name), Heard()
    log.watch(heard)
    log.append([new(1)])
    child = os.fork()
    if not child:
        status = 1
        try:
            log.append([new(2)])
            log.append_soon([new(3)]).result(5)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    (last,) = log.append([new(4)])
    assert numbers(events_of(heard.until(last.position))) == [1, 2, 3, 4]
    log.close()


def test_appends_of_many_threads_and_logs_have_one_order(server: RedisServer, name: str) -> None:
    logs = [RedisLog(server.url, name=name, partitions=4) for _ in range(3)]
    heard = [Heard() for _ in logs]
    for log, one in zip(logs, heard, strict=True):
        log.watch(one)

    def publish(log: RedisLog, number: int) -> None:
        for count in range(40):
            log.append([new(count, stream=f"session:{(count + number) % 7}"), new(count, stream="chat:a")])

    threads = [
        threading.Thread(target=publish, args=(log, 2 * index + half))
        for index, log in enumerate(logs)
        for half in (0, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for one in heard:
        one.until_true(lambda records: len(records) >= 480)
        positions = [record.position for record in one.records]
        assert positions == sorted(set(positions))
    assert heard[0].records == heard[1].records == heard[2].records == read_all_events(logs[0])
    for log in logs:
        log.close()


@pytest.mark.parametrize("partitions", [1, 5])
def test_who_seals_or_clears_a_stream_takes_its_runners_lease(
    server: RedisServer, name: str, partitions: int
) -> None:
    log = RedisLog(server.url, name=name, partitions=partitions)
    for change in ("end", "clear"):
        log.append([new(1)])
        lease = log.acquire(lease_name("session:a"), "me", 100)
        other = log.acquire(lease_name("chat:b"), "me", 100)
        assert lease
        assert other
        before = log.append_soon([new(2)], lease=lease)
        getattr(log, change)("session:a")
        after = log.append_soon([new(3)], lease=lease)
        assert before.result()[0].seq == 2
        assert isinstance(after.exception(), StaleToken)
        log.append([new(4, stream="chat:b")], lease=other)
        young = log.acquire(lease_name("session:a"), "you", 100)
        assert young
        assert young.token > lease.token
        log.append([new(5)], lease=young)
        assert log.renew([lease, young, other], 50) == [False, True, True]
        log.release(young)
        log.clear("session:a")
    log.close()


def test_a_renewed_lease_holds_on(server: RedisServer, name: str) -> None:
    clock = VirtualClock()
    log = RedisLog(server.url, name=name, clock=clock)
    lease = log.acquire("runner:job:a", "me", 10)
    assert lease
    clock.advance(8)
    assert log.renew([lease], 10) == [True]
    clock.advance(8)
    assert log.acquire("runner:job:a", "you", 10) is None
    clock.advance(3)
    assert log.acquire("runner:job:a", "you", 10)
    assert log.renew([lease], 10) == [False]
    assert log.renew([], 10) == []
    log.close()


def test_a_kind_of_which_nothing_is_left_is_forgotten(server: RedisServer, name: str) -> None:
    """Whoever reads all kinds asks for each, so made up ones must not stay for ever."""
    clock = VirtualClock()
    log = RedisLog(f"{server.url}?name={name}", clock=clock)
    for number in range(20):
        log.append([new(number, stream=f"made_up_{number}:a")])
    log.append([new(1)])
    (kinds,) = [key for key in server.client.scan_iter(f"*{name}*k") if server.client.type(key) == b"set"]
    assert server.client.scard(kinds) == 21
    clock.advance(3600)
    log.append([new(2)])
    while log.sweep(idle_since=clock.now - 1):
        pass
    assert server.client.smembers(kinds) == {b"session"}
    log.append([new(3, stream="made_up_3:a")])
    assert server.client.scard(kinds) == 2
    assert numbers(read_all_events(log)) == [1, 2, 3]
    log.close()
