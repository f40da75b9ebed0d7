"""Several servers on one Redis: what they deliver together, how late, at what cost; every delivery is checked.

Each node has its clients, spread evenly over the streams, and a publisher that posts to all streams by turns. If a rate
is held, twice of it is tried next, and so on; if not, half of it: the table shows where it breaks.
"""

from __future__ import annotations

import os
from typing import Any

from benchmarks.bench import Bench
from benchmarks.loadgen import Latency
from benchmarks.node_checks import broken, due, faults
from benchmarks.node_steps import Side, Step, play
from benchmarks.redis_nodes import nodes
from benchmarks.report import Column, Table, count, cpu, cpu_figures, millis, number, text
from benchmarks.rounds import KEEPS_UP

COLUMNS = [
    Column("events/s", count("rate")),
    Column("who", text("who"), left=True),
    Column("posted/s", count("published_per_s")),
    Column("deliveries/s", count("deliveries_per_s")),
    Column("p50 ms", millis("p50_ms")),
    Column("p99", millis("p99_ms")),
    Column("max", millis("max_ms")),
    Column("CPU", cpu("own")),
    Column("RSS MB", number("megabytes")),
    Column("KiB idle", number("idle_kib")),
    Column("KiB load", number("load_kib")),
]
FULL = 0.9
"""Of all cores: then the machine is what breaks."""
OTHERS = 0.1
"""Of all cores, in use by others: the figures are not worth much then."""


def run(bench: Bench) -> Table:
    """Rows of the rate that was asked for, and of higher or lower ones.

    Raises:
        RuntimeError: an event was doubled or left out, or came in another order: no rate excuses that.
    """
    options = bench.options
    table = bench.table(
        f"{options.nodes} nodes on one Redis (AOF {options.node_aof}): {options.node_clients:,} clients at each, "
        f"{options.node_streams} streams, {options.node_events_per_post} events of 500 bytes per post",
        COLUMNS,
    )
    bench.say(f"{options.nodes} nodes, starting")
    with nodes(bench, options.nodes) as running:
        rate, first_held, wrong = options.node_rate, None, list[str]()
        for _ in range(options.node_steps):
            bench.say(f"{options.nodes} nodes, {rate:,} events/s")
            step = play(bench, running, rate)
            table.rows += _rows(step, is_first=first_held is None)
            failing = _failing(bench, step)
            table.notes += [f"{rate:,} events/s: {note}." for note in failing + _notes(step)]
            wrong = wrong or broken(step)
            held = not failing
            first_held = held if first_held is None else first_held
            if held is not first_held:
                break
            rate = rate * 2 if held else rate // 2
    table.notes.append(
        "KiB of a node's RSS for each of its connections: idle, over which nothing was sent yet; under load, at the peak. "
        "Later steps stand on what the first has left behind."
    )
    if wrong:
        raise RuntimeError("; ".join(wrong))
    return table


def _rows(step: Step, *, is_first: bool) -> list[dict[str, Any]]:
    rows = [_row(f"node {place}", step, side, is_first) for place, side in enumerate(step.sides, start=1)]
    redis = cpu_figures("own", step.redis_cpu_s, step.wall_s) | {"megabytes": step.redis_bytes / 1e6}
    load = cpu_figures("own", step.load_cpu_s, step.wall_s)
    return [*rows, {"rate": step.rate, "who": "Redis"} | redis, {"rate": step.rate, "who": "load"} | load]


def _row(who: str, step: Step, side: Side, is_first: bool) -> dict[str, Any]:
    latency, clients = side.load.latency, max(side.load.connected, 1)
    seen = {name: getattr(latency, name) / 1000 for name in ("p50", "p99", "max") if latency.count}
    return {
        "rate": step.rate,
        "who": who,
        "published_per_s": side.published.per_s,
        "deliveries_per_s": side.load.per_s,
        **{f"{name}_ms": value for name, value in seen.items()},
        **cpu_figures("own", side.cpu_s, step.wall_s),
        "megabytes": side.peak_bytes / 1e6,
        "idle_kib": (side.idle_bytes - side.before_bytes) / 1024 / clients if is_first else None,
        "load_kib": (side.peak_bytes - side.before_bytes) / 1024 / clients if is_first else None,
        "posts_acknowledged_p99_ms": side.published.ack.p99 / 1000,
        "faults": side.published.faults() + side.load.faults(),
    }


def _failing(bench: Bench, step: Step) -> list[str]:
    """Why the rate is not held, in words; empty if it is."""
    options = bench.options
    found: list[str] = []
    if step.published_per_s < KEEPS_UP * step.rate:
        found.append(f"NOT HELD: {step.published_per_s:,.0f} events/s were taken")
    late = max(side.load.latency.p99 for side in step.sides) / 1000
    if late > options.node_late_ms:
        found.append(f"NOT HELD: p99 over {options.node_late_ms:.0f} ms")
    return found + faults(step)


def _notes(step: Step) -> list[str]:
    """What the rows do not say."""
    found = [*_delivered(step), _by_origin(step)]
    shares = {
        "nodes": sum(side.cpu_s for side in step.sides) / step.wall_s,
        "Redis": step.redis_cpu_s / step.wall_s,
        "load generators and publishers": step.load_cpu_s / step.wall_s,
    }
    busy = step.busy_cpu_s / step.wall_s
    shares["everything else"] = max(0.0, busy - sum(shares.values()))
    cores = os.cpu_count() or 1
    parts = ", ".join(f"{who} {share:.2f}" for who, share in shares.items())
    found.append(f"of {cores} cores {busy:.2f} were in use ({parts})")
    if busy > FULL * cores:
        found.append("the machine is FULL")
    if shares["everything else"] > OTHERS * cores:
        found.append("OTHER PROGRAMS were at work: the figures are worse than they are")
    return found


def _delivered(step: Step) -> list[str]:
    loads = [side.load for side in step.sides]
    total = sum(due(step, load) for load in loads)
    rate, frames = (
        sum(load.per_s for load in loads),
        sum(load.messages / max(load.span_s, 1e-9) for load in loads),
    )
    said = (
        f"{sum(step.expected):,} events acknowledged, {total:,} deliveries due; {rate:,.0f} of them a second, "
        f"in {frames:,.0f} frames"
    )
    if faults(step):
        return [said]
    return [said, "each client got every event of its stream once and in order, on all nodes the same"]


def _by_origin(step: Step) -> str:
    """Latencies of what was posted at the client's own node, and at another one; the worst node's."""
    own: list[Latency] = []
    foreign: list[Latency] = []
    for place, side in enumerate(step.sides, start=1):
        for tag, latency in side.load.latency_by_tag.items():
            (own if int(tag) == place else foreign).append(latency)
    acknowledged = max(side.published.ack.p99 for side in step.sides) / 1000
    said = [f"posts were acknowledged in p50 {_worst_ack(step):.1f} ms, p99 {acknowledged:.1f} ms"]
    for words, found in (("posted at the client's node", own), ("at another one", foreign)):
        if found:
            p50, p99 = (max(getattr(one, name) for one in found) / 1000 for name in ("p50", "p99"))
            said.append(f"{words}: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    return "the slowest node's figures: " + "; ".join(said)


def _worst_ack(step: Step) -> float:
    return max(side.published.ack.p50 for side in step.sides) / 1000
