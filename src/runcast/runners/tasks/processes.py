"""Processes of our own in which tasks run, where there is no Celery: begun when needed, and used again.

A process that dies costs the attempt that it was at. One that is at work when the server ends goes on to the end of
its attempt: it has a lease of its own, and the next server finds it at work.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, cast

import msgspec

from runcast.config import Settings
from runcast.runners.tasks.executor import NotBegun, Turn
from runcast.runners.tasks.work_lease import kill
from runcast.runners.threads import WorkThreads

logger = logging.getLogger("runcast.tasks")

CHILD: Final = "runcast.runners.tasks.child"
READY: Final = "ready"
"""A process says so first, or why it cannot work, in one line."""
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

    async def hand_over(self, turn: Turn) -> bool:
        """See `Executor`: an attempt that has no thread yet is not made if it is cancelled."""
        await asyncio.wrap_future(self._threads.submit(lambda: self._attempt(turn.task_id, turn.attempt)))
        return True

    async def waiting(self) -> int | None:
        """See `Executor`."""
        return self._threads.waiting

    async def stop(self, turn: Turn, worker: str) -> None:
        """See `Executor`: a thread cannot be ended from outside; it ends at its next call of the context."""

    async def give_back(self, turn: Turn, begun_us: int) -> bool:
        """See `Executor`: there is no queue elsewhere."""
        del turn, begun_us
        return False

    async def close(self) -> None:
        """See `Executor`."""


class Processes(Threads):
    """At most `task_processes` processes, each at one task at a time; a thread of ours waits for each.

    Args:
        settings: those of the bus; the processes get them by their environment.
        log: which one the processes write to, as `for_others` names it.
    """

    name = "processes"

    def __init__(self, settings: Settings, log: str) -> None:
        super().__init__(settings.task_processes, self._work)
        self._env = environment(settings, log)
        self._lock = threading.Lock()
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._is_closed = False
        self._trouble = ""

    @property
    def pids(self) -> list[int]:
        """The processes that are at work now."""
        with self._lock:
            return [child.pid for child in self._busy]

    async def stop(self, turn: Turn, worker: str) -> None:
        """See `Executor`: each process is at one task, also one that another server has begun here."""
        kill(worker)

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
        child, is_alive = self._take(), False
        try:
            self._await_ready(child)
            is_alive = child.do(Order(task_id, attempt))
        finally:
            with self._lock:
                self._busy.discard(child)
                keeps = is_alive and not self._is_closed
                if keeps:
                    self._idle.append(child)
            if not keeps:
                child.end()

    def _await_ready(self, child: _Child) -> None:
        """Raise `NotBegun` if it cannot work; why is logged when it is another reason than the last time."""
        why = child.trouble()
        if why and why != self._trouble:
            logger.error("no process can be begun for tasks: %s", why)
        self._trouble = why
        if why:
            raise NotBegun("no process can be begun for it.")

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
            raise NotBegun(f"no process can be begun for it ({error.strerror}).") from error
        self._is_ready = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def trouble(self) -> str:
        """Wait until it is ready; why it cannot work, empty if it can."""
        if not self._is_ready:
            assert self._process.stdout is not None
            said = self._process.stdout.readline().decode(errors="replace").strip()
            self._is_ready = said == READY
            return "" if self._is_ready else said or "it ends at once; what it says is on stderr"
        return ""

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


def environment(settings: Settings, log: str) -> dict[str, str]:
    """The environment of a process that is to have the same settings, and `log`: with all that is needed to open it."""
    env = dict(os.environ)
    defaults = Settings()
    for field in Settings.__struct_fields__:
        value = getattr(settings, field)
        if value != getattr(defaults, field):
            text = ",".join(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else str(value)
            env[f"RUNCAST_{field.upper()}"] = text
    env["RUNCAST_LOG"] = log
    return env
