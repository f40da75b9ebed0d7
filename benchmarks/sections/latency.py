"""Latency at a fixed rate: from right before the post to the client's read of the whole message."""

from __future__ import annotations

from typing import Any

from benchmarks.bench import Bench
from benchmarks.publisher import Load
from benchmarks.report import Column, Table, count, cpu, millis, text, times
from benchmarks.rounds import Round, play
from benchmarks.server_process import NAIVE

COLUMNS = [
    Column("clients", count("clients")),
    Column("server", text("server"), left=True),
    Column("p50 ms", millis("p50_ms")),
    Column("p95", millis("p95_ms")),
    Column("p99", millis("p99_ms")),
    Column("max", millis("max_ms")),
    Column("events/s", count("published_per_s")),
    Column("server CPU", cpu("server")),
    Column("load CPU", cpu("load")),
    Column("p99 better", times("p99_better")),
]


def run(bench: Bench) -> Table:
    """One row for each number of clients and each server."""
    options = bench.options
    table = bench.table(f"Latency at {options.rate:,} events/s, {options.events_per_post} per post", COLUMNS)
    for clients in options.clients:
        naive_p99: float | None = None
        for app in options.apps:
            bench.say(f"latency, {app}, {clients:,} clients")
            played = _play(bench, app, clients)
            row = _row(app, played)
            if app == NAIVE:
                naive_p99 = row["p99_ms"]
            elif naive_p99 and row["p99_ms"]:
                row["p99_better"] = round(naive_p99 / row["p99_ms"], 2)
            table.rows.append(row)
            table.notes += [f"{clients:,} clients, {app}: {note}." for note in played.notes()]
    return table


def _play(bench: Bench, app: str, clients: int) -> Round:
    options = bench.options
    load = Load(
        rate=options.rate,
        seconds=options.warmup_s + options.seconds,
        events_per_post=options.events_per_post,
        connections=options.connections,
    )
    with bench.server(app) as server:
        stream = bench.new_stream()
        return play(bench, server, stream, clients, load, warmup_s=options.warmup_s, limit_s=options.seconds)


def _row(app: str, played: Round) -> dict[str, Any]:
    latency = played.load.latency
    seen = latency.count > 0
    return {
        "clients": played.clients,
        "server": app,
        **{
            f"{name}_ms": getattr(latency, name) / 1000 if seen else None
            for name in ("p50", "p95", "p99", "max")
        },
        "published_per_s": played.published.per_s,
        "publisher_lag_p99_ms": played.published.lag.p99 / 1000,
        "ack_p50_ms": played.published.ack.p50 / 1000,
        "ack_p99_ms": played.published.ack.p99 / 1000,
        "deliveries": latency.count,
        "keeps_up": played.keeps_up(),
        "faults": played.notes(),
        **played.cpu(),
    }
