"""Durable appends: how many events a second are committed, by the size of a commit.

Over HTTP one post is under way at a time, so that a post of N events is a commit of N events. In Python the
same goes through the bus itself, in a process of its own (`bus_appends`); there also many publishers of
single events at once, whose commits the log groups.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from benchmarks.bench import Bench, remove_log
from benchmarks.bus_report import BusReport
from benchmarks.child import ToolError
from benchmarks.process_stats import Stopwatch
from benchmarks.publisher import Load
from benchmarks.report import Column, Table, count, cpu, cpu_figures, millis, number, text
from benchmarks.server_process import RUNCAST, Server

COLUMNS = [
    Column("per commit", number("per_commit", 0)),
    Column("way", text("way"), left=True),
    Column("events/s", count("events_per_s")),
    Column("commits/s", count("commits_per_s")),
    Column("p50 ms", millis("p50_ms")),
    Column("p99", millis("p99_ms")),
    Column("max", millis("max_ms")),
    Column("server CPU", cpu("server")),
    Column("load CPU", cpu("load")),
]
_LIMIT_S = 30.0


def run(bench: Bench) -> Table:
    """Rows for the bus in Python, and for HTTP to each server."""
    table = bench.table("Appends of 500-byte events, one commit under way; naive is in memory only", COLUMNS)
    options = bench.options
    if RUNCAST in options.apps:
        for size in options.append_sizes:
            bench.say(f"appends, bus, {size:,} per commit")
            _through_bus(bench, table, size, 1)
        bench.say(f"appends, bus, {options.append_publishers} publishers of single events")
        _through_bus(bench, table, 1, options.append_publishers)
    for app in reversed(options.apps):
        with bench.server(app) as server:
            for row in _over_http(bench, server):
                table.rows.append(row)
                table.notes += [
                    f"{row['way']}, {row['per_commit']:,} per commit: {f}." for f in row["faults"]
                ]
    return table


def _through_bus(bench: Bench, table: Table, size: int, publishers: int) -> None:
    way = "bus" if publishers == 1 else f"bus, {publishers} publishers"
    try:
        report = _run_bus(bench, size, publishers)
    except ToolError as error:
        table.notes.append(f"{way}, {size:,} events: not measured: {error}")
        return
    table.rows.append(
        {
            "per_commit": report.events / report.commits,
            "way": way,
            "events_per_s": report.events / report.wall_s,
            "commits_per_s": report.commits / report.wall_s,
            "p50_ms": report.p50_ms,
            "p99_ms": report.p99_ms,
            "max_ms": report.max_ms,
            **cpu_figures("server", report.cpu_s, report.wall_s),
        }
    )


def _run_bus(bench: Bench, size: int, publishers: int) -> BusReport:
    options = bench.options
    log = bench.folder / f"appends-{size}-{publishers}.db"
    command = [sys.executable, "-m", "benchmarks.bus_appends", str(log), str(size), str(publishers)]
    command += [str(options.append_s), str(options.server_core)]
    result = subprocess.run(command, capture_output=True, check=False, timeout=options.append_s + _LIMIT_S)
    remove_log(log)
    if result.returncode:
        raise ToolError(result.stderr.decode(errors="replace").strip().rpartition("\n")[2][:200])
    return msgspec.json.decode(result.stdout, type=BusReport)


def _over_http(bench: Bench, server: Server) -> Iterator[dict[str, Any]]:
    options = bench.options
    for size in options.append_sizes:
        bench.say(f"appends, HTTP to {server.app}, {size:,} per commit")
        watch = Stopwatch(server.pid)
        load = Load(seconds=options.append_s, events_per_post=size)
        with bench.publisher(server, bench.new_stream(), load) as publisher:
            report = publisher.finish(options.append_s + _LIMIT_S)
            spent = watch.cpu_s(server.pid)
        yield {
            "per_commit": size,
            "way": f"HTTP, {server.app}",
            "events_per_s": report.per_s,
            "commits_per_s": report.per_s / size,
            "p50_ms": report.ack.p50 / 1000,
            "p99_ms": report.ack.p99 / 1000,
            "max_ms": report.ack.max / 1000,
            "faults": report.faults(),
            **cpu_figures("server", spent, report.wall_s),
            **cpu_figures("load", report.cpu_s, report.wall_s),
        }
