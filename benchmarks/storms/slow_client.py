"""One client of many reads nothing while a long burst goes by, and reads on afterwards.

Played twice, with and without that client: its cost is the difference.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from benchmarks.bench import Bench
from benchmarks.loadgen import LoadGenerator, LoadReport
from benchmarks.process_stats import MemorySampler, Stopwatch
from benchmarks.publisher import Load, PublisherReport
from benchmarks.report import Column, Table, count, cpu, cpu_figures, millis, number, text
from benchmarks.server_process import Server

COLUMNS = [
    Column("run", text("run"), left=True),
    Column("p50 ms", millis("p50_ms")),
    Column("p99", millis("p99_ms")),
    Column("max", millis("max_ms")),
    Column("published/s", count("published_per_s")),
    Column("RSS +MB", number("growth_megabytes")),
    Column("slow got", count("slow_events")),
    Column("in s", number("slow_seconds", 2)),
    Column("server CPU", cpu("server")),
    Column("load CPU", cpu("load")),
]
_CATCH_UP_S = 60.0


@dataclass(frozen=True)
class Burst:
    """What was seen while the burst was published (memory, CPU) and in the end."""

    published: PublisherReport
    load: LoadReport
    growth_bytes: int
    later_growth_bytes: int
    slow_seconds: float | None
    server_cpu_s: float
    wall_s: float


def run(bench: Bench) -> Table:
    """A row without and a row with the slow client, for each server."""
    options = bench.options
    rate = options.slow_events / options.slow_rest_s
    table = bench.table(
        f"Slow client: {options.slow_events:,} events at {rate:,.0f}/s to {options.slow_clients} clients; "
        f"one more rests {options.slow_rest_s:.0f} s",
        COLUMNS,
    )
    for app in options.apps:
        p99: list[float] = []
        for slow in (0, 1):
            name = f"{app}, {'with' if slow else 'without'}"
            bench.say(f"slow client, {name}")
            with bench.fresh_server(app) as server:
                burst = _play(bench, server, slow)
            row = _row(name, burst)
            table.rows.append(row)
            table.notes += [f"{name}: {fault}." for fault in row["faults"]]
            p99.append(row["p99_ms"])
        if all(p99):
            table.notes.append(
                f"{app}: p99 of the others with the slow client is {p99[1] / p99[0]:.2f} × without."
            )
    return table


def _play(bench: Bench, server: Server, slow: int) -> Burst:
    options = bench.options
    stream = bench.new_stream()
    load = Load(
        rate=options.slow_events / options.slow_rest_s,
        events=options.slow_events,
        events_per_post=options.slow_events_per_post,
        connections=options.connections,
    )
    limit_s = 2 * options.slow_rest_s + 10
    clients = options.slow_clients + slow
    with bench.load_generator(
        server, stream.path(), clients, slow=slow, check_order=True, timeout_s=limit_s + _CATCH_UP_S + 60
    ) as generator:
        generator.wait_ready()
        time.sleep(options.settle_s)
        generator.reset()
        watch = Stopwatch(server.pid)
        with MemorySampler(server.pid) as during:
            with bench.publisher(server, stream, load) as publisher:
                published = publisher.finish(limit_s)
            time.sleep(max(0.0, options.slow_rest_s - watch.wall_s()))
        cpu_s, wall_s = watch.cpu_s(server.pid), watch.wall_s()
        with MemorySampler(server.pid) as later:
            report, slow_seconds = _read_on(generator, published, slow)
    return Burst(
        published,
        report,
        during.growth_bytes,
        later.peak_bytes - during.start_bytes,
        slow_seconds,
        cpu_s,
        wall_s,
    )


def _read_on(
    generator: LoadGenerator, published: PublisherReport, slow: int
) -> tuple[LoadReport, float | None]:
    generator.resume()
    generator.expect(published.acknowledged)
    report = generator.finish(_CATCH_UP_S)
    caught = report.slow.span_s if slow and report.slow else None
    return report, caught


def _row(name: str, burst: Burst) -> dict[str, Any]:
    load, slow = burst.load, burst.load.slow
    return {
        "run": name,
        "p50_ms": load.latency.p50 / 1000,
        "p95_ms": load.latency.p95 / 1000,
        "p99_ms": load.latency.p99 / 1000,
        "max_ms": load.latency.max / 1000,
        "published_per_s": burst.published.per_s,
        "growth_megabytes": burst.growth_bytes / 1e6,
        "growth_later_megabytes": burst.later_growth_bytes / 1e6,
        "slow_events": slow.events_per_client[0] if slow else None,
        "slow_seconds": burst.slow_seconds,
        "faults": _faults(burst),
        **cpu_figures("server", burst.server_cpu_s, burst.wall_s),
        **cpu_figures("load", load.cpu_s + burst.published.cpu_s, burst.wall_s),
    }


def _faults(burst: Burst) -> list[str]:
    load = burst.load
    found = burst.published.faults() + load.faults()
    if load.complete < load.clients:
        found.append(
            f"{load.clients - load.complete} clients did not get all {burst.published.acknowledged:,} events"
        )
    if load.slow:
        found += [f"slow client: {fault}" for fault in load.slow.order_faults()]
        same = load.slow.order_hash == load.order_hash
        found += [] if same else ["the slow client received other events than the rest"]
    return found
