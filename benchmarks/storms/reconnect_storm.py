"""Many clients reconnect at once, each far behind, while events keep coming.

The stream's first event gives a cursor; the history comes behind it. So every returning client is exactly
that many events back, and must receive the seqs from the next one to the last, once each. A client that is
connected all the time shows what live traffic notices of it.
"""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import dataclass
from typing import Any

from benchmarks.bench import Bench, Stream
from benchmarks.loadgen import LoadGenerator, LoadReport
from benchmarks.options import Options
from benchmarks.process_stats import MemorySampler, Stopwatch
from benchmarks.publisher import Load, Publisher, PublisherReport
from benchmarks.report import Column, Table, count, cpu, cpu_figures, millis, number, text
from benchmarks.server_process import NAIVE, Server

COLUMNS = [
    Column("clients", count("clients")),
    Column("connected s", number("connect_s", 2)),
    Column("caught up s", number("caught_up_s", 2)),
    Column("p50 s", number("caught_up_p50_s", 2)),
    Column("deliveries", count("deliveries")),
    Column("RSS +MB", number("growth_megabytes")),
    Column("live p50 ms", millis("live_p50_ms")),
    Column("p99", millis("live_p99_ms")),
    Column("max", millis("live_max_ms")),
    Column("exact", text("exact"), left=True),
]
_FILL_S = 120.0


@dataclass(frozen=True)
class Storm:
    """What was seen. `after_seq` is where the returning clients stood."""

    after_seq: int
    load: LoadReport
    live: LoadReport
    live_end: LoadReport
    published: PublisherReport
    connect_s: float
    caught_up_s: float | None
    peak_bytes: int
    growth_bytes: int
    server_cpu_s: float
    wall_s: float


def run(bench: Bench) -> Table:
    """One row; the naive loop has no cursors to come back with."""
    options = bench.options
    table = bench.table(
        f"Reconnect storm: {options.storm_clients:,} clients come back {options.storm_back:,} events behind, "
        f"{options.storm_rate} events/s",
        COLUMNS,
    )
    for app in options.apps:
        if app == NAIVE:
            table.notes.append("naive: has no history to come back to; there is nothing to compare with.")
            continue
        bench.say(f"reconnect storm, {app}")
        with bench.fresh_server(app) as server:
            storm = _play(bench, server)
        row = _row(storm)
        table.rows.append(row)
        table.notes += [f"{fault}." for fault in row["faults"]]
        table.notes.append(
            f"Server: peak RSS {row['peak_megabytes']:,.0f} MB, CPU {cpu('server')(row)} until all had "
            f"caught up; load generators and publisher: CPU {cpu('load')(row)}."
        )
    return table


def _play(bench: Bench, server: Server) -> Storm:
    options = bench.options
    stream = bench.new_stream()
    after_seq, cursor = _first_event(server, stream)
    history = Load(events=options.storm_back, events_per_post=500)
    with bench.publisher(server, stream, history) as past:
        past.finish(_FILL_S)
    timeout_s = options.storm_limit_s + 60
    traffic = Load(rate=options.storm_rate, seconds=timeout_s, connections=options.connections)
    with bench.load_generator(server, stream.path(), 1, timeout_s=timeout_s, check_order=True) as live:
        live.wait_ready()
        with bench.publisher(server, stream, traffic) as publisher:
            time.sleep(_calm_s(options))
            live.reset()
            with MemorySampler(server.pid) as memory:
                return _come_back(
                    bench, server, stream.path(f"after={cursor}"), after_seq, live, publisher, memory
                )


def _come_back(
    bench: Bench,
    server: Server,
    path: str,
    after_seq: int,
    live: LoadGenerator,
    publisher: Publisher,
    memory: MemorySampler,
) -> Storm:
    """The storm itself, from the first connect until everyone has everything."""
    options = bench.options
    limit_s = options.storm_limit_s
    watch = Stopwatch(server.pid)
    with bench.load_generator(
        server, path, options.storm_clients, timeout_s=limit_s + 60, check_order=True
    ) as returning:
        ready = returning.wait_ready(limit_s)
        caught_up = returning.wait_caught_up(limit_s)
        meanwhile = live.report()
        cpu_s, wall_s = watch.cpu_s(server.pid), watch.wall_s()
        time.sleep(_calm_s(options))
        published = publisher.stop()
        returning.expect(published.last_seq - after_seq)
        live.expect(published.acknowledged)
        return Storm(
            after_seq=after_seq,
            load=returning.finish(options.drain_s),
            live=meanwhile,
            live_end=live.finish(options.drain_s),
            published=published,
            connect_s=ready.seconds,
            caught_up_s=caught_up.seconds if caught_up else None,
            peak_bytes=memory.peak_bytes,
            growth_bytes=memory.growth_bytes,
            server_cpu_s=cpu_s,
            wall_s=wall_s,
        )


def _calm_s(options: Options) -> float:
    """How long there is only live traffic, before the storm and after it."""
    return 0.3 if options.quick else 2.0


def _first_event(server: Server, stream: Stream) -> tuple[int, str]:
    """Publish the event that the returning clients saw last: its seq and the cursor behind it."""
    request = urllib.request.Request(
        f"{server.url}/api/v1/streams/{stream.name}/events",
        data=b'[{"type":"tool_call","data":{"tool_name":"Read"}}]',
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        answer = json.load(response)
    return int(answer["last_seq"]), str(answer["cursor"])


def _row(storm: Storm) -> dict[str, Any]:
    faults = _faults(storm)
    latency = storm.live.latency
    load_cpu_s = storm.load.cpu_s + storm.live_end.cpu_s + storm.published.cpu_s
    return {
        "clients": storm.load.connected,
        "connect_s": storm.connect_s,
        "caught_up_s": storm.caught_up_s,
        "caught_up_p50_s": storm.load.catch_up.p50 / 1e6,
        "deliveries": storm.load.measured,
        "peak_megabytes": storm.peak_bytes / 1e6,
        "growth_megabytes": storm.growth_bytes / 1e6,
        "live_p50_ms": latency.p50 / 1000,
        "live_p99_ms": latency.p99 / 1000,
        "live_max_ms": latency.max / 1000,
        "published_per_s": storm.published.per_s,
        "exact": "no" if faults else "yes",
        "faults": faults,
        **cpu_figures("server", storm.server_cpu_s, storm.wall_s),
        **cpu_figures("load", load_cpu_s, storm.load.wall_s),
    }


def _faults(storm: Storm) -> list[str]:
    """Everything that keeps the storm from being exact."""
    load = storm.load
    found = storm.published.faults() + load.faults()
    found += [f"live client: {fault}" for fault in storm.live_end.faults()]
    first, last = storm.after_seq + 1, storm.published.last_seq
    if load.first_seq != (first, first) or load.last_seq != (last, last):
        found.append(
            f"clients have seqs {load.first_seq[0]}..{load.first_seq[1]} to "
            f"{load.last_seq[0]}..{load.last_seq[1]}, not {first} to {last}"
        )
    wanted = last - storm.after_seq
    if load.events_per_client != (wanted, wanted):
        found.append(f"clients have {load.events_per_client} events, not {wanted:,}")
    if storm.caught_up_s is None:
        found.append("not all clients caught up within the time given")
    return found
