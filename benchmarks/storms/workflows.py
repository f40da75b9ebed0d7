"""Many workflows run at once, each with watchers, some of which read nothing: how late events come."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Sequence
from typing import Any

from benchmarks.bench import Bench
from benchmarks.process_stats import MemorySampler, Stopwatch
from benchmarks.report import Column, Table, count, cpu, cpu_figures, millis, number
from benchmarks.server_process import RUNCAST, Server
from benchmarks.watchers import Watchers

COLUMNS = [
    Column("workflows", count("workflows")),
    Column("watchers", count("watchers")),
    Column("silent", count("silent")),
    Column("events/s", count("events_per_s")),
    Column("deliveries/s", count("deliveries_per_s")),
    Column("p50 ms", millis("p50_ms")),
    Column("p99", millis("p99_ms")),
    Column("max", millis("max_ms")),
    Column("RSS +MB", number("growth_megabytes")),
    Column("server CPU", cpu("server")),
]
CONNECT_S = 6.0
"""Between the start of the workflows and their first event, for the watchers to connect."""
ENVIRONMENT = {"RUNCAST_LOAD": "benchmarks.flows", "RUNCAST_RUNNER_THREADS": "64"}


def run(bench: Bench) -> Table:
    """One row. The clock of a delivery runs from before the agent publishes to the read of the watcher."""
    options = bench.options
    table = bench.table(
        f"{options.workflows} workflows at once, {options.watchers} watchers each (one reads nothing), "
        f"{options.workflow_rate} events/s each for {options.workflow_s:.0f} s",
        COLUMNS,
    )
    bench.say("workflows")
    with bench.fresh_server(RUNCAST, environment=ENVIRONMENT) as server:
        table.rows.append(_play(bench, server, table.notes))
    return table


def _play(bench: Bench, server: Server, notes: list[str]) -> dict[str, Any]:
    options = bench.options
    events = round(options.workflow_rate * options.workflow_s)
    begin = time.monotonic() + CONNECT_S
    plan = {
        "begin": begin,
        "rate": options.workflow_rate,
        "events": events,
        "size": options.workflow_event_bytes,
    }
    ids = [_start(server, json.dumps(plan)) for _ in range(options.workflows)]
    paths = [f"/api/v1/ws/workflows/{one}" for one in ids]
    loud = [path for path in paths for _ in range(options.watchers - 1)]
    watchers = Watchers(server.port, loud, paths, core=options.load_core)
    watchers.wait_ready()
    if time.monotonic() > begin:
        notes.append("The watchers were not all connected when the events began.")
    time.sleep(max(0.0, begin - time.monotonic()))
    watch = Stopwatch(server.pid)
    with MemorySampler(server.pid) as memory:
        seen = watchers.finish(options.workflow_s + 30)
    wall_s = watch.wall_s()
    if len(seen.latencies_ms) != events * len(loud) or seen.finished != len(loud):
        notes.append(
            f"{len(seen.latencies_ms):,} of {events * len(loud):,} events came; {seen.finished} of {len(loud)} "
            "sockets were closed by 1000."
        )
    latencies = sorted(seen.latencies_ms) or [0.0]
    return {
        "workflows": options.workflows,
        "watchers": len(loud),
        "silent": len(paths),
        "events_per_s": options.workflows * options.workflow_rate,
        "deliveries_per_s": len(seen.latencies_ms) / options.workflow_s,
        "p50_ms": _quantile(latencies, 0.5),
        "p99_ms": _quantile(latencies, 0.99),
        "max_ms": latencies[-1],
        "growth_megabytes": memory.growth_bytes / 1e6,
        **cpu_figures("server", watch.cpu_s(server.pid), wall_s),
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _start(server: Server, task: str) -> str:
    body = json.dumps({"task": task, "workflow": "storm"}).encode()
    request = urllib.request.Request(
        f"{server.url}/api/v1/workflows", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)["workflow_id"]
