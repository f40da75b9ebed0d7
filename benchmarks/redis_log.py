"""Appends to the log on Redis beside raw pipelined XADD by redis-py, in turns, on one server.

    python -m benchmarks redis                          # its own redis-server, AOF everysec
    python -m benchmarks redis --set node_aof=off       # or always, or no
    python -m benchmarks.redis_log --url redis://host   # a server that is there; keys named bench… are left behind

Both send batches of 500-byte events to one stream from one thread, and wait for the answer of each before the next.
XADD stores the same bytes in the same two fields, and no more: no numbers, no ids, no firehose, no runs. Each side has
connections of its own and reads its answers by the same library; who begins alternates from turn to turn.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from redis import Redis

from benchmarks.bench import Bench
from benchmarks.redis_nodes import every_core, redis_on_disk
from benchmarks.report import Column, Table, count, millis, number, text
from runcast.core.event import NewEvent
from runcast.log.redis import RedisLog

COLUMNS = [
    Column("per batch", count("per_batch")),
    Column("who", text("who"), left=True),
    Column("events/s", count("events_per_s")),
    Column("least", count("least_per_s")),
    Column("most", count("most_per_s")),
    Column("p50 ms", millis("p50_ms")),
    Column("p99", millis("p99_ms")),
    Column("max", millis("max_ms")),
    Column("of XADD %", number("percent", 0)),
]
BODY = b'{"text":"' + b"x" * 489 + b'"}'
ID = "0198a1fa-089e-776d-b2f7-b991ff990000"
NOW_US = 1_800_000_000_000_000
FIRST_S = 0.2
"""Beforehand, of each: so that connections are open, and scripts loaded."""

Act = Callable[[], object]


@dataclass
class Turns:
    """What one side has done: the seconds of each batch, and of each turn the events per second."""

    per_batch: int
    times_s: list[float] = field(default_factory=list[float])
    rates: list[float] = field(default_factory=list[float])

    def play(self, act: Act, seconds: float) -> None:
        """One more turn."""
        times = repeat(act, seconds)
        self.times_s += times
        self.rates.append(self.per_batch * len(times) / sum(times))

    def row(self, who: str) -> dict[str, Any]:
        """Its figures: the median of all turns, quantiles of all batches."""
        ordered = sorted(self.times_s)
        return {
            "per_batch": self.per_batch,
            "who": who,
            "events_per_s": median(self.rates),
            "least_per_s": min(self.rates),
            "most_per_s": max(self.rates),
            "p50_ms": quantile(ordered, 0.5) * 1000,
            "p99_ms": quantile(ordered, 0.99) * 1000,
            "max_ms": ordered[-1] * 1000,
            "batches": len(ordered),
        }


def run(bench: Bench) -> Table:
    """Two rows for each size of a batch."""
    options = bench.options
    table = new_table(bench.table, f"AOF {options.node_aof}")
    with every_core(), redis_on_disk(bench, options.node_aof) as server:
        for size in options.redis_batches:
            bench.say(f"redis, {size} per batch")
            table.rows += compare(server.url, size, options.redis_turns, options.redis_turn_s)
            server.client.flushall()  # so that each size begins with an empty server
    table.notes += remarks(options.redis_turns, options.redis_turn_s)
    return table


def new_table(make: Callable[[str, list[Column]], Table], what: str) -> Table:
    """An empty one."""
    return make(f"Appends of 500-byte events to Redis ({what}), one thread, one batch under way", COLUMNS)


def remarks(turns: int, seconds: float) -> list[str]:
    """How to read it."""
    reader = "hiredis" if importlib.util.find_spec("hiredis") else "redis-py's own parser, in Python"
    method = (
        f"Both sides in turns of {seconds:g} s, {turns} each; events/s is the median turn's, beside it the least and the "
        "most; the percentage is the median of those of each pair of turns; p50 and p99 are of single batches."
    )
    peer = f"XADD: one command for each event, in one pipeline without MULTI; answers are read by {reader}."
    return [method, peer, f"Load of the machine: {os.getloadavg()[0]:.1f}."]


def compare(url: str, size: int, turns: int, seconds: float) -> list[dict[str, Any]]:
    """Both sides' rows; raw XADD first."""
    name = f"bench{time.time_ns()}"
    raw, log = Redis.from_url(url, protocol=2), RedisLog(url, name=name)
    events = [NewEvent("session:bench", "note", BODY, NOW_US) for _ in range(size)]

    def xadd() -> None:
        pipeline = raw.pipeline(transaction=False)
        for _ in range(size):
            pipeline.execute_command("XADD", name, "*", "i", ID, "e", BODY)
        pipeline.execute()

    def append() -> None:
        log.append(events)

    try:
        return _in_turns(xadd, append, size, turns, seconds)
    finally:
        log.close()
        raw.delete(name)
        raw.close()


def _in_turns(xadd: Act, append: Act, size: int, turns: int, seconds: float) -> list[dict[str, Any]]:
    sides = [(xadd, Turns(size)), (append, Turns(size))]
    for act, _ in sides:
        repeat(act, min(FIRST_S, seconds))
    for turn in range(turns):
        for act, done in sides if turn % 2 else reversed(sides):
            done.play(act, seconds)
    (_, raw), (_, ours) = sides
    ratios = [own / other for own, other in zip(ours.rates, raw.rates, strict=True)]
    return [raw.row("XADD"), ours.row("Runcast") | {"percent": 100 * median(ratios)}]


def repeat(act: Act, seconds: float) -> list[float]:
    """Do it for so long; returns how long each time took, in seconds."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        begun = time.perf_counter()
        act()
        times.append(time.perf_counter() - begun)
    return times


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of sorted values."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def main() -> None:
    """Measure a server that is there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True, help="a server that is there already")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64, 256])
    parser.add_argument("--turns", type=int, default=6, help="of each side")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each turn")
    options = parser.parse_args()
    table = new_table(Table, options.url.rpartition("@")[2])
    for size in options.batches:
        table.rows += compare(options.url, size, options.turns, options.seconds)
    table.notes += remarks(options.turns, options.seconds)
    print(table.render())


if __name__ == "__main__":
    main()
