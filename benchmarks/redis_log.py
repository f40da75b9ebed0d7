"""Appends to the log on Redis beside raw pipelined XADD by redis-py, in turns, on one server.

    python -m benchmarks.redis_log                      # its own redis-server, without persistence
    python -m benchmarks.redis_log --aof everysec       # or always, or no
    python -m benchmarks.redis_log --url redis://host   # a server that is there; keys named bench… are left behind

Both send batches of 500-byte events to one stream from one thread, and wait for the answer of each before the next.
XADD stores the same bytes in the same two fields, and no more: no numbers, no ids, no firehose, no runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median, quantiles
from typing import Any

from redis import Redis
from tests.support.redis_server import RedisServer

from runcast.core.event import NewEvent
from runcast.log.redis import RedisLog

BODY = b'{"text":"' + b"x" * 489 + b'"}'
TURNS = 6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", help="a server that is there already")
    parser.add_argument("--aof", choices=["off", "no", "everysec", "always"], default="off")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64, 256])
    parser.add_argument("--seconds", type=float, default=1.0, help="of each turn")
    options = parser.parse_args()
    settings: dict[str, Any] = (
        {} if options.aof == "off" else {"appendonly": "yes", "appendfsync": options.aof}
    )
    with ExitStack() as stack:
        url = options.url or stack.enter_context(RedisServer(**settings)).url
        raw = Redis.from_url(url, protocol=2)
        print(f"Redis {raw.info('server')['redis_version']}, AOF {options.aof}")
        print("batch    XADD ev/s   p50 ms  p99 ms    Runcast ev/s   p50 ms  p99 ms    Runcast/XADD")
        for size in options.batches:
            compare(raw, url, size, options.seconds)
        raw.close()


def compare(raw: Redis, url: str, size: int, seconds: float) -> None:
    name = f"bench{time.time_ns()}"
    log = RedisLog(url, name=name)
    events = [NewEvent("session:bench", "note", BODY, 1_800_000_000_000_000) for _ in range(size)]

    def xadd() -> None:
        pipeline = raw.pipeline(transaction=False)
        for _ in range(size):
            pipeline.execute_command(
                "XADD", name, "*", "i", "0198a1fa-089e-776d-b2f7-b991ff990000", "e", BODY
            )
        pipeline.execute()

    ratios: list[float] = []
    took: dict[str, list[float]] = {"xadd": [], "runcast": []}
    rate: dict[str, list[float]] = {"xadd": [], "runcast": []}
    for turn in range(TURNS):
        order = [("xadd", xadd), ("runcast", lambda: log.append(events))]
        for who, act in order if turn % 2 else reversed(order):
            times = repeat(act, seconds)
            rate[who].append(size * len(times) / sum(times))
            took[who] += times
        ratios.append(rate["runcast"][-1] / rate["xadd"][-1])
    cells = [
        f"{median(rate[who]):>12,.0f} {quantile(took[who], 50):>8.2f} {quantile(took[who], 99):>7.2f}"
        for who in rate
    ]
    print(f"{size:>5} {cells[0]}    {cells[1]}    {median(ratios):>8.0%}")
    log.close()
    raw.delete(name)


def repeat(act: Callable[[], object], seconds: float) -> list[float]:
    times: list[float] = []
    end = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        act()
        times.append(time.perf_counter() - begun)
    return times


def quantile(times: list[float], percent: int) -> float:
    return quantiles(times, n=100)[percent - 1] * 1000


if __name__ == "__main__":
    main()
