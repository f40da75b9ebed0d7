"""Who makes the attempts at tasks: what the service hands them to, and what it must know of it."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class NotTaken(Exception):
    """The executor cannot take a task now; later it may."""


class NotBegun(NotTaken):
    """No process that could work at a task comes to its beginning."""


class Turn(NamedTuple):
    """An attempt at a task that is to be made: of which run of it, and the how manieth, from 1.

    `run` is empty where Celery's own id is the task's.
    """

    task_id: str
    run: str
    attempt: int


class Executor(Protocol):
    """Takes tasks, and works at them in processes or threads that are not the event loop's."""

    name: str
    """`celery`, `processes`, `threads`."""

    most_at_once: int
    """So many tasks one server should have in hand at once."""

    async def hand_over(self, turn: Turn) -> bool:
        """Let an attempt be made. True: it has ended, or its process has died. False: it is in a queue, and to be watched.

        Cancellation-safe: what was begun goes on.

        Raises:
            NotTaken: it could not be handed over. NotBegun: because no process can be begun that would take it.
        """
        ...

    async def waiting(self) -> int | None:
        """How many wait in the queue, None if that cannot be told."""
        ...

    async def stop(self, turn: Turn, worker: str) -> None:
        """End the process in which the task is, or do nothing where that cannot be: it tells nothing more in any case.

        `worker` is who began the last attempt, empty if nobody did.
        """
        ...

    async def give_back(self, turn: Turn, begun_us: int) -> bool:
        """Let a queue give a task to another worker which it holds for one that has died; False if it holds none.

        `begun_us`: when that one began, in microseconds since the Unix epoch. What was handed out later is not its.
        """
        ...

    async def close(self) -> None:
        """Begin nothing more; what is at work goes on by itself."""
        ...
