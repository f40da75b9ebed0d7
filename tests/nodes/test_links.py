"""Three nodes, and the way from one of them to Redis is cut; Redis over TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.proxy import write_certificate
from tests.nodes.clients import ChannelPublisher
from tests.nodes.fleet import Fleet, Node, fleet
from tests.nodes.storm import storm
from tests.support.netns import Namespace
from tests.support.process import free_port
from tests.support.redis_server import Proxy, RedisServer

pytestmark = [pytest.mark.needs("redis-server"), pytest.mark.timeout(150), pytest.mark.soak]
Settle = Callable[..., None]

CUT_S = 12.0


async def test_the_connections_of_a_node_are_half_open(tmp_path: Path, settle: Settle) -> None:
    with RedisServer() as server, Proxy(server.port) as proxy:
        urls = (server.url, server.url, f"redis://127.0.0.1:{proxy.port}")
        with fleet(tmp_path, *urls) as nodes:
            async with storm(nodes) as here:

                async def fault() -> None:
                    proxy.fall_silent()

                line = await here.through(fault, "half-open connections of a node", "the silence")
    settle(line)


@pytest.mark.needs("netns")
async def test_the_link_of_a_node_is_cut(tmp_path: Path, settle: Settle) -> None:
    with (
        Namespace() as there,
        RedisServer(bind=f"127.0.0.1 {there.near}", protected_mode="no") as server,
        Fleet(
            Node(server.url, tmp_path),
            Node(server.url, tmp_path),
            Node(f"redis://{there.near}:{server.port}", tmp_path, host=there.host, inside=there.command),
        ) as nodes,
    ):
        async with storm(nodes) as here:

            async def fault() -> None:
                there.cut()
                await asyncio.sleep(CUT_S)
                there.mend()

            line = await here.through(
                fault, f"a node's link to Redis cut for {CUT_S:.0f} s", "the link is back"
            )
    settle(line)


async def test_connections_over_tls_are_killed(tmp_path: Path, settle: Settle) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    write_certificate(certificate, key)
    port = free_port()
    tls = {"tls_port": str(port), "tls_cert_file": str(certificate), "tls_key_file": str(key)}
    url = f"rediss://localhost:{port}?ssl_ca_certs={certificate}"
    with (
        RedisServer(**dict[str, Any](tls), tls_auth_clients="no") as server,
        fleet(tmp_path, url, REDIS_URL=url) as nodes,
    ):
        raw = ChannelPublisher(nodes, 9, "raw", server.url)
        async with storm(nodes, more={"task:raw": raw}) as here:

            async def fault() -> None:
                for kind in ("pubsub", "normal"):
                    server.client.execute_command(f"CLIENT KILL TYPE {kind} SKIPME yes")

            line = await here.through(fault, "TLS: CLIENT KILL of everything", "the command")
    settle(line)
