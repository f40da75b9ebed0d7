"""Nodes and nginx are restarted while clients are connected: nothing that was acknowledged is lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.deploy.clients import (
    Publisher,
    Watcher,
    ids,
    open_sse,
    open_wss,
    pong,
    receive,
    rest,
    session,
)
from tests.deploy.conftest import Nodes
from tests.deploy.proxy import AS_OWNER, Nginx, raw_tls, write_certificate
from tests.support.clients import events_of
from tests.support.server import flat, flats, wait_until
from tests.support.traffic import stored

pytestmark = pytest.mark.needs("nginx")


@pytest.fixture
def nginx(nodes: Nodes) -> Iterator[Nginx]:
    """Its own, as it is reloaded."""
    with Nginx([node.port for node in nodes]) as nginx:
        yield nginx


async def test_a_rolling_restart_loses_nothing(nginx: Nginx, nodes: Nodes, log: Path) -> None:
    each, name = 250, "rolling"
    publishers = [Publisher(nginx, name, prefix, each) for prefix in "xy"]
    watchers = [Watcher(nginx, name, until=2 * each) for _ in range(4)]
    async with asyncio.TaskGroup() as group:
        for one in (*publishers, *watchers):
            group.create_task(one.run())
        for number, node in enumerate(nodes):
            await until(lambda n=number: sum(len(p.acknowledged) for p in publishers) > 120 * (n + 1))
            assert await asyncio.to_thread(node.terminate) == 0
            assert node.complaints == ""
            await asyncio.to_thread(node.start)
    in_log = stored(log, name)
    assert [seq for seq, _ in in_log] == list(range(1, 2 * each + 1))
    for watcher in watchers:
        assert watcher.events == in_log
        assert watcher.frames <= {"batch", "restarting"}
        assert set(watcher.closed_with) <= {1012, 1013}  # they were told to come again
    for publisher in publishers:
        assert set(publisher.answers) <= {200, 503}, publisher.answers
        assert [one for _, one in in_log if one in set(publisher.acknowledged)] == publisher.acknowledged
    assert sum(watcher.connections for watcher in watchers) > len(watchers)


async def test_a_client_goes_on_at_the_other_node_after_one_was_killed(nginx: Nginx, nodes: Nodes) -> None:
    nginx.post("killed", *flats(range(10)))
    async with open_wss(nginx, session("killed", after="start")) as ws:
        frame = await receive(ws)
        cursor = events_of([frame])[5]["cursor"]
        for node in nodes:
            if node.http.get("/api/status", headers=AS_OWNER).json()["connected_clients"]:
                node.kill()
                break
        assert (await rest(ws))[1] == 1006
    nginx.post("killed", *flats(range(10, 12)))
    async with open_wss(nginx, session("killed", after=cursor)) as ws:
        assert await ids(ws, 6) == [f"e{number}" for number in range(6, 12)]
    async with open_sse(nginx, "killed", **{"Last-Event-ID": cursor}) as stream:
        assert [(await stream.event())["id"] for _ in range(6)] == [f"e{number}" for number in range(6, 12)]


async def test_clients_stay_connected_when_nginx_is_reloaded(nginx: Nginx, nodes: Nodes) -> None:
    async with AsyncExitStack() as stack:
        socket = await stack.enter_async_context(open_wss(nginx, session("reload", after="start")))
        stream = await stack.enter_async_context(open_sse(nginx, "reload"))
        for number in range(3):
            old = nginx.workers()
            await asyncio.to_thread(nginx.reload)
            nginx.post("reload", flat(number))
            assert await ids(socket, 1) == [f"e{number}"]
            assert (await stream.event())["id"] == f"e{number}"
            async with open_wss(nginx, session("reload")) as newcomer:
                await pong(newcomer)
            assert nginx.workers() - old
    await until(
        lambda: len(nginx.workers()) == len(nginx.workers() - old)
    )  # the old ones leave with their clients


def test_a_renewed_certificate_is_shown_after_a_reload(nginx: Nginx) -> None:
    with raw_tls(nginx) as tls:
        before = tls.getpeercert(binary_form=True)
    write_certificate(nginx.certificate, nginx.folder / "tls" / "key.pem")
    nginx.reload(and_end_others=True)
    with raw_tls(nginx) as tls:  # believed, as our context reads the file again
        assert tls.getpeercert(binary_form=True) != before


def test_a_reload_takes_a_node_out_and_one_that_comes_back_is_used_at_once(
    nginx: Nginx, nodes: Nodes
) -> None:
    one, other = nodes
    nginx.write_nodes([other.port])
    nginx.reload(and_end_others=True)
    assert one.terminate() == 0
    assert {nginx.http.get("/health").status_code for _ in range(10)} == {200}
    wait_until(lambda: len(nginx.access_log) >= 10)
    assert {line.partition("node=")[2].split()[0] for line in nginx.access_log} == {f"127.0.0.1:{other.port}"}
    assert other.terminate() == 0
    assert nginx.http.get("/health").status_code == 503
    other.start()
    wait_until(lambda: nginx.http.get("/health").status_code == 200, timeout_s=5)


async def until(condition) -> None:
    await asyncio.to_thread(wait_until, condition)
