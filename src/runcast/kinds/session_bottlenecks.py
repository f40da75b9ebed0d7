"""What slows a session down: which tools take its time, and which running call takes longer than it should."""

from __future__ import annotations

from typing import Any, Final

from runcast.core.event import MICROSECONDS, format_time
from runcast.kinds.session_calls import Call
from runcast.kinds.session_durations import Durations
from runcast.kinds.session_totals import SessionTotals, ToolTime

LEAST_CALLS: Final = 5
"""So many calls of a tool must be timed before one can be called late."""


def bottlenecks(totals: SessionTotals, now_us: int, *, over: bool = False) -> dict[str, Any]:
    """The tools by the time they took, the slowest calls, and those that run at `now_us`.

    `share` is a tool's part of the time of all tools. `late`: a call has run for longer than 95 % of the earlier
    calls of its tool in this session; `likely_late` is how likely it is to, by how the others went that ran
    as long as it has. In a session that is `over`, nothing runs.
    """
    seconds = sum(tool.seconds for tool in totals.tools.values())
    tools = [_tool(name, tool, totals.durations.get(name), seconds) for name, tool in totals.tools.items()]
    running: dict[str, Call] = {} if over else totals.calls.open
    return {
        "tools": sorted(tools, key=lambda tool: (-tool["seconds"], -tool["calls"], tool["tool_name"])),
        "slowest": [
            {"tool_name": call.tool, "seconds": call.seconds, "event_id": call.event_id, "seq": call.seq}
            for call in totals.slowest
        ],
        "running": [
            _running(event_id, call, totals.durations.get(call.tool or ""), now_us)
            for event_id, call in running.items()
        ],
        "forgotten": totals.calls.dropped,
    }


def _tool(name: str, tool: ToolTime, durations: Durations | None, all_seconds: float) -> dict[str, Any]:
    return {
        "tool_name": name,
        "calls": tool.calls,
        "timed": tool.timed,
        "seconds": tool.seconds,
        "share": tool.seconds / all_seconds if all_seconds else 0.0,
        "p50_seconds": _percentile(durations, 50, tool.max_seconds),
        "p95_seconds": _percentile(durations, 95, tool.max_seconds),
        "max_seconds": tool.max_seconds,
    }


def _percentile(durations: Durations | None, percent: float, most: float) -> float | None:
    found = durations and durations.percentile(percent)
    if found is None:
        return None
    return most if found >= most else round(found, 6)


def _running(event_id: str, call: Call, durations: Durations | None, now_us: int) -> dict[str, Any]:
    elapsed = max(now_us - call.since, 0) / MICROSECONDS
    p95 = durations.percentile(95) if durations and durations.total >= LEAST_CALLS else None
    return {
        "event_id": event_id,
        "tool_name": call.tool,
        "agent_id": call.agent,
        "since": format_time(call.since),
        "elapsed_seconds": elapsed,
        "p95_seconds": None if p95 is None else round(p95, 6),
        "late": p95 is not None and elapsed > p95,
        "likely_late": 0.0 if durations is None or p95 is None else _likely_late(durations, elapsed, p95),
    }


def _likely_late(durations: Durations, elapsed: float, p95: float) -> float:
    """Of the earlier calls that ran as long as this one has, how many became late: one in twenty at first."""
    still_running = durations.longer_than(elapsed)
    if elapsed > p95 or not still_running:
        return 1.0
    late = max(durations.longer_than(p95), durations.total * 0.05)
    return round(min(late / still_running, 1.0), 3)
