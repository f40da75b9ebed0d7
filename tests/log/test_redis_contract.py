"""The log on Redis does what every log must."""

from collections.abc import Iterator

import pytest
from tests.support.redis_server import RedisCluster, RedisServer

from runcast.log.redis import RedisLog
from runcast.log.suite import LogSuite, VirtualClock

pytestmark = pytest.mark.needs("redis-server")


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with RedisCluster() as cluster:
        yield cluster


class TestRedisLog(LogSuite):
    """Each test has a log of its own name on one server."""

    redis: RedisServer
    made = 0

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _on(cls, redis: RedisServer) -> None:
        cls.redis = redis

    def make_log(self, clock: VirtualClock) -> RedisLog:
        TestRedisLog.made += 1
        return self.make_other(clock)

    def make_other(self, clock: VirtualClock) -> RedisLog:
        return RedisLog(self.redis.url, clock=clock, name=f"log{self.made}")


@pytest.mark.soak  # the Cluster shows the same, and more
class TestPartitions(TestRedisLog):
    """Several partitions, as a Cluster has them, though all of them lie on one server."""

    orders_batches = False

    def make_other(self, clock: VirtualClock) -> RedisLog:
        return RedisLog(self.redis.url, clock=clock, name=f"log{self.made}", partitions=5)


class TestCluster(LogSuite):
    """Three masters. Each test has a log of its own name."""

    orders_batches = False
    cluster: RedisCluster
    made = 0

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _on(cls, cluster: RedisCluster) -> None:
        cls.cluster = cluster

    def make_log(self, clock: VirtualClock) -> RedisLog:
        TestCluster.made += 1
        return self.make_other(clock)

    def make_other(self, clock: VirtualClock) -> RedisLog:
        return RedisLog(self.cluster.url, clock=clock, name=f"log{self.made}")
