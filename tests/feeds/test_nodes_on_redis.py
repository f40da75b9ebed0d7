"""Two servers on one Redis: each sees the other come, work, go and get lost; one after the other is replaced."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.clients import open_ws, receive
from tests.support.process import ServeProcess, run_runcast
from tests.support.redis_server import RedisServer
from tests.support.server import ThreadServer, flats, in_background, wait_until
from tests.support.traffic import Reader, Writer, in_portions

pytestmark = pytest.mark.needs("redis-server")

OFTEN = {"RUNCAST_NODE_REPORT_S": "1", "RUNCAST_DRAIN_S": "0.3"}
SYSTEM = "/api/v1/ws/system/events"
EACH = 120


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as redis:
        yield redis


@pytest.fixture
def log(redis: RedisServer, request: pytest.FixtureRequest) -> str:
    return f"{redis.url}?name={request.node.name}"


@pytest.fixture
def servers(log: str) -> Iterator[tuple[ServeProcess, ServeProcess]]:
    with ServeProcess(log, env=OFTEN) as one, ServeProcess(log, env=OFTEN) as other:
        yield one, other


def nodes(server: ServeProcess) -> dict[int, dict[str, Any]]:
    """What a server knows of all, by their processes."""
    return {node["pid"]: node for node in server.get("/api/v1/nodes")["nodes"]}


def both_are_up(server: ServeProcess) -> bool:
    return server.get("/api/v1/nodes")["total"] == 2


def metrics(server: ServeProcess) -> dict[str, float]:
    families = text_string_to_metric_families(server.http.get("/metrics").text)
    return {sample.name: sample.value for family in families for sample in family.samples}


def told(server: ServeProcess) -> list[tuple[str, str]]:
    """Who has come and gone, as the system's stream has it."""
    events = server.get("/api/v1/streams/system:events/events")["events"]
    return [(event["type"], event["data"]["node_id"]) for event in events]


def test_each_is_seen_by_the_other(servers: tuple[ServeProcess, ServeProcess], log: str) -> None:
    one, other = servers
    wait_until(lambda: both_are_up(one) and both_are_up(other))
    with open_ws(other.session("watched")):
        of_other = other.process.pid
        wait_until(lambda: nodes(one)[of_other]["load"]["subscriptions"] == 1)
        load = nodes(one)[of_other]["load"]
        assert (load["connections"], load["memory_mb"] > 10, load["runs"]) == (1, True, {})
    assert [node["is_this"] for node in nodes(one).values()] == [True, False]
    wait_until(lambda: metrics(one)["runcast_nodes_up"] == 2)
    numbers = metrics(one)
    assert numbers["runcast_node_reports_total"] > 1
    assert numbers["process_resident_memory_bytes"] > 10_000_000
    assert numbers["runcast_log_probes_total"] >= 1
    for name in ("retries", "unavailable", "reopened", "takeovers", "streams_lost"):
        assert numbers[f"runcast_log_{name}_total"] == 0, name
    table = run_runcast("nodes", "--log", log, env={"COLUMNS": "160"}).stdout
    assert all(node["node_id"] in table for node in nodes(one).values())


def test_one_that_is_killed_is_lost_and_one_that_stops_has_left(
    servers: tuple[ServeProcess, ServeProcess],
) -> None:
    one, other = servers
    wait_until(lambda: both_are_up(one) and both_are_up(other))
    names = {pid: node["node_id"] for pid, node in nodes(one).items()}
    pid = other.process.pid
    with open_ws(one.ws(SYSTEM)) as ws:
        assert receive(ws)["type"] == "connected"
        other.kill()
        lost = receive(ws)
        assert (lost["type"], lost["node_id"], lost["reason"]) == ("node_lost", names[pid], "silent")
        assert (lost["by"], nodes(one)[pid]["status"]) == (names[one.process.pid], "lost")
        other.start()
        joined = receive(ws)
        assert (joined["type"], joined["pid"]) == ("node_joined", other.process.pid)
        assert other.terminate() == 0
        left = receive(ws)
        assert (left["type"], left["node_id"], left["reason"]) == ("node_left", joined["node_id"], "drain")
    assert [name for name, _ in told(one)] == ["node_joined"] * 2 + ["node_lost", "node_joined", "node_left"]
    assert metrics(one)["runcast_nodes_lost_total"] == 1


def test_a_rolling_restart_loses_nothing(servers: tuple[ServeProcess, ServeProcess]) -> None:
    writers = [
        Writer(server.url(), "rolling", in_portions(named(prefix), [1, 2] * EACH))
        for prefix, server in zip("xy", servers, strict=True)
    ]
    readers = [
        Reader(lambda cursor, server=server: server.session("rolling", after=cursor), has_all)
        for server in servers
        for _ in range(2)
    ]
    with ExitStack() as stack:
        for one in (*writers, *readers):
            stack.enter_context(in_background(one.run))
        stack.enter_context(stopped_by_failure(*writers, *readers))
        for number, server in enumerate(servers):
            wait_until(lambda n=number: sum(len(one.acknowledged) for one in writers) > EACH // 2 * (n + 1))
            assert server.terminate() == 0
            assert "Traceback" not in server.complaints
            server.start()
    acknowledged = [event for writer in writers for event in writer.acknowledged]
    first, *others = [[(event["seq"], event["event_id"]) for event in reader.events] for reader in readers]
    assert [seq for seq, _ in first] == list(range(1, 2 * EACH + 1))
    assert sorted(event_id for _, event_id in first) == sorted(acknowledged)
    assert others == [first] * 3
    assert sum(reader.connections for reader in readers) > len(readers)
    names = [name for name, _ in told(servers[0])]
    assert names == ["node_joined"] * 2 + ["node_left", "node_joined"] * 2


def test_what_is_heard_on_the_channels_of_tasks_is_in_the_metrics(redis: RedisServer) -> None:
    with ThreadServer(redis_url=redis.url) as server:

        def lines() -> list[str]:
            return server.http.get("/metrics").text.splitlines()

        wait_until(lambda: "runcast_task_channel_listening 1.0" in lines())
        good = b'{"step":"x","message":"m","percent":1,"event_id":"one"}'
        for payload in (good, good, b"not JSON"):
            assert redis.client.publish("agent_progress:counted", payload) == 1
        expected = {"taken": 1, "repeated": 1, "refused": 1, "lost": 0}
        wanted = {
            f'runcast_task_channel_messages_total{{outcome="{name}"}} {count}.0'
            for name, count in expected.items()
        }
        wanted |= {
            "runcast_task_channel_heard_total 3.0",
            'runcast_task_channel_connections_total{event="connected"} 1.0',
            'runcast_task_channel_connections_total{event="deaf"} 0.0',
        }
        wait_until(lambda: wanted <= set(lines()), f"these: {wanted}")


@contextmanager
def stopped_by_failure(*workers: Writer | Reader) -> Generator[None]:
    """Who works in the background waits for servers for ever otherwise."""
    try:
        yield
    except BaseException:
        for one in workers:
            one.stop()
        raise


def named(prefix: str) -> list[dict[str, Any]]:
    return [{**event, "event_id": f"{prefix}-{event['event_id']}"} for event in flats(range(EACH))]


def has_all(reader: Reader) -> bool:
    return len(reader.events) >= 2 * EACH
