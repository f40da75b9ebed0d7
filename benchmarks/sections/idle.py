"""Memory and CPU of connections over which nothing is sent."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.bench import Bench
from benchmarks.process_stats import Stopwatch, rss_bytes
from benchmarks.report import Column, Table, count, cpu, cpu_figures, number, text

COLUMNS = [
    Column("connections", count("connections")),
    Column("server", text("server"), left=True),
    Column("KB each", number("kilobytes_each")),
    Column("before MB", number("before_megabytes")),
    Column("after MB", number("after_megabytes")),
    Column("connect s", number("connect_s", 2)),
    Column("idle CPU", cpu("server")),
]
_RAMP_TIMEOUT_S = 60.0
_FIRST_CLIENTS = 20  # connect and leave beforehand, so that what is loaded once is not counted


def run(bench: Bench) -> Table:
    """One row for each server."""
    table = bench.table("Idle connections of one stream: the server's RSS after minus before", COLUMNS)
    for app in bench.options.apps:
        bench.say(f"idle memory, {app}, {bench.options.idle_clients:,} connections")
        row = _measure(bench, app)
        table.rows.append(row)
        if row["failed"]:
            table.notes.append(f"{app}: {row['failed']:,} connections failed.")
    return table


def _measure(bench: Bench, app: str) -> dict[str, Any]:
    options = bench.options
    with bench.server(app) as server:
        path = bench.new_stream().path()
        with bench.load_generator(server, path, _FIRST_CLIENTS, timeout_s=_RAMP_TIMEOUT_S) as first:
            first.wait_ready()
        time.sleep(options.idle_s)
        before = rss_bytes(server.pid)
        limit_s = _RAMP_TIMEOUT_S + 10 * options.idle_s
        with bench.load_generator(server, path, options.idle_clients, timeout_s=limit_s) as generator:
            ready = generator.wait_ready(_RAMP_TIMEOUT_S)
            time.sleep(options.idle_s)
            watch = Stopwatch(server.pid)
            time.sleep(options.idle_s)
            after = rss_bytes(server.pid)
            idle = cpu_figures("server", watch.cpu_s(server.pid), watch.wall_s())
    return {
        "connections": ready.connected,
        "server": app,
        "kilobytes_each": (after - before) / 1000 / ready.connected,
        "before_megabytes": before / 1e6,
        "after_megabytes": after / 1e6,
        "connect_s": ready.seconds,
        "failed": ready.failed,
        **idle,
    }
