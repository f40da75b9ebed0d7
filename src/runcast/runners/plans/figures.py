"""Real figures of a process and of a plan, for the events about health and metrics."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from runcast.core.event import MICROSECONDS
from runcast.kinds.plan_graph import ready
from runcast.kinds.plan_state import DONE, PlanState
from runcast.runners.plans.attempt import Spent
from runcast.runners.workflows.meter import memory_bytes

SAMPLE_EVERY_S: Final = 0.25
LAGGING_MS: Final = 250.0
"""An event loop that is later than this is not healthy: whatever it shall do waits as long."""


class LoopLag:
    """How late the event loop is: measured by timers, while somebody wants to know."""

    def __init__(self) -> None:
        self._users = 0
        self._due_s = 0.0
        self._before_ms = self._now_ms = 0.0
        self._samples = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def worst_ms(self) -> float:
        """The latest that it was in the last ten seconds or so, in milliseconds."""
        return max(self._before_ms, self._now_ms)

    def begin(self) -> None:
        """Somebody wants to know."""
        self._users += 1
        if self._users == 1:
            self._schedule()

    def end(self) -> None:
        """Somebody does not any more."""
        self._users -= 1
        if not self._users and self._timer is not None:
            self._timer.cancel()

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        self._due_s = loop.time() + SAMPLE_EVERY_S
        self._timer = loop.call_at(self._due_s, self._sample)

    def _sample(self) -> None:
        late_ms = (asyncio.get_running_loop().time() - self._due_s) * 1000
        self._now_ms = max(self._now_ms, late_ms)
        self._samples += 1
        if self._samples % 20 == 0:
            self._before_ms, self._now_ms = self._now_ms, 0.0
        self._schedule()


def health(state: PlanState, lag: LoopLag) -> dict[str, Any]:
    """What `health_update` says."""
    running = len(state.in_status("running"))
    lag_ms = round(lag.worst_ms, 1)
    return {
        "status": "healthy" if lag_ms <= LAGGING_MS else "lagging",
        "steps_running": running,
        "steps_waiting": len(state.in_status("waiting", "retrying")),
        "steps_ready": len(_ready(state)),
        "steps_in_review": len(state.in_status("review")),
        "memory_mb": round(memory_bytes() / 2**20, 1),
        "event_loop_lag_ms": lag_ms,
    }


def metrics(state: PlanState, spent: Spent, now_us: int) -> dict[str, Any]:
    """What `metrics_update` says. `tokens` and `llm_calls` are those of this process."""
    elapsed_s = (now_us - (state.begun_at or now_us)) / MICROSECONDS
    done = state.in_status("completed", "skipped")
    return {
        "total_steps": len(state.steps),
        "completed_steps": len(state.in_status("completed")),
        "failed_steps": len(state.in_status("failed")),
        "skipped_steps": len(state.in_status("skipped")),
        "progress": round(len(done) / len(state.steps), 4) if state.steps else 0.0,
        "attempts": sum(step.attempt for step in state.steps.values()),
        "elapsed_s": round(elapsed_s, 3),
        "llm_calls": spent.calls,
        "tokens": spent.tokens,
    }


def _ready(state: PlanState) -> list[str]:
    done = {step_id for step_id, step in state.steps.items() if step.status in DONE}
    return ready(state.graph(), set(state.in_status("waiting")), done)
