"""Who makes the attempts at tasks: what the service hands them to, and what it must know of it."""

from __future__ import annotations

from typing import Protocol


class NotTaken(Exception):
    """The executor cannot take a task now; later it may."""


class Executor(Protocol):
    """Takes tasks, and works at them in processes or threads that are not the event loop's."""

    name: str
    """`celery`, `processes`, `threads`."""

    most_at_once: int
    """So many tasks one server should have in hand at once."""

    async def hand_over(self, task_id: str, attempt: int) -> bool:
        """Let an attempt be made. True: it has ended, or its process has died. False: it is in a queue, and to be watched.

        `attempt` is which one is meant, from 1. Cancellation-safe: what was begun goes on.

        Raises:
            NotTaken: it could not be handed over.
        """
        ...

    async def waiting(self) -> int | None:
        """How many wait in the queue, None if that cannot be told."""
        ...

    async def close(self) -> None:
        """Begin nothing more; what is at work goes on by itself."""
        ...
