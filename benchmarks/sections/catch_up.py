"""Catching up: one client reads a long stream from its start, when nothing else happens."""

from __future__ import annotations

from typing import Any

from benchmarks.bench import Bench, Stream
from benchmarks.process_stats import Stopwatch
from benchmarks.publisher import Load
from benchmarks.report import Column, Table, count, cpu, cpu_figures, number, text
from benchmarks.server_process import NAIVE, Server

COLUMNS = [
    Column("events", count("events")),
    Column("batch size", text("batch_size")),
    Column("events/s", count("events_per_s")),
    Column("MB/s", number("megabytes_per_s")),
    Column("seconds", number("seconds", 2)),
    Column("server CPU", cpu("server")),
    Column("load CPU", cpu("load")),
]
_LIMIT_S = 120.0
_BATCH_SIZES = ("default", "1000")


def run(bench: Bench) -> Table:
    """One row for each batch size; the naive loop keeps no history."""
    options = bench.options
    table = bench.table("Catch-up of one reader: a WebSocket client with ?after=start", COLUMNS)
    if NAIVE in options.apps:
        table.notes.append("naive: keeps no history; there is nothing to compare with.")
    for app in (app for app in options.apps if app != NAIVE):
        with bench.server(app) as server:
            stream = bench.new_stream()
            bench.say(f"catch-up, filling a stream with {options.catch_up_events:,} events")
            _fill(bench, server, stream)
            for batch_size in _BATCH_SIZES:
                bench.say(f"catch-up, batch size {batch_size}")
                row, faults = _measure(bench, server, stream, batch_size)
                table.rows.append(row)
                table.notes += [f"batch size {batch_size}: {fault}." for fault in faults]
    return table


def _fill(bench: Bench, server: Server, stream: Stream) -> None:
    load = Load(events=bench.options.catch_up_events, events_per_post=500, connections=2)
    with bench.publisher(server, stream, load) as publisher:
        report = publisher.finish(_LIMIT_S)
    if report.acknowledged < bench.options.catch_up_events:
        raise RuntimeError(f"only {report.acknowledged:,} events could be published: {report.failure}")


def _measure(
    bench: Bench, server: Server, stream: Stream, batch_size: str
) -> tuple[dict[str, Any], list[str]]:
    events = bench.options.catch_up_events
    path = stream.path("after=start" + ("" if batch_size == "default" else f"&batch_size={batch_size}"))
    watch = Stopwatch(server.pid)
    with bench.load_generator(
        server, path, 1, timeout_s=_LIMIT_S, expect=events, check_order=True
    ) as generator:
        report = generator.finish(_LIMIT_S)
        spent = watch.cpu_s(server.pid)
    # From the connect, not from the first event: the first page is a part of catching up.
    seconds = report.active_s
    row = {
        "events": report.measured,
        "batch_size": batch_size,
        "events_per_s": report.measured / seconds if seconds else None,
        "megabytes_per_s": report.bytes / seconds / 1e6 if seconds else None,
        "seconds": seconds,
        "faults": report.faults(),
        **cpu_figures("server", spent, seconds),
        **cpu_figures("load", report.cpu_s, seconds),
    }
    short = [] if report.complete else [f"{report.measured:,} of {events:,} events within {_LIMIT_S:.0f} s"]
    return row, short + report.faults()
