"""Tasks for everybody: beginning and cancelling them, and being the runner that sees them to their ends."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from runcast.config import Settings
from runcast.core.event import stream_name
from runcast.errors import Conflict, InvalidInput, StreamNotFound
from runcast.kinds.base import Publish
from runcast.kinds.task import CANCEL, COMMAND, NAME, QUEUED, TASK, task_id_of
from runcast.kinds.task_state import TASK_STATE
from runcast.live.bus import Bus
from runcast.log.place import for_others
from runcast.runners.claim import Claim
from runcast.runners.tasks import builtin, registry
from runcast.runners.tasks.attempt import Workplace, make_attempt, read_story
from runcast.runners.tasks.executor import Executor
from runcast.runners.tasks.processes import Processes, Threads
from runcast.runners.tasks.supervision import Supervision

logger = logging.getLogger("runcast.tasks")

IN_MEMORY = "memory:"
MAX_LEFT = 10_000
"""Celery tasks whose workers have died and did not come back: if they are more, each is looked after once more."""


class Tasks:
    """Begins tasks, and is their runner for a `RunnerHost`. Belongs to the event loop.

    Args:
        bus: must know the kind `TASK` (it is told, if it does not).
        settings: the bus's, if not given.
        executor: who makes the attempts; by default Celery if a broker is configured, else processes of our own, or
            threads for a log in memory.
    """

    kind = NAME

    def __init__(
        self, bus: Bus, settings: Settings | None = None, *, executor: Executor | None = None
    ) -> None:
        bus.kinds.setdefault(NAME, TASK)
        self._bus = bus
        self._settings = settings or bus.settings
        self._executor = executor
        self._left: dict[str, int] = {}
        builtin.register()
        registry.load_entry_points()

    @property
    def names(self) -> list[str]:
        """What can be begun here."""
        return registry.names()

    @property
    def executor(self) -> Executor:
        """Who makes the attempts, set up when it is first asked for.

        Raises:
            ConfigError: a broker is configured, and Celery is not installed.
        """
        if self._executor is None:
            self._executor = make_executor(self._bus, self._settings)
        return self._executor

    @property
    def most_at_once(self) -> int:
        """So many one process should have in hand at once: the limit for a `RunnerHost`."""
        settings = self._settings
        return settings.max_tasks if settings.celery_broker_url else settings.task_processes

    async def start(
        self,
        task_type: str,
        params: Mapping[str, Any] | None = None,
        *,
        task_id: str | None = None,
        by: str | None = None,
    ) -> str:
        """Begin a task and return its id; returned means stored. Some process with a runner will see to it.

        Raises:
            InvalidInput: the type, the parameters or the id cannot be; names it.
            Conflict: a task of this id is not over yet.
            LogError: nothing was stored.
        """
        given = dict(params or {})
        registered = registry.find(task_type)
        if registered is None:
            raise InvalidInput(
                f"type: there is no task {task_type[:60]} here; there are: {', '.join(self.names)}.",
                field="type",
            )
        if registered.check is not None:
            registered.check(given)
        task_id = task_id or str(uuid.uuid4())
        stream = stream_name(NAME, task_id)
        info = await self._bus.info(stream)
        state = await self._bus.fold(stream, TASK_STATE)
        if state.is_known and not state.is_over and not info.ended:
            raise Conflict(f"The task {task_id} is not over yet.")
        data = {
            "message": "Queued",
            "percent": 0,
            "task_type": task_type,
            "params": given,
            "executor": self.executor.name,
            "max_attempts": registered.max_attempts,
            "by": by,
        }
        await self._begin(Publish(stream=stream, type=QUEUED, data=data, id=f"queued:{info.epoch}"))
        return task_id

    async def _begin(self, queued: Publish) -> None:
        """Publish it: whoever has seen the same end of the last run gives the same id, and of these one begins the next."""
        stored = await self._bus.publish_all([queued])
        if not stored:
            raise Conflict("A processor of this server dropped the task.")
        begins = not stored[0].duplicate
        if (
            begins and stored[0].seq > 1
        ):  # somebody told of the task at the same time, or began it in another way
            story = await self._bus.call(read_story, self._bus.log, queued.stream)
            begins = story.begun_by == queued.id
        if not begins:
            raise Conflict(
                f"The task {task_id_of(queued.stream)} was begun by somebody else at the same time."
            )

    async def cancel(self, task_id: str, by: str | None = None, reason: str | None = None) -> bool:
        """Tell whoever runs it to end it; returned means that the command is stored. False if it is over already.

        An attempt hears of it at its next call of its context. Two seconds later it is ended from outside, where it runs
        in a process of ours or Celery's; in any case nothing more is told of it. Repeating it changes nothing.

        Raises:
            StreamNotFound: there is no such task.
            Conflict: another program tells of it, which alone can end it.
            LogError: nothing was stored.
        """
        stream = stream_name(NAME, task_id)
        state = await self._bus.fold(stream, TASK_STATE)
        if not state.is_known:
            raise StreamNotFound(f"There is no task {task_id}.")
        if state.is_over:
            return False
        if not state.can_be_cancelled:
            raise Conflict(f"Another program tells of the task {task_id}: it alone can end it.")
        if not state.cancel:
            data = {
                "message": "Cancelling…",
                "percent": state.percent,
                "command": CANCEL,
                "by": by,
                "reason": reason,
            }
            await self._bus.publish_all([Publish(stream=stream, type=COMMAND, data=data)])
        return True

    # For the host

    async def is_open(self, stream: str) -> bool:
        """See `Runner`."""
        state = await self._bus.fold(stream, TASK_STATE)
        if state.is_guarded and self._settings.celery_broker_url:
            return self._left.get(stream, 0) < max(state.attempt, 1) or state.cancel
        return state.is_open

    async def is_ending(self, stream: str) -> bool:
        """See `Ending`: one that is cancelled need not wait for a place."""
        state = await self._bus.fold(stream, TASK_STATE)
        return (await self.is_open(stream)) and state.cancel

    async def run(self, claim: Claim) -> None:
        """See `Runner`."""
        supervision = Supervision(self._bus, claim, self.executor)
        await supervision.run()
        if supervision.left_at:
            if len(self._left) >= MAX_LEFT:
                self._left.clear()
            self._left[claim.stream] = supervision.left_at

    async def close(self) -> None:
        """Let idle processes end."""
        if self._executor is not None:
            await self._executor.close()


def make_executor(bus: Bus, settings: Settings) -> Executor:
    """The executor that the settings ask for.

    Raises:
        ConfigError: a broker is configured, and Celery is not installed, or the broker's URL cannot be.
    """
    log = for_others(settings.log, bus.log.url)
    if settings.celery_broker_url:
        from runcast.runners.tasks.celery_app import CeleryExecutor  # noqa: PLC0415 - not always installed

        return CeleryExecutor(msgspec.structs.replace(settings, log=log))
    if bus.log.url == IN_MEMORY:
        place = Workplace(bus.log, settings)
        return Threads(
            settings.task_processes,
            lambda task_id, attempt: make_attempt(place, task_id, expected=attempt),
        )
    return Processes(settings, log)
