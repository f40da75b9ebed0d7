"""A chat server in a process of its own: `python -m tests.support.chat_process LOG MODE`; prints its port."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

from runcast.runners.chat.responder import Piece, Question
from tests.support.chat_server import ChatServer
from tests.support.process import clean_env

ROOT = Path(__file__).resolve().parents[2]
LEASE_S = 0.5


async def slow(question: Question) -> AsyncIterator[Piece]:
    """Counts, for as long as it is asked to."""
    for number in range(int(question.text)):
        yield f"{number} "
        await asyncio.sleep(0.02)


async def mute(question: Question) -> AsyncIterator[Piece]:
    """Never says anything."""
    await asyncio.sleep(3_600)
    yield question.text


class ChatProcess:
    """Such a process; a context. `kill` is as a power cut to it."""

    def __init__(self, log: Path, mode: str) -> None:
        command = [sys.executable, "-m", "tests.support.chat_process", str(log), mode]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=clean_env(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()

    def kill(self) -> None:
        """Idempotent."""
        self.process.kill()
        self.process.wait()


def main() -> None:
    log, mode = sys.argv[1:]
    responder = {"slow": slow, "mute": mute}[mode]
    with ChatServer(Path(log), responder=responder, runner_lease_s=LEASE_S) as server:
        print(server.port, flush=True)
        while True:
            time.sleep(3_600)


if __name__ == "__main__":
    main()
