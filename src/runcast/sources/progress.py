"""`ProgressPublisher`: what an agent's code tells of a task, from any process, into the configured log."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from itertools import groupby
from typing import Any, Final

import msgspec

from runcast.config import Settings
from runcast.core.event import NewEvent, stream_name
from runcast.errors import ConfigError, LogError, StaleToken
from runcast.kinds.base import Publish, accept
from runcast.kinds.task import NAME, PROCESSING, TASK
from runcast.log.base import EventLog, Lease
from runcast.log.open import open_configured
from runcast.sources.outbox import NotNow, Outbox, send_at_exit
from runcast.sources.redis_echo import Echo, echo_for

logger = logging.getLogger("runcast.progress")

IN_MEMORY: Final = "memory:"


class _Item(msgspec.Struct, frozen=True, gc=False):
    """One event on its way, and the lease under which it counts, if it needs one."""

    event: NewEvent
    lease: Lease | None = None


class ProgressWriter:
    """Writes events of tasks into one log, by a thread, and tells them on Redis where that is configured.

    The log is opened by that thread, when there is something to write: a log that is away costs nobody time.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log: EventLog | None = None
        self._outbox: Outbox[_Item] = Outbox("runcast-progress", self._append)
        self._echo: Echo | None = echo_for(settings)
        send_at_exit()  # registered after the log's own end, and so before it

    @property
    def lost(self) -> int:
        """Events that could not be stored; also those of a task that another process has taken over."""
        return self._outbox.lost

    def write(self, publish: Publish, lease: Lease | None = None) -> bool:
        """Let it be stored; False if there is no room. Never waits.

        Raises:
            InvalidEvent, TooLarge: it cannot be stored ever.
        """
        event = accept(TASK, publish, time.time_ns() // 1000, self._settings.event_max_bytes)
        return self._outbox.put(_Item(event, lease), event.size_bytes)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all is stored and told, or given up; False if that takes longer."""
        ends_s = time.monotonic() + timeout_s
        stored = self._outbox.flush(timeout_s)
        told = self._echo is None or self._echo.flush(max(ends_s - time.monotonic(), 0.0))
        return stored and told

    def _append(self, items: list[_Item]) -> int:
        """Store them; returns how many are refused for ever."""
        try:
            if self._log is None:
                self._log = open_configured(self._settings)
            stored = self._append_runs(self._log, items)
        except LogError as error:
            if error.retryable:
                raise NotNow(str(error)) from error
            self._tell(items)  # where the log is not, others may hear of it all the same
            raise
        self._tell(stored)
        return len(items) - len(stored)

    def _append_runs(self, log: EventLog, items: list[_Item]) -> list[_Item]:
        """Store in order, those of one lease together; without those whose task is another process's now, which tells of it."""
        stored: list[_Item] = []
        for lease, run in groupby(items, lambda item: item.lease):
            some = list(run)
            try:
                log.append([item.event for item in some], lease=lease)
            except StaleToken:
                logger.debug("%d events under the lost lease %s are refused", len(some), lease and lease.name)
            else:
                stored += some
        return stored

    def _tell(self, items: list[_Item]) -> None:
        if self._echo is not None:
            for item in items:
                self._echo.tell(item.event)


_writers: dict[Settings, ProgressWriter] = {}
_lock = threading.Lock()


def writer_for(settings: Settings) -> ProgressWriter:
    """The writer of this process for what `settings` name; one for all who ask."""
    with _lock:
        writer = _writers.get(settings)
        if writer is None:
            writer = _writers[settings] = ProgressWriter(settings)
        return writer


class ProgressPublisher:
    """Tells of one task, from synchronous code of any process.

    It writes to the log that `RUNCAST_LOG` names, else to the default one; with `REDIS_URL` set it also publishes on
    the channel `agent_progress:{task_id}`. It never waits and never raises for a log that is busy or away: what could
    not be stored is logged and counted (`lost`). What was published is stored before the process ends. Thread-safe, and
    good in a forked child, too.

    Raises:
        InvalidStreamName: no task can be called `task_id`.
        ConfigError: a setting of the environment cannot be, or names a log in memory, which nobody else could read.
    """

    def __init__(self, task_id: str, settings: Settings | None = None) -> None:
        settings = settings or Settings.from_env(os.environ)
        if settings.log == IN_MEMORY:
            raise ConfigError(
                "log: a log in memory belongs to the server's own process; set RUNCAST_LOG to the server's log."
            )
        self.task_id = task_id
        self._stream = stream_name(NAME, task_id)
        self._writer = writer_for(settings)

    @property
    def lost(self) -> int:
        """Messages of this process, of whichever task, that could not be stored."""
        return self._writer.lost

    def publish(
        self,
        message: str,
        percent: float = 0,
        step: str = PROCESSING,
        tool: str | None = None,
        error: bool = False,
        **fields: Any,
    ) -> bool:
        """Tell `message`; `percent` is from 0 to 100 and is rounded down. `completed` and `failed` are the last steps.

        `fields` are anything else that JSON can hold, passed on as they are. Returns at once; False if too much waits.

        Raises:
            InvalidEvent: a value has the wrong type or is out of range; names it. Nothing was published.
            TooLarge: it is over `event_max_bytes`.
        """
        data = {"message": message, "percent": percent, "tool": tool, "error": error, **fields}
        return self._writer.write(new_publish(self._stream, step, data))

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until everything that this process has published is stored or given up; False if it takes longer."""
        return self._writer.flush(timeout_s)


def new_publish(stream: str, step: str, data: Mapping[str, Any]) -> Publish:
    """An event with an id, by which its echo is known, and the time of now."""
    from uuid_utils import uuid7  # noqa: PLC0415 - an agent that publishes nothing does not wait for it

    return Publish(stream=stream, type=step, data=dict(data), id=str(uuid7()), time=time.time_ns() // 1000)
