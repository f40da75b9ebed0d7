"""Celery's pool of processes, one of which that dies is replaced at once.

Celery hears that a process ends by a pipe that closes, which the system does a moment before the process can be waited
for. If it looks in between, it finds the process alive, and looks again five seconds later; meanwhile a worker with one
process does nothing, and the task that was killed does not begin anew.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

_prefork: Any = import_module("celery.concurrency.prefork")
_asynpool: Any = import_module("celery.concurrency.asynpool")

LOOK_S: Final = 0.25


class QuickPool(_asynpool.AsynPool):
    """Looks after its processes four times a second, which costs a system call for each."""

    @property
    def timers(self) -> dict[Callable[[], object], float]:
        """What is called how often, in seconds, by the worker's event loop."""
        return {self.maintain_pool: LOOK_S}


class TaskPool(_prefork.TaskPool):
    """For `worker_pool`: `runcast.runners.tasks.celery_pool:TaskPool`."""

    Pool = QuickPool
