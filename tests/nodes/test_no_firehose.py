"""A node on a log that was made without a firehose: it is well, and says what cannot be had."""

from __future__ import annotations

import pytest
from tests.support.redis_server import RedisServer
from tests.support.server import ThreadServer, flat

pytestmark = pytest.mark.needs("redis-server")


def test_a_node_is_well() -> None:
    with RedisServer() as server, ThreadServer(f"{server.url}?partitions=2&firehose=false") as node:
        assert node.get("/health") == {"status": "ok"}
        assert node.get("/api/status")["position"] is None
        node.post("a", flat(1))
        assert [event["id"] for event in node.get("/api/v1/streams/session:a/events")["events"]] == ["e1"]
        refused = node.http.get("/api/v1/firehose/events")
        assert (refused.status_code, refused.json()["code"]) == (409, "no_firehose")


def test_a_node_without_redis_is_not() -> None:
    with RedisServer() as server:
        url = f"{server.url}?partitions=2&firehose=false&wait_s=0"
        with ThreadServer(url) as node:
            server.kill()
            assert node.http.get("/health").status_code == 503
            node.errors.forgive()
            server.start()
