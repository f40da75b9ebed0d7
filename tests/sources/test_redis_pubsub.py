"""Messages on Redis channels become events of tasks: once, though several nodes listen, and whatever else comes."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.runners import task_program
from tests.support.clients import open_ws, receive, rest_of
from tests.support.redis_server import RedisServer
from tests.support.server import wait_until
from tests.support.task_server import TaskServer

from runcast.config import Settings
from runcast.errors import ConfigError
from runcast.kinds.task import TASK
from runcast.live.bus import Bus
from runcast.log.open import open_configured
from runcast.sources import redis_pubsub
from runcast.sources.progress import ProgressPublisher
from runcast.sources.redis_echo import echo_for
from runcast.sources.redis_pubsub import check_url, follow_redis

pytestmark = pytest.mark.needs("redis-server")

_ids = count(1)
PROGRAM = task_program.__name__


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(redis: RedisServer, tmp_path: Path) -> Iterator[TaskServer]:
    with TaskServer(tmp_path / "log.db", runs=False, redis_url=redis.url, runner_lease_s=1.0) as server:
        wait_until(server.source.is_listening.is_set)
        yield server


@pytest.fixture
def task() -> str:
    return f"redis-{next(_ids)}"


def publish(redis: RedisServer, task: str, message: dict[str, Any] | bytes) -> int:
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    return redis.client.publish(f"agent_progress:{task}", payload)


def messages(server: TaskServer, task: str) -> list[str]:
    events = server.http.get(f"/api/v1/streams/task:{task}/events").json()
    return [event["data"]["message"] for event in events.get("events", [])]


def counted(server: TaskServer, name: str, number: int) -> None:
    wait_until(lambda: server.source.counts[name] >= number, f"{number} {name}: {server.source.counts}")


def test_a_foreign_message_is_heard_by_a_client(server: TaskServer, redis: RedisServer, task: str) -> None:
    with open_ws(server.task(task)) as ws:
        receive(ws)
        publish(
            redis,
            task,
            {
                "step": "scam_db",
                "tool": "scam_database",
                "message": "Checking database...",
                "percent": 40,
                "timestamp": "2025-10-18T10:30:02.500000",
                "error": False,
            },
        )
        frame = receive(ws)
        publish(redis, task, {"step": "completed", "message": "Done", "percent": 100})
        frames, code, _ = rest_of(ws)
    assert (frame["step"], frame["tool"], frame["percent"]) == ("scam_db", "scam_database", 40)
    assert frame["timestamp"] == "2025-10-18T10:30:02.500Z"
    assert (frames[-1]["step"], code) == ("completed", 1000)


def test_what_cannot_be_an_event_costs_nobody_else_anything(
    server: TaskServer, redis: RedisServer, task: str
) -> None:
    bad: list[bytes] = [
        b"not JSON",
        b"\xff\xfe",
        b"[1, 2]",
        b'{"percent": "40"}',
        b'{"percent": 101}',
        b'{"step": ""}',
        b'{"message": 5}',
        b"[" * 100_000,
        b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
        json.dumps({"message": "x", "blob": "x" * 600_000}).encode(),
    ]
    for payload in bad:
        publish(redis, task, payload)
    redis.client.publish("agent_progress:../etc", b'{"message": "x"}')
    redis.client.publish(b"agent_progress:\xff", b'{"message": "x"}')
    counted(server, "refused", len(bad) + 2)
    publish(redis, task, {"heartbeat": True})
    publish(redis, task, {"message": "good", "timestamp": "soon"})
    publish(redis, task, {"message": "good", "timestamp": "2999-01-01T00:00:00Z", "heartbeat": False})
    counted(server, "taken", 2)
    assert messages(server, task) == ["good", "good"]


def test_nobody_begins_or_changes_a_task_of_ours_from_there(
    tmp_path: Path, redis: RedisServer, task: str
) -> None:
    """Redis asks nobody who they are."""
    forged = {
        "task_type": "steps",
        "params": {"count": 1},
        "executor": "celery",
        "max_attempts": 9,
        "worker": "w",
    }
    with TaskServer(tmp_path / "log.db", load=(PROGRAM,), redis_url=redis.url, runner_lease_s=1.0) as server:
        wait_until(server.source.is_listening.is_set)
        publish(redis, task, {"step": "queued", **forged, "percent": 0})
        publish(redis, task, {"step": "started", **forged, "percent": 0, "due_at": 5, "note": "kept"})
        publish(redis, task, {"step": "task_command", "command": "cancel"})
        counted(server, "refused", 1)
        counted(server, "taken", 2)
        state = server.get(f"/api/v1/tasks/{task}")
        assert (state["type"], state["executor"], state["worker"], state["max_attempts"]) == (None,) * 4
        events = server.http.get(f"/api/v1/streams/task:{task}/events").json()["events"]
        assert [set(event["data"]) & (forged.keys() | {"due_at"}) for event in events] == [set(), set()]
        assert events[1]["data"]["note"] == "kept"
        assert not server.run(server.service.is_open(f"task:{task}"))


def test_the_order_is_kept_and_nothing_is_lost_in_a_burst(
    server: TaskServer, redis: RedisServer, task: str
) -> None:
    pipeline = redis.client.pipeline(transaction=False)
    for number in range(3_000):
        pipeline.publish(f"agent_progress:{task}", json.dumps({"message": str(number), "percent": 1}))
    pipeline.execute()
    counted(server, "taken", 3_000)
    state = server.get(f"/api/v1/tasks/{task}")
    assert state["message"] == "2999"
    assert messages(server, task)[:256] == [str(number) for number in range(256)]


def test_a_message_of_33_megabytes_is_survived(server: TaskServer, redis: RedisServer, task: str) -> None:
    """Redis itself cuts the subscription at 32 MB; what is published meanwhile is not heard."""
    connected = server.source.counts["connected"]
    publish(redis, task, b'{"message": "' + b"x" * 33_000_000 + b'"}')
    wait_until(lambda: server.source.counts["connected"] > connected or server.source.counts["refused"] > 0)
    wait_until(server.source.is_listening.is_set)
    publish(redis, task, {"message": "still here"})
    counted(server, "taken", 1)
    assert messages(server, task) == ["still here"]


def test_killed_subscriptions_are_opened_anew(server: TaskServer, redis: RedisServer, task: str) -> None:
    connected = server.source.counts["connected"]
    redis.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    wait_until(lambda: server.source.counts["connected"] > connected)
    wait_until(server.source.is_listening.is_set)
    publish(redis, task, {"message": "again"})
    counted(server, "taken", 1)


def test_a_restarted_redis_is_found_again(tmp_path: Path, task: str) -> None:
    with (
        RedisServer() as redis,
        TaskServer(tmp_path / "log.db", runs=False, redis_url=redis.url) as server,
    ):
        wait_until(server.source.is_listening.is_set)
        redis.kill()
        wait_until(lambda: not server.source.is_listening.is_set())
        redis.start()
        wait_until(server.source.is_listening.is_set)
        publish(redis, task, {"message": "again"})
        counted(server, "taken", 1)


def test_a_deaf_subscription_is_found_by_the_probe(
    redis: RedisServer, tmp_path: Path, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Redis that stands still answers nothing and closes nothing."""
    monkeypatch.setattr(redis_pubsub, "DEAF_S", 0.5)
    monkeypatch.setattr(redis_pubsub, "PROBE_S", 0.1)
    with TaskServer(tmp_path / "log.db", runs=False, redis_url=redis.url) as server:
        wait_until(server.source.is_listening.is_set)
        redis.process.send_signal(signal.SIGSTOP)
        try:
            wait_until(lambda: server.source.counts["deaf"] > 0)
        finally:
            redis.process.send_signal(signal.SIGCONT)
        wait_until(server.source.is_listening.is_set)
        publish(redis, task, {"message": "again"})
        counted(server, "taken", 1)


def test_of_several_nodes_one_takes_a_message_in(redis: RedisServer, tmp_path: Path, task: str) -> None:
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(
                TaskServer(tmp_path / "log.db", runs=False, redis_url=redis.url, runner_lease_s=0.6)
            )
            for _ in range(3)
        ]
        wait_until(lambda: any(node.source.is_listening.is_set() for node in nodes))
        for number in range(20):
            publish(redis, task, {"message": str(number)})
        wait_until(lambda: len(messages(nodes[0], task)) >= 20)
        assert [node.source.counts["taken"] for node in nodes if node.source.counts["taken"]] == [20]
        (holder,) = [node for node in nodes if node.source.is_listening.is_set()]
        others = [node for node in nodes if node is not holder]
        holder.stop()  # the lease is given back
        wait_until(lambda: any(node.source.is_listening.is_set() for node in others))
        publish(redis, task, {"message": "after"})
        wait_until(lambda: messages(others[0], task)[-1] == "after")
        assert messages(others[0], task) == [*map(str, range(20)), "after"]


def test_our_publishers_echo_is_dropped(server: TaskServer, redis: RedisServer, task: str) -> None:
    heard: list[dict[str, Any]] = []
    pubsub = redis.client.pubsub()
    pubsub.psubscribe("agent_progress:*")

    def listen() -> None:
        for message in pubsub.listen():
            if message["type"] == "pmessage":
                heard.append(json.loads(message["data"]))
                if len(heard) == 2:
                    return

    listener = threading.Thread(target=listen)
    listener.start()
    publisher = ProgressPublisher(task, Settings(log=str(server.bus.log.url), redis_url=redis.url))
    publisher.publish("Checking", 35, "scam_db", "scam_database", found=2)
    publisher.publish("Done", 100, "completed")
    assert publisher.flush()
    listener.join(10)
    pubsub.close()
    counted(server, "repeated", 2)
    assert messages(server, task) == ["Checking", "Done"]
    first = server.story(task)[1]
    wanted = ("step", "tool", "message", "percent", "error", "timestamp", "found", "event_id")
    assert {name: heard[0][name] for name in wanted} == {name: first[name] for name in wanted}


def test_a_redis_that_is_away_costs_the_publisher_nothing(tmp_path: Path, task: str) -> None:
    settings = Settings(log=str(tmp_path / "log.db"), redis_url="redis://127.0.0.1:1/0")
    publisher = ProgressPublisher(task, settings)
    assert publisher.publish("Checking", 35)
    assert publisher.flush()
    assert publisher.lost == 0
    echo = echo_for(settings)
    assert echo is not None
    assert echo.lost == 1


@pytest.mark.parametrize(
    "url", ["nonsense", "http://localhost", "redis+sentinel://:secret@a:26379/main", "redis://a:secret"]
)
def test_a_url_that_cannot_be_is_named(url: str) -> None:
    for check in (check_url, lambda url: echo_for(Settings(redis_url=url))):
        with pytest.raises(ConfigError, match=r"^redis_url: not a URL of Redis") as told:
            check(url)
        assert "secret" not in str(told.value)


def test_nor_may_it_have_options_that_there_are_not() -> None:
    with pytest.raises(ConfigError, match=r"^redis_url: not a URL of Redis"):
        check_url("redis://localhost?name=runcast")
    check_url("redis://:secret@localhost:6379/0?socket_timeout=3")
    check_url("rediss://localhost?ssl_cert_reqs=none")
    check_url("")


def test_what_nobody_has_expected_does_not_end_it(
    redis: RedisServer,
    tmp_path: Path,
    task: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(redis_pubsub, "AGAIN_S", 0.01)
    read, flaws = redis_pubsub.RedisSource._read, ["a flaw"]

    def read_with_a_flaw(self: Any, channel: bytes, payload: bytes) -> Any:
        if flaws:
            raise RuntimeError(flaws.pop())
        return read(self, channel, payload)

    monkeypatch.setattr(redis_pubsub.RedisSource, "_read", read_with_a_flaw)

    async def listen() -> None:
        settings = Settings(log=str(tmp_path / "log.db"), redis_url=redis.url, runner_lease_s=1.0)
        async with Bus(open_configured(settings), [TASK], settings) as bus:
            following = asyncio.create_task(follow_redis(bus))
            while (
                await bus.info(f"task:{task}")
            ).head == 0:  # what is published while nobody listens is not heard
                await asyncio.to_thread(publish, redis, task, {"message": "hello"})
                await asyncio.sleep(0.01)
            following.cancel()

    asyncio.run(listen())
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "listening to Redis has failed; it is begun again in 0.01 s"
    ]
