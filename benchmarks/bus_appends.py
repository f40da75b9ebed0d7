"""A process that publishes through the bus in Python; run by the appends section.

Each of its publishers awaits the commit of a batch before it publishes the next. One publisher makes commits
of exactly a batch; several share commits as the log groups them.

usage: python -m benchmarks.bus_appends LOG EVENTS_PER_BATCH PUBLISHERS SECONDS CORE
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

import msgspec
import uvloop

from benchmarks.bus_report import BusReport
from runcast.kinds.base import Publish
from runcast.kinds.session import SESSION
from runcast.live.bus import Bus
from runcast.log.base import EventLog
from runcast.log.memory import MemoryLog

_STREAM = "session:bench"
_TEXT = ("Read the module and changed how a position is kept while a page is being read. " * 5)[:250]


def _data(number: int) -> dict[str, Any]:
    """What a publisher gives: about 500 bytes of JSON with the event's type."""
    return {
        "tool_name": "Edit",
        "number": number,
        "agent_id": "claude-code",
        "status": "completed",
        "model": "claude-opus",
        "execution_duration_seconds": 0.345,
        "cost_tokens": 125,
        "feature_id": "feat-456",
        "input_summary": "Edit: src/main.py:45-52",
        "output_summary": _TEXT,
    }


def _open_log(path: str) -> EventLog:
    if path == "memory:":
        return MemoryLog()
    from runcast.log.sqlite import SqliteLog

    return SqliteLog(path)


async def _measure(path: str, size: int, publishers: int, seconds: float) -> BusReport:
    times: list[float] = []
    async with Bus(_open_log(path), [SESSION]) as bus:
        await bus.publish_all(_batch(size))  # opens the file and starts the threads
        before = bus.log.statistics().commits
        cpu, began = time.process_time(), time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(publishers):
                group.create_task(_publish(bus, size, began + seconds, times))
        wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        return _report(times, size, bus.log.statistics().commits - before, wall_s, cpu_s)


def _batch(size: int) -> list[Publish]:
    return [Publish(stream=_STREAM, type="tool_call", data=_data(number)) for number in range(size)]


async def _publish(bus: Bus, size: int, until: float, times: list[float]) -> None:
    began = time.perf_counter()
    while began < until:
        await bus.publish_all(_batch(size))
        now = time.perf_counter()
        times.append(now - began)
        began = now


def _report(times: list[float], size: int, commits: int, wall_s: float, cpu_s: float) -> BusReport:
    ordered = sorted(times)
    return BusReport(
        events=len(times) * size,
        commits=commits,
        wall_s=wall_s,
        cpu_s=cpu_s,
        p50_ms=ordered[len(ordered) // 2] * 1000,
        p99_ms=ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000,
        max_ms=ordered[-1] * 1000,
    )


def main() -> None:
    """Measure, and print one JSON line."""
    path, size, publishers, seconds, core = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the server has it
        report = runner.run(_measure(path, int(size), int(publishers), float(seconds)))
    print(msgspec.json.encode(report).decode())


if __name__ == "__main__":
    main()
