"""A log on Redis that cannot be opened: what is wrong is said in words for who named it, and no password is shown."""

from __future__ import annotations

import logging
import re
import socketserver
import threading
from collections.abc import Iterator

import pytest
from tests.support.process import free_port, run_runcast
from tests.support.redis_server import RedisServer

from runcast.errors import ConfigError, LogError, LogUnavailable
from runcast.log.open import open_log
from runcast.log.redis import RedisLog

pytestmark = pytest.mark.needs("redis-server")


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.lines = [
        "user weak on >weakpass ~* &* +@all -evalsha -eval",
        "user shy on >shypass ~* &* +@all -info",
    ]
    with server:
        yield server


@pytest.fixture(scope="module")
def member() -> Iterator[RedisServer]:
    """A server of a Cluster that has no slots yet."""
    with RedisServer(cluster_enabled="yes", cluster_port=str(free_port())) as server:
        yield server


def refusal(url: str, kind: type[Exception] = LogError) -> str:
    with pytest.raises(kind) as raised:
        open_log(url)
    assert type(raised.value) is kind
    assert "PASS" not in str(raised.value).replace("PASSWORD", "")
    return str(raised.value)


def test_nobody_there_is_said_at_once_and_it_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    with caplog.at_level(logging.WARNING, "runcast.log"):
        said = refusal(f"{url}?wait_s=0.1", LogUnavailable)
    assert (
        said
        == f"Redis at {url} does not answer (Connection refused). Start it, or correct the log's address."
    )
    assert caplog.messages == [f"{said} It is tried for 0 s."]


def test_it_is_opened_when_it_comes_while_it_is_waited_for() -> None:
    port = free_port()
    opened: list[RedisLog] = []
    thread = threading.Thread(target=lambda: opened.append(RedisLog(f"redis://127.0.0.1:{port}?wait_s=20")))
    thread.start()
    with RedisServer(port=port):
        thread.join(20)
        assert opened[0].head().offset == 0
        opened[0].close()


@pytest.mark.parametrize(
    ("login", "said"),
    [
        ("", "asks for a password: redis://:PASSWORD@host"),
        (":WRONGPASS@", "does not take this user and password"),
        ("nobody:WRONGPASS@", "does not take this user and password"),
        ("weak:weakpass@", "may do too little (this user has no permissions to run the 'evalsha' command)"),
    ],
)
def test_logins(redis: RedisServer, login: str, said: str) -> None:
    redis.client.config_set("requirepass", "secret")
    try:
        assert said in refusal(f"redis://{login}127.0.0.1:{redis.port}")
    finally:
        redis.client.config_set("requirepass", "")


def test_who_may_not_ask_for_the_version_is_believed(redis: RedisServer) -> None:
    log = open_log(f"redis://shy:shypass@127.0.0.1:{redis.port}")
    assert "shy" not in log.url
    log.close()


@pytest.mark.parametrize(
    ("scheme", "rest", "said"),
    [
        ("redis", "/99", "has no database 99; most have 0 to 15"),
        ("redis+cluster", "", "is no Cluster. For a single server: redis://host:port."),
        ("redis+sentinel", "/name", "is no Sentinel. For a single server: redis://host:port."),
    ],
)
def test_something_else_than_was_named(redis: RedisServer, scheme: str, rest: str, said: str) -> None:
    assert said in refusal(f"{scheme}://127.0.0.1:{redis.port}{rest}?wait_s=0")


def test_no_sentinel_answers() -> None:
    said = refusal(f"redis+sentinel://127.0.0.1:{free_port()}/name?wait_s=0", LogUnavailable)
    assert said.endswith("knows of a master name that is up, or none answers.")


def test_a_replica_takes_nothing(redis: RedisServer) -> None:
    redis.client.execute_command("REPLICAOF", "127.0.0.1", free_port())
    try:
        said = refusal(f"{redis.url}?name=other&wait_s=0", LogUnavailable)
        assert "is a replica, and takes nothing. Name its master" in said
    finally:
        redis.client.execute_command("REPLICAOF", "NO", "ONE")


def test_a_cluster_named_as_one_server_or_not_yet_made(member: RedisServer) -> None:
    said = refusal(f"{member.url}?wait_s=0", LogUnavailable)
    assert "belongs to a Cluster. Name it as one, once it is ready: redis+cluster://host:port." in said
    said = refusal(f"redis+cluster://127.0.0.1:{member.port}?wait_s=0", LogUnavailable)
    assert "does not answer (no server of the Cluster has any slots yet)" in said


def test_a_cluster_that_is_away() -> None:
    said = refusal(f"redis+cluster://127.0.0.1:{free_port()}?wait_s=0", LogUnavailable)
    assert "does not answer (Connection refused)" in said


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("nme=x", "a log on Redis has no option nme; there are name, wait_s, "),
        ("wait_s=abc", "wait_s=abc cannot be. Expected a number, got a text."),
        ("timeout_s=0", "timeout_s=0 cannot be. Expected a number > 0.0."),
        ("commit_events=3000", "commit_events=3000 cannot be. Expected a whole number <= 2000."),
    ],
)
def test_options_that_cannot_be(query: str, said: str) -> None:
    assert said in refusal(f"redis://localhost?{query}", ConfigError)


class _Old(socketserver.StreamRequestHandler):
    """Speaks Redis' protocol as far as an old server is asked: which one it is."""

    def handle(self) -> None:
        about = b"# Server\r\nredis_version:6.2.14\r\n"
        while count := self.rfile.readline():
            words = [self._word() for _ in range(int(count[1:]))]
            is_info = words[0].upper() == b"INFO"
            self.wfile.write(b"$%d\r\n%s\r\n" % (len(about), about) if is_info else b"+OK\r\n")

    def _word(self) -> bytes:
        size = int(self.rfile.readline()[1:])
        return self.rfile.read(size + 2)[:-2]


def test_a_server_that_is_too_old() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Old) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"redis://127.0.0.1:{server.server_address[1]}"
        assert refusal(url) == (
            f"Redis at {url} is version 6.2.14, which is too old: 7.0 or newer is needed, or Valkey 7.2."
        )
        server.shutdown()


def test_serve_says_it_in_one_line(redis: RedisServer) -> None:
    ended = run_runcast("serve", "--port", "0", "--log", f"redis://me:WRONGPASS@127.0.0.1:{redis.port}")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"runcast: Redis at redis://127\.0\.0\.1:\d+ does not take .*\)\.\n", ended.stderr)
    ended = run_runcast("serve", "--port", "0", env={"REDIS_URL": "nonsense"})
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"runcast: redis_url: not a URL of Redis: .*\n", ended.stderr)
