"""A program of its own that runs the plans of a log until it is told to stop: `python -m tests.runners.plan_program LOG`.

Its action `note` writes a line for each execution into a file, and waits for another file, if it is given one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from runcast.config import Settings
from runcast.kinds.plan import PLAN
from runcast.live.bus import Bus
from runcast.log.open import open_log
from runcast.runners.host import RunnerHost
from runcast.runners.plans.context import StepContext
from runcast.runners.plans.registry import plan_step
from runcast.runners.plans.service import Plans

LEASE_S = 0.6


def write_line(path: str, *words: object) -> None:
    """One line, whole even if the process is killed right after."""
    line = " ".join(str(word) for word in (*words, os.getpid())) + "\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


@plan_step("note")
def note(ctx: StepContext) -> dict[str, Any]:
    path, gate = ctx.params["path"], ctx.params.get("gate")
    write_line(path, ctx.step_id, ctx.attempt)
    ctx.progress(0.5, "noted")
    while gate is not None and not Path(gate).exists():
        time.sleep(0.005)  # it never looks whether it still counts
    if gate is not None:
        write_line(path, f"{ctx.step_id}-end", ctx.attempt)
    return {"before": sorted(ctx.results), "attempt": ctx.attempt}


async def main(log: str) -> None:
    bus = Bus(open_log(log), [PLAN], Settings(runner_lease_s=LEASE_S))
    async with bus:
        host = asyncio.create_task(RunnerHost(bus, [Plans(bus).runner]).run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, host.cancel)
        print("up", flush=True)
        await asyncio.wait([host])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
