"""Two servers on one SQLite file, a publisher and clients at each, all on one stream.

The publishers' tags are told apart in every stamp, so that an event's way from one server's commit to the
other server's client is measured by itself. All clients read from the start and must have one order.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks.bench import Bench, remove_log
from benchmarks.loadgen import Latency, LoadReport
from benchmarks.process_stats import Stopwatch
from benchmarks.publisher import Load, PublisherReport
from benchmarks.report import Column, Table, count, cpu, cpu_figures, millis, text
from benchmarks.server_process import NAIVE

COLUMNS = [
    Column("server", text("server"), left=True),
    Column("clients", count("clients")),
    Column("events from", text("origin"), left=True),
    Column("p50 ms", millis("p50_ms")),
    Column("p95", millis("p95_ms")),
    Column("p99", millis("p99_ms")),
    Column("max", millis("max_ms")),
    Column("ack p99 ms", millis("ack_p99_ms")),
    Column("server CPU", cpu("server")),
]
_TAGS = (1, 2)
_NAMES = ("A", "B")


@dataclass(frozen=True)
class Side:
    """One server with what was published and received at it."""

    load: LoadReport
    published: PublisherReport
    server_cpu_s: float


def run(bench: Bench) -> Table:
    """Two rows for each server: events that were published at it, and those from the other one."""
    options = bench.options
    table = bench.table(
        f"Two servers on one file: {options.two_rate} events/s posted at each, one stream", COLUMNS
    )
    for app in options.apps:
        if app == NAIVE:
            table.notes.append("naive: two processes share nothing; there is nothing to compare with.")
            continue
        bench.say(f"two servers, {app}")
        sides, wall_s = _play(bench, app)
        table.rows = [
            _row(index, sides, from_index, wall_s) for index in range(2) for from_index in (index, 1 - index)
        ]
        faults = _faults(sides)
        table.notes += [f"{fault}." for fault in faults]
        total = sum(side.published.acknowledged for side in sides)
        if not faults:
            table.notes.append(f"All clients of both servers have the same {total:,} events in one order.")
    return table


def _play(bench: Bench, app: str) -> tuple[list[Side], float]:
    options = bench.options
    log = bench.folder / "two-servers.db"
    stream = bench.new_stream()
    timeout_s = options.two_seconds + options.drain_s + 60
    path = stream.path("after=start")
    with ExitStack() as stack:
        stack.callback(remove_log, log)
        servers = [stack.enter_context(bench.fresh_server(app, log)) for _ in _NAMES]
        generators = [
            stack.enter_context(
                bench.load_generator(server, path, options.two_clients, timeout_s=timeout_s, check_order=True)
            )
            for server in servers
        ]
        for generator in generators:
            generator.wait_ready()
        time.sleep(options.settle_s)
        watch = Stopwatch(*(server.pid for server in servers))
        publishers = [
            stack.enter_context(bench.publisher(server, stream, _load(bench, tag)))
            for server, tag in zip(servers, _TAGS, strict=True)
        ]
        published = [publisher.finish(options.two_seconds + 5) for publisher in publishers]
        wall_s = watch.wall_s()
        spent = [watch.cpu_s(server.pid) for server in servers]
        for generator in generators:
            generator.expect(sum(one.acknowledged for one in published))
        reports = [generator.finish(options.drain_s) for generator in generators]
    return [Side(*one) for one in zip(reports, published, spent, strict=True)], wall_s


def _load(bench: Bench, tag: int) -> Load:
    options = bench.options
    return Load(
        rate=options.two_rate, seconds=options.two_seconds, connections=options.connections // 2, tag=tag
    )


def _row(index: int, sides: list[Side], from_index: int, wall_s: float) -> dict[str, Any]:
    side = sides[index]
    latency: Latency | None = side.load.latency_by_tag.get(str(_TAGS[from_index]))
    quantiles = {
        f"{name}_ms": getattr(latency, name) / 1000 if latency else None
        for name in ("p50", "p95", "p99", "max")
    }
    return {
        "server": _NAMES[index],
        "clients": side.load.connected,
        "origin": "itself" if index == from_index else f"server {_NAMES[from_index]}",
        **quantiles,
        "ack_p99_ms": sides[from_index].published.ack.p99 / 1000,
        **cpu_figures("server", side.server_cpu_s, wall_s),
    }


def _faults(sides: list[Side]) -> list[str]:
    total = sum(side.published.acknowledged for side in sides)
    found: list[str] = []
    for name, side in zip(_NAMES, sides, strict=True):
        found += [f"server {name}: {fault}" for fault in side.published.faults() + side.load.faults()]
        load = side.load
        if load.events_per_client != (total, total) or load.last_seq != (total, total):
            found.append(
                f"server {name}: clients have {load.events_per_client} events up to seq {load.last_seq}, "
                f"not {total:,}"
            )
    if sides[0].load.order_hash != sides[1].load.order_hash:
        found.append("the clients of the two servers have different orders")
    return found
