"""Memory of connections over which nothing is sent, on a node with its log on Redis, by the kind of socket."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.bench import Bench
from benchmarks.process_stats import Stopwatch, rss_bytes
from benchmarks.redis_nodes import nodes
from benchmarks.report import Column, Table, count, cpu, cpu_figures, number, text
from benchmarks.server_process import Server

COLUMNS = [
    Column("socket", text("socket"), left=True),
    Column("connections", count("connections")),
    Column("KiB each", number("kib_each")),
    Column("before MB", number("before_megabytes")),
    Column("after MB", number("after_megabytes")),
    Column("connect s", number("connect_s", 2)),
    Column("idle CPU", cpu("own")),
]
SOCKETS = {
    "session, one each": ("/ws/events/bench-{}", 1_000),
    "session, 50 in all": ("/ws/events/bench-{}", 50),
    "task, one each": ("/ws/agent-progress/bench-{}", 1_000),
    "task, 50 in all": ("/ws/agent-progress/bench-{}", 50),
}
"""By their names: the path, and how many streams they are spread over, at most."""
FIRST_CLIENTS = 20
"""Connect and leave beforehand, so that what is loaded once is not counted."""
TIMEOUT_S = 60.0


def run(bench: Bench) -> Table:
    """One row for each kind of socket, each on a node of its own."""
    options = bench.options
    table = bench.table(
        f"{options.node_clients:,} idle connections of a node on Redis: its RSS after minus before", COLUMNS
    )
    with nodes(bench, len(SOCKETS)) as running:
        for (socket, (path, streams)), server in zip(SOCKETS.items(), running.servers, strict=True):
            bench.say(f"node memory, {socket}")
            row = _measure(bench, server, socket, [path.format(number) for number in range(streams)])
            table.rows.append(row)
            if row["failed"]:
                table.notes.append(f"{socket}: {row['failed']:,} connections failed.")
    return table


def _measure(bench: Bench, server: Server, socket: str, paths: list[str]) -> dict[str, Any]:
    options = bench.options
    with bench.load_generator(server, paths[:1], FIRST_CLIENTS, timeout_s=TIMEOUT_S) as first:
        first.wait_ready()
    time.sleep(options.node_idle_s)
    before = rss_bytes(server.pid)
    clients = options.node_clients
    with bench.load_generator(server, paths[:clients], clients, timeout_s=TIMEOUT_S) as generator:
        ready = generator.wait_ready()
        time.sleep(options.node_idle_s)
        watch = Stopwatch(server.pid)
        time.sleep(options.node_idle_s)
        after = rss_bytes(server.pid)
        idle = cpu_figures("own", watch.cpu_s(server.pid), watch.wall_s())
    return {
        "socket": socket,
        "connections": ready.connected,
        "kib_each": (after - before) / 1024 / ready.connected,
        "before_megabytes": before / 1e6,
        "after_megabytes": after / 1e6,
        "connect_s": ready.seconds,
        "failed": ready.failed,
        **idle,
    }
