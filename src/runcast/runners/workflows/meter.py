"""What a run uses: tokens, calls of the model, time to the first delta, memory of the process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from runcast.kinds.stored import MAX_COUNT
from runcast.runners.model import Usage

if sys.platform != "win32":
    import resource

_STATM = Path("/proc/self/statm")


class Meter:
    """Counts for one agent, or for a whole run; no further than an event can tell."""

    def __init__(self, tokens: int = 0, llm_calls: int = 0) -> None:
        self.tokens = min(tokens, MAX_COUNT)
        self.llm_calls = min(llm_calls, MAX_COUNT)
        self.model: str | None = None
        self._latency_s = 0.0
        self._timed = 0

    def count(self, usage: Usage | None, model: str) -> None:
        """A call of the model has ended; `model` is its name if it did not say more."""
        self.llm_calls = min(self.llm_calls + 1, MAX_COUNT)
        self.model = model
        if usage is not None:
            self.tokens = min(self.tokens + usage.input_tokens + usage.output_tokens, MAX_COUNT)
            self.model = usage.model or model
            self._latency_s += usage.latency_s
            self._timed += 1

    def metrics(self) -> dict[str, Any]:
        """The data of a `resource_metrics` event; the latency is the mean of the calls counted here."""
        return {
            "tokens": self.tokens,
            "llm_calls": self.llm_calls,
            "llm_latency_ms": round(1000 * self._latency_s / self._timed, 1) if self._timed else 0.0,
            "memory_mb": round(memory_bytes() / 2**20, 1),
        }


def memory_bytes() -> int:
    """What this process has in memory now; elsewhere than on Linux the most that it ever had, 0 where nobody says."""
    if sys.platform == "win32":
        return 0
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
