"""A process that runs workflows, for tests that kill it, stop it, and let others take over: `python -m … LOG FOLDER`.

Its workflow `chain` has three agents. Each notes in `FOLDER/ran.txt` that it runs, shows its process, and waits for
the test to make the file `FOLDER/go-<agent_id>`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tests.runners.workflow_stage import Shelf, StreamingModel, staged

from runcast.runners.workflows.context import AgentContext, Context
from runcast.runners.workflows.registry import workflow

ROOT = Path(__file__).resolve().parents[2]
LEASE_S = 1.0


class Worker:
    """Such a process, seen from a test."""

    def __init__(self, log: Path, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.runners.workflow_process", str(log), str(folder)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        self.end()

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            if self.process.returncode is None:
                os.kill(self.pid, number)

    def end(self) -> tuple[int, str]:
        """Wait for its end: the code, and what it complained of."""
        if self.process.returncode is None:
            _, self.complaints = self.process.communicate(timeout=20)
        return self.process.returncode or 0, self.complaints


def register(folder: Path) -> None:
    """Make `chain` known in this process, too."""

    @workflow("chain")
    def chain(ctx: Context) -> str:
        return " ".join(ctx.agent("link", work).content for _ in range(3))

    def work(agent: AgentContext) -> str:
        with (folder / "ran.txt").open("a") as file:
            file.write(f"{agent.agent_id} {os.getpid()}\n")
        agent.output(f"{os.getpid()} begins")
        until(folder / f"go-{agent.agent_id}")
        agent.output(f"{os.getpid()} ends")
        return agent.agent_id


def until(file: Path) -> None:
    while not file.exists():
        time.sleep(0.005)


async def serve(log: Path, folder: Path) -> None:
    register(folder)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings: dict[str, Any] = {"runner_lease_s": LEASE_S if len(sys.argv) < 4 else float(sys.argv[3])}
    async with staged(log, StreamingModel(), Shelf(), **settings):
        print("ready", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
