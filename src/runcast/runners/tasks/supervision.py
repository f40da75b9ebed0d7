"""Seeing one task to its end: handing it over, noticing that whoever was at it has died, when to give it up; cancelling."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Final

from runcast.core.event import Event
from runcast.kinds.base import Publish
from runcast.kinds.task import COMMAND, FAILED, task_id_of
from runcast.kinds.task_state import TASK_STATE, TaskState
from runcast.live.bus import Bus
from runcast.log.base import Lease
from runcast.runners.claim import Claim
from runcast.runners.tasks.cancelling import end_of_state
from runcast.runners.tasks.executor import Executor, NotBegun, NotTaken, Turn
from runcast.runners.tasks.work_lease import has_died, lease_name, new_owner, take_away

logger = logging.getLogger("runcast.tasks")

CHECK_S: Final = 0.5
"""Between two looks whether the process of a task is alive; it is asked of the log less often."""
GRACE_S: Final = 0.5
"""A queue that gives a dead worker's task to another one by itself gets so long for it."""
UNSTARTED_S: Final = 10.0
"""A task that has not begun for so long, with an empty queue, was lost by that."""
CANCEL_GRACE_S: Final = 2.0
"""So long an attempt that is cancelled may take to notice it and to tell its end itself."""
GUARD_S: Final = 60.0
"""So long a program's own task is watched after its worker has died, until the broker gives it to another one."""
TAKE_AWAY_S: Final = 0.2
PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 10.0
MOST_IN_VAIN: Final = 8
"""So often in a row an attempt may come to nothing before it has begun: about a minute, with the pauses."""
LONGEST_VAIN_PAUSE_S: Final = 30.0


class Supervision:
    """One task in hand, under the claim of its stream."""

    def __init__(self, bus: Bus, claim: Claim, executor: Executor) -> None:
        self._bus = bus
        self._claim = claim
        self._executor = executor
        self._task_id = task_id_of(claim.stream)
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._commanded = asyncio.Event()
        self._given_back = 0
        self._lost_s = 0.0
        self.left_at = 0
        """The attempt of a program's own task of which nothing more is awaited: its worker has died."""
        self._in_vain = 0
        """Attempts in a row of which nothing was told, not even their beginning."""
        self._heard_s = self._loop.time()

    async def run(self) -> None:
        """Until the task is over. Cancellation-safe: an attempt that is being made goes on.

        Raises:
            StaleToken: the claim was lost.
            LogError: the log cannot be used now.
        """
        with self._claim.listen(self._hear):
            while (state := await self._state()).is_open or (state.is_guarded and not self.left_at):
                if state.cancel:
                    await self._cancel(state)
                elif state.is_guarded:
                    await self._guard(state)
                elif state.status == "running" and await self._is_at_work(state):
                    await self._watch(state, self._loop.time())
                elif state.attempt >= state.max_attempts:
                    last = f"in the last of {state.max_attempts} attempts"
                    await self._give_up(state, f"the process that worked at it has died, {last}.")
                elif self._in_vain >= MOST_IN_VAIN:
                    await self._give_up(state, "no process could begin it.")
                else:
                    await self._attempt(state)

    def _hear(self, event: Event) -> None:
        if event.type == COMMAND:
            self._commanded.set()
        else:
            self._heard_s = self._loop.time()
        self._news.set()

    async def _state(self) -> TaskState:
        return await self._bus.fold(self._claim.stream, TASK_STATE)

    async def _attempt(self, state: TaskState) -> None:
        if state.status == "retrying":
            await self._pause(max(state.due_at / 1e6 - time.time(), 0.0))
        pause_s = PAUSE_S
        while not self._commanded.is_set():
            try:
                if await self._hand_over(self._turn(state, state.attempt + 1)):
                    await self._see_begun(state)
                else:
                    await self._watch(state, self._loop.time())
                return
            except NotBegun:  # the executor has logged why
                await self._wait_in_vain()
                return
            except NotTaken as error:
                logger.warning("task %s waits: %s", self._task_id, error)
            await self._pause(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _see_begun(self, before: TaskState) -> None:
        """An attempt is through: without pauses, those that end before they have begun would be made without end."""
        state = await self._state()
        if state.attempt == before.attempt and state.is_open and not state.cancel:
            await self._wait_in_vain()
        else:
            self._in_vain = 0

    async def _wait_in_vain(self) -> None:
        pause_s = min(PAUSE_S * 2**self._in_vain, LONGEST_VAIN_PAUSE_S)
        self._in_vain += 1
        if self._in_vain < MOST_IN_VAIN:
            logger.warning("task %s waits %g s: no process has begun it", self._task_id, pause_s)
            await self._pause(pause_s)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not for longer than until a command comes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._commanded.wait()

    async def _hand_over(self, turn: Turn) -> bool:
        """See `Executor.hand_over`; True if a command comes meanwhile."""
        handing = asyncio.ensure_future(self._executor.hand_over(turn))
        commanded = asyncio.ensure_future(self._commanded.wait())
        try:
            await asyncio.wait({handing, commanded}, return_when=asyncio.FIRST_COMPLETED)
            return await handing if handing.done() else True
        finally:
            handing.cancel()
            commanded.cancel()

    async def _watch(self, before: TaskState, since_s: float) -> None:
        """Wait until there is something to do: the task is over, to be tried again, or nobody is at it."""
        while True:
            self._news.clear()
            state = await self._state()
            if (
                not state.is_open
                or state.cancel
                or (state.status == "retrying" and state.attempt > before.attempt)
            ):
                return
            if await self._is_lost(state, before, since_s):
                return
            await self._next_look(CHECK_S)

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

    async def _cancel(self, state: TaskState) -> None:
        """Let the attempt end by itself, for a while; then end it. Nothing more is told of it after the end."""
        ends_s = self._loop.time() + CANCEL_GRACE_S
        while state.status == "running" and self._loop.time() < ends_s and await self._is_at_work(state):
            self._news.clear()
            await self._next_look(ends_s - self._loop.time())
            state = await self._state()
            if state.is_over:
                return
        lease = await self._take_away(state)
        try:
            state = await self._state()
            if not state.is_over:
                await self._executor.stop(self._turn(state, state.attempt), state.worker or "")
                data = {**end_of_state(state), "attempt": state.attempt}
                await self._claim.publish(Publish(stream=self._claim.stream, type=FAILED, data=data))
        finally:
            await self._bus.call(self._bus.log.release, lease)

    async def _take_away(self, state: TaskState) -> Lease:
        """Fence off whoever is at it: also one that has just begun, and has not said so yet."""
        bus, stream, ttl_s = self._bus, self._claim.stream, self._bus.settings.runner_lease_s
        while (lease := await bus.call(take_away, bus.log, stream, state.worker or "", ttl_s)) is None:
            await asyncio.sleep(TAKE_AWAY_S)
            state = await self._state()
        return lease

    def _turn(self, state: TaskState, attempt: int) -> Turn:
        return Turn(self._task_id, self._claim.epoch if state.managed else "", attempt)

    async def _guard(self, state: TaskState) -> None:
        """A program's own Celery task: Celery makes the attempts; its broker may not notice that a worker has died."""
        async with self._claim.resting():  # nothing is done but to look
            self._news.clear()
            is_lost = state.status == "running" and not await self._is_at_work(state)
            if is_lost and self._given_back < state.attempt:
                await asyncio.sleep(GRACE_S)
                state = await self._state()
                if state.status == "running" and not await self._is_at_work(state):
                    self._given_back, self._lost_s = state.attempt, self._loop.time()
                    await self._give_back(state)
            elif is_lost and self._loop.time() - self._lost_s > GUARD_S:
                self.left_at = state.attempt
                return
            await self._next_look(2 * CHECK_S if is_lost else CHECK_S)

    async def _give_back(self, state: TaskState) -> None:
        restored = await self._executor.give_back(self._turn(state, state.attempt), state.attempt_at)
        how = "is given to another one" if restored else "comes back when the broker gives it to another one"
        logger.warning("the worker of task %s has died; it %s", self._task_id, how)

    async def _next_look(self, seconds: float) -> None:
        """Wait for news; what has come since they were last cleared counts."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    async def _give_up(self, state: TaskState, why: str) -> None:
        data = {
            "message": f"Failed: {why}",
            "percent": state.percent,
            "error": True,
            "attempt": state.attempt,
        }
        await self._claim.publish(Publish(stream=self._claim.stream, type=FAILED, data=data))
