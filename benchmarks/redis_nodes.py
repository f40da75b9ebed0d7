"""Several servers on one real Redis with an append-only file, all of them free to run on any core."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.support.redis_server import RedisServer

from benchmarks.bench import Bench
from benchmarks.server_process import RUNCAST, Server

AOF = ("everysec", "always", "no")
"""What `appendfsync` may be; any other word is no append-only file."""


@dataclass(frozen=True)
class Nodes:
    """They run as long as the context that made them."""

    redis: RedisServer
    servers: list[Server]

    @property
    def pids(self) -> list[int]:
        """Of the servers, and last of Redis."""
        return [*(server.pid for server in self.servers), self.redis.process.pid]


@contextmanager
def nodes(bench: Bench, number_of: int) -> Iterator[Nodes]:
    """Start Redis and so many servers on it; what they keep beside the log is in the run's folder, too."""
    with ExitStack() as stack:
        stack.enter_context(every_core())
        redis = stack.enter_context(redis_on_disk(bench, bench.options.node_aof))
        environment = {"XDG_DATA_HOME": str(bench.folder)}
        servers = [
            stack.enter_context(
                bench.fresh_server(RUNCAST, environment=environment, url=redis.url, is_pinned=False)
            )
            for _ in range(number_of)
        ]
        yield Nodes(redis, servers)


@contextmanager
def redis_on_disk(bench: Bench, aof: str) -> Iterator[RedisServer]:
    """A Redis of its own, with its append-only file in the run's folder; rewrites of that are switched off."""
    folder = bench.folder / "redis"
    folder.mkdir(exist_ok=True)
    settings = {"dir": str(folder), "auto_aof_rewrite_percentage": "0"}  # when one would begin is chance
    if aof in AOF:
        settings |= {"appendonly": "yes", "appendfsync": aof}
    with RedisServer("redis-server", port=None, **settings) as redis:
        yield redis
    shutil.rmtree(folder)


@contextmanager
def every_core() -> Iterator[None]:
    """Let this process, and all that it starts meanwhile, run on any core that it may use at all."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
