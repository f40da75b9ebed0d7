"""Seeing to tasks in a process that does nothing else: `runcast worker` without Celery."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from runcast.config import Settings
from runcast.kinds.task import TASK
from runcast.live.bus import Bus
from runcast.log.open import open_configured
from runcast.runners.host import RunnerHost
from runcast.runners.tasks.service import Tasks


async def run_tasks(settings: Settings, stop_on: Sequence[int] = ()) -> None:
    """See to the tasks in the log until cancelled, or until one of the signals `stop_on` comes.

    Raises:
        LogError: the log cannot be opened.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in stop_on:
        loop.add_signal_handler(number, stopped.set)
    async with Bus(open_configured(settings), [TASK], settings) as bus:
        service = Tasks(bus)
        work = asyncio.create_task(RunnerHost(bus, [service], {service.kind: service.most_at_once}).run())
        try:
            stopping = asyncio.create_task(stopped.wait())
            await asyncio.wait([work, stopping], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
        finally:
            await service.close()
            work.cancel()
            await asyncio.wait([work])
