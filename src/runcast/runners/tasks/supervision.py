"""Seeing one task to its end: handing it over, noticing that whoever was at it has died, and when to give it up."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Final

from runcast.core.event import Event
from runcast.kinds.base import Publish
from runcast.kinds.task import FAILED, task_id_of
from runcast.kinds.task_state import TASK_STATE, TaskState
from runcast.live.bus import Bus
from runcast.runners.claim import Claim
from runcast.runners.tasks.executor import Executor, NotTaken
from runcast.runners.tasks.work_lease import has_died, lease_name, new_owner

logger = logging.getLogger("runcast.tasks")

CHECK_S: Final = 0.5
"""Between two looks whether the process of a task is alive; it is asked of the log less often."""
GRACE_S: Final = 0.5
"""A queue that gives a dead worker's task to another one by itself gets so long for it."""
UNSTARTED_S: Final = 10.0
"""A task that has not begun for so long, with an empty queue, was lost by that."""
PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 10.0


class Supervision:
    """One task in hand, under the claim of its stream."""

    def __init__(self, bus: Bus, claim: Claim, executor: Executor) -> None:
        self._bus = bus
        self._claim = claim
        self._executor = executor
        self._task_id = task_id_of(claim.stream)
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._heard_s = self._loop.time()

    async def run(self) -> None:
        """Until the task is over. Cancellation-safe: an attempt that is being made goes on.

        Raises:
            StaleToken: the claim was lost.
            LogError: the log cannot be used now.
        """
        with self._claim.listen(self._hear):
            while (state := await self._state()).is_open:
                if state.status == "running" and await self._is_at_work(state):
                    await self._watch(state, self._loop.time())
                elif state.attempt >= state.max_attempts:
                    await self._give_up(state)
                else:
                    await self._attempt(state)

    def _hear(self, event: Event) -> None:
        del event
        self._heard_s = self._loop.time()
        self._news.set()

    async def _state(self) -> TaskState:
        return await self._bus.fold(self._claim.stream, TASK_STATE)

    async def _attempt(self, state: TaskState) -> None:
        if state.status == "retrying":
            await asyncio.sleep(max(state.due_at / 1e6 - time.time(), 0.0))
        pause_s = PAUSE_S
        while True:
            try:
                if not await self._executor.hand_over(self._task_id, state.attempt + 1):
                    await self._watch(state, self._loop.time())
                return
            except NotTaken as error:
                logger.warning("task %s waits: %s", self._task_id, error)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _watch(self, before: TaskState, since_s: float) -> None:
        """Wait until there is something to do: the task is over, to be tried again, or nobody is at it."""
        while True:
            self._news.clear()
            state = await self._state()
            if not state.is_open or (state.status == "retrying" and state.attempt > before.attempt):
                return
            if await self._is_lost(state, before, since_s):
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_S):
                    await self._news.wait()

    async def _is_lost(self, state: TaskState, before: TaskState, since_s: float) -> bool:
        """Whether nobody is at the task, or will be."""
        if state.status == "running" and (state.attempt > before.attempt or before.status == "running"):
            if await self._is_at_work(state):
                return False
            await asyncio.sleep(GRACE_S)
            after = await self._state()
            return (
                after.attempt == state.attempt
                and after.status == "running"
                and not await self._is_at_work(after)
            )
        return self._loop.time() - since_s > UNSTARTED_S and await self._executor.waiting() == 0

    async def _is_at_work(self, state: TaskState) -> bool:
        """Whether a living process has the task's lease, as far as can be told; not asked of the log all the time."""
        if state.worker and has_died(state.worker):
            return False
        ttl_s = self._bus.settings.runner_lease_s
        if self._loop.time() - self._heard_s < ttl_s / 2:
            return True
        lease = await self._bus.call(
            self._bus.log.acquire, lease_name(self._claim.stream), new_owner(), ttl_s
        )
        self._heard_s = self._loop.time()
        if lease is None:
            return True
        await self._bus.call(self._bus.log.release, lease)
        return False

    async def _give_up(self, state: TaskState) -> None:
        data = {
            "message": f"Failed: the process that worked at it has died, in the last of {state.max_attempts} attempts.",
            "percent": state.percent,
            "error": True,
            "attempt": state.attempt,
        }
        await self._claim.publish(Publish(stream=self._claim.stream, type=FAILED, data=data))
