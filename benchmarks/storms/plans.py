"""Many plans of many steps run at once: steps and events a second, and what that takes."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

from benchmarks.bench import Bench
from benchmarks.process_stats import MemorySampler, Stopwatch
from benchmarks.report import Column, Table, count, cpu, cpu_figures, number
from benchmarks.server_process import RUNCAST, Server
from benchmarks.storms.workflows import ENVIRONMENT

COLUMNS = [
    Column("plans", count("plans")),
    Column("steps each", count("steps")),
    Column("at once", count("parallel")),
    Column("seconds", number("seconds")),
    Column("steps/s", count("steps_per_s")),
    Column("events", count("events")),
    Column("events/s", count("events_per_s")),
    Column("RSS +MB", number("growth_megabytes")),
    Column("server CPU", cpu("server")),
]
LIMIT_S = 180.0


def run(bench: Bench) -> Table:
    """One row."""
    options = bench.options
    table = bench.table(
        f"{options.plans} plans of {options.plan_steps} steps, {options.plan_parallel} at once in each; a step "
        f"sleeps {options.plan_step_s * 1000:.0f} ms, 64 threads",
        COLUMNS,
    )
    bench.say("plans")
    with bench.fresh_server(RUNCAST, environment=ENVIRONMENT) as server:
        table.rows.append(_play(bench, server))
    return table


def _play(bench: Bench, server: Server) -> dict[str, Any]:
    options = bench.options
    # Each step waits for the one that lies as many before it as may run at once: so many run all the time.
    steps = [
        {
            "step_id": f"s{index}",
            "description": "sleep",
            "action": "tick",
            "params": {"seconds": options.plan_step_s},
            "depends_on": [f"s{index - options.plan_parallel}"] if index >= options.plan_parallel else [],
        }
        for index in range(options.plan_steps)
    ]
    body = json.dumps({"name": "storm", "steps": steps, "parallel_steps": options.plan_parallel}).encode()
    watch = Stopwatch(server.pid)
    with MemorySampler(server.pid) as memory:
        ids = [_ask(server, "/api/v1/plans", body)["plan_id"] for _ in range(options.plans)]
        deadline = time.monotonic() + LIMIT_S
        while any(_state(server, one)["status"] != "completed" for one in ids[-1:] + ids[:-1]):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the plans did not complete within {LIMIT_S:.0f} s")
            time.sleep(0.5)
    seconds = watch.wall_s()
    events = sum(_state(server, one)["events"] for one in ids)
    return {
        "plans": options.plans,
        "steps": options.plan_steps,
        "parallel": options.plan_parallel,
        "seconds": seconds,
        "steps_per_s": options.plans * options.plan_steps / seconds,
        "events": events,
        "events_per_s": events / seconds,
        "growth_megabytes": memory.growth_bytes / 1e6,
        **cpu_figures("server", watch.cpu_s(server.pid), seconds),
    }


def _state(server: Server, plan_id: str) -> dict[str, Any]:
    return _ask(server, f"/api/v1/plans/{plan_id}")


def _ask(server: Server, path: str, body: bytes | None = None) -> dict[str, Any]:
    request = urllib.request.Request(f"{server.url}{path}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)
