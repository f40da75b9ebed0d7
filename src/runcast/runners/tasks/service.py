"""Tasks for everybody: beginning them, and being the runner that sees them to their ends."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from runcast.config import Settings
from runcast.core.event import stream_name
from runcast.errors import Conflict, InvalidInput
from runcast.kinds.base import Publish
from runcast.kinds.task import NAME, QUEUED, TASK
from runcast.kinds.task_state import TASK_STATE
from runcast.live.bus import Bus
from runcast.runners.claim import Claim
from runcast.runners.tasks import builtin, registry
from runcast.runners.tasks.attempt import Workplace, make_attempt
from runcast.runners.tasks.executor import Executor
from runcast.runners.tasks.processes import Processes, Threads
from runcast.runners.tasks.supervision import Supervision

logger = logging.getLogger("runcast.tasks")

IN_MEMORY = "memory:"


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
        state = await self._bus.fold(stream, TASK_STATE)
        if state.is_known and not state.is_over:
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
        await self._bus.publish_all([Publish(stream=stream, type=QUEUED, data=data)])
        return task_id

    # For the host

    async def is_open(self, stream: str) -> bool:
        """See `Runner`."""
        return (await self._bus.fold(stream, TASK_STATE)).is_open

    async def run(self, claim: Claim) -> None:
        """See `Runner`."""
        await Supervision(self._bus, claim, self.executor).run()

    async def close(self) -> None:
        """Let idle processes end."""
        if self._executor is not None:
            await self._executor.close()


def make_executor(bus: Bus, settings: Settings) -> Executor:
    """The executor that the settings ask for.

    Raises:
        ConfigError: a broker is configured, and Celery is not installed, or the broker's URL cannot be.
    """
    if settings.celery_broker_url:
        from runcast.runners.tasks.celery_app import CeleryExecutor  # noqa: PLC0415 - not always installed

        return CeleryExecutor(msgspec.structs.replace(settings, log=bus.log.url))
    if bus.log.url == IN_MEMORY:
        place = Workplace(bus.log, settings)
        return Threads(
            settings.task_processes,
            lambda task_id, attempt: make_attempt(place, task_id, expected=attempt),
        )
    return Processes(settings, bus.log.url)
