"""Saturation: how many deliveries a second one core makes when the publisher never waits for a clock.

Counted from the start of publishing to the last delivery: from the first delivery on, a server that holds
back and then sends all at once would look fast.
"""

from __future__ import annotations

from typing import Any

from benchmarks.bench import Bench
from benchmarks.publisher import Load
from benchmarks.report import Column, Table, count, cpu, number, text, times
from benchmarks.rounds import Round, play
from benchmarks.server_process import NAIVE

COLUMNS = [
    Column("clients", count("clients")),
    Column("server", text("server"), left=True),
    Column("deliveries/s", count("deliveries_per_s")),
    Column("MB/s", count("megabytes_per_s")),
    Column("published/s", count("published_per_s")),
    Column("delivered %", number("delivered_percent")),
    Column("server CPU", cpu("server")),
    Column("load CPU", cpu("load")),
    Column("more", times("more")),
]
_BUSY_PERCENT = 95


def run(bench: Bench) -> Table:
    """One row for each number of clients and each server."""
    options = bench.options
    size, posts = options.saturation_events_per_post, options.saturation_connections
    table = bench.table(
        f"Saturation, {posts} posts of {size} events under way{_window(options.window)}", COLUMNS
    )
    for clients in options.clients:
        naive: float | None = None
        for app in options.apps:
            bench.say(f"saturation, {app}, {clients:,} clients")
            played = _play(bench, app, clients)
            row = _row(app, played)
            if app == NAIVE:
                naive = row["deliveries_per_s"]
            elif naive:
                row["more"] = round(row["deliveries_per_s"] / naive, 2)
            table.rows.append(row)
            table.notes += [f"{clients:,} clients, {app}: {note}." for note in _notes(row, played)]
    return table


def _window(events: int) -> str:
    return f", at most {events:,} events ahead of the clients" if events else ""


def _play(bench: Bench, app: str, clients: int) -> Round:
    options = bench.options
    load = Load(
        seconds=options.saturation_s,
        events_per_post=options.saturation_events_per_post,
        connections=options.saturation_connections,
        window=options.window,
        progress=bench.progress_file() if options.window else None,
    )
    with bench.server(app) as server:
        stream = bench.new_stream()
        return play(bench, server, stream, clients, load, warmup_s=0, limit_s=options.saturation_s)


def _row(app: str, played: Round) -> dict[str, Any]:
    load = played.load
    expected = played.expected * played.clients
    return {
        "clients": played.clients,
        "server": app,
        "deliveries_per_s": load.measured / load.active_s if load.active_s else 0.0,
        "first_to_last_per_s": load.per_s,
        "megabytes_per_s": load.bytes / load.active_s / 1e6 if load.active_s else None,
        "published_per_s": played.published.per_s,
        "delivered_percent": 100 * load.measured / expected if expected else None,
        "deliveries": load.measured,
        "ack_p99_ms": played.published.ack.p99 / 1000,
        "faults": played.notes(),
        **played.cpu(),
    }


def _notes(row: dict[str, Any], played: Round) -> list[str]:
    found = played.notes()
    if row["load_cpu_percent"] >= _BUSY_PERCENT:
        found.append("the load generator's core is full too: the server might do more")
    return found
