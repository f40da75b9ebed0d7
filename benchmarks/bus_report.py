"""What `bus_appends` prints, in a module that imports nothing of Runcast."""

from __future__ import annotations

import msgspec


class BusReport(msgspec.Struct):
    """What one run achieved. The times are those of a publish, from call to return."""

    events: int
    commits: int
    wall_s: float
    cpu_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
