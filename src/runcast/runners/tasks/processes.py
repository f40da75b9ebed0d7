"""Processes of our own in which tasks run, where there is no Celery: begun when needed, and used again.

A process that dies costs the attempt that it was at. One that is at work when the server ends goes on to the end of
its attempt: it has a lease of its own, and the next server finds it at work.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, cast

import msgspec

from runcast.config import Settings
from runcast.runners.tasks.executor import NotTaken
from runcast.runners.threads import WorkThreads

CHILD: Final = "runcast.runners.tasks.child"
END_S: Final = 5.0


class Order(msgspec.Struct):
    """What a process is told to do: a line of JSON. `attempt` is which one is meant."""

    task_id: str
    attempt: int


class Threads:
    """Works in threads of this process: for a log in memory, which no other process can read."""

    name = "threads"

    def __init__(self, limit: int, attempt: Callable[[str, int], object]) -> None:
        self.most_at_once = limit
        self._threads = WorkThreads(limit, "runcast-task")
        self._attempt = attempt

    async def hand_over(self, task_id: str, attempt: int) -> bool:
        """See `Executor`: an attempt that has no thread yet is not made if it is cancelled."""
        await asyncio.wrap_future(self._threads.submit(lambda: self._attempt(task_id, attempt)))
        return True

    async def waiting(self) -> int | None:
        """See `Executor`."""
        return self._threads.waiting

    async def close(self) -> None:
        """See `Executor`."""


class Processes(Threads):
    """At most `task_processes` processes, each at one task at a time; a thread of ours waits for each.

    Args:
        settings: those of the bus; the processes get them by their environment.
        log_url: which log the processes write to.
    """

    name = "processes"

    def __init__(self, settings: Settings, log_url: str) -> None:
        super().__init__(settings.task_processes, self._work)
        self._env = environment(settings, log_url)
        self._lock = threading.Lock()
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._is_closed = False

    @property
    def pids(self) -> list[int]:
        """The processes that are at work now."""
        with self._lock:
            return [child.pid for child in self._busy]

    async def close(self) -> None:
        """Let the idle ones end; those at work end when they are through, which nobody waits for."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            busy = list(self._busy)
        for child in busy:
            child.leave()
        for child in idle:
            await asyncio.to_thread(child.end)

    def _work(self, task_id: str, attempt: int) -> None:
        child = self._take()
        is_alive = child.do(Order(task_id, attempt))
        with self._lock:
            self._busy.discard(child)
            keeps = is_alive and not self._is_closed
            if keeps:
                self._idle.append(child)
        if not keeps:
            child.end()

    def _take(self) -> _Child:
        with self._lock:
            child = self._idle.pop() if self._idle else None
        if child is None or not child.is_alive:
            if child is not None:
                child.end()
            child = _Child(self._env)
        with self._lock:
            self._busy.add(child)
        return child


class _Child:
    """One process. `do` blocks; it belongs to one thread at a time."""

    def __init__(self, env: dict[str, str]) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, by our own Python
                [sys.executable, "-m", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
            )
        except OSError as error:
            raise NotTaken(f"No process could be begun for a task: {error.strerror}.") from error

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def do(self, order: Order) -> bool:
        """Wait until it is done; False if the process has died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")
            self._process.stdin.flush()
        return bool(self._process.stdout.readline())

    def leave(self) -> None:
        """Give it nothing more to do: it ends when it is through."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def end(self) -> None:
        """Let it end, and wait for that; one that does not is killed."""
        self.leave()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def environment(settings: Settings, log_url: str) -> dict[str, str]:
    """The environment of a process that is to have the same settings."""
    env = dict(os.environ)
    defaults = Settings()
    for field in Settings.__struct_fields__:
        value = getattr(settings, field)
        if value != getattr(defaults, field):
            text = ",".join(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else str(value)
            env[f"RUNCAST_{field.upper()}"] = text
    env["RUNCAST_LOG"] = log_url
    return env
