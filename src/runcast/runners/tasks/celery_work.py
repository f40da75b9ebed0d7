"""One delivery of somebody's Celery task in this process: whose it is, how often it began, what is told of it.

A log that is away costs such a task nothing but what it would have told: it is run all the same.
"""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from typing import Any, Final

from runcast.config import Settings
from runcast.errors import LogError
from runcast.kinds.task import CANCELLED, COMPLETED, FAILED, RETRYING, STARTED, task_stream
from runcast.log.base import Lease
from runcast.runners.tasks.attempt import Story, read_story
from runcast.runners.tasks.cancelling import CancelWatch, end_of, end_of_state
from runcast.runners.tasks.celery_app import workplace
from runcast.runners.tasks.failure import TaskCancelled
from runcast.runners.tasks.work_lease import WorkLease
from runcast.sources.progress import new_publish, writer_for

logger = logging.getLogger("runcast.tasks")

FLUSH_S: Final = 5.0
EXECUTOR: Final = "celery"


class Over(Exception):
    """The task is over, so nothing is to be done for a delivery that comes again."""


class AtWork(Exception):
    """Another living process is at the task: this delivery has to wait."""


class Work:
    """Made by `begin`; to be left by `leave`, whatever has come of it.

    `attempt` counts every beginning. `is_cancelled`: somebody has cancelled it.
    """

    def __init__(self, task_id: str, attempt: int, percent: int = 0) -> None:
        self.attempt = attempt
        self._stream = task_stream(task_id)
        self._percent = percent
        self._watch: CancelWatch | None = None
        self._lease: Lease | None = None
        self._stack = ExitStack()

    @classmethod
    def begin(cls, task_id: str, name: str, *, retries: int, redelivered: bool) -> Work:
        """Tell that it begins, for the how manieth time.

        Raises:
            Over: it has come to its end, or is told to.
            AtWork: another process is at it.
        """
        try:
            return cls._begin(task_id, name, again=redelivered or retries > 0)
        except LogError as error:
            logger.warning("what the task %s tells may be lost: %s", task_id, error)
            return cls(task_id, retries + 1)

    @classmethod
    def _begin(cls, task_id: str, name: str, *, again: bool) -> Work:
        """`again`: it is no first delivery, so it cannot begin a run after one that is over."""
        place, stream = workplace(), task_stream(task_id)
        story = read_story(place.log, stream)
        if story.state.is_over and again:
            raise Over
        lease = WorkLease.take(place.log, stream, place.settings.runner_lease_s, last_owner=story.worker)
        if lease is None:
            raise AtWork
        with ExitStack() as stack:
            stack.enter_context(lease)
            story = read_story(place.log, stream)  # what happened before it was ours
            work = cls(task_id, _next_attempt(story, again=again), story.state.percent)
            work._lease = lease.lease
            if story.state.cancel and not story.state.is_over:
                work.tell(FAILED, end_of_state(story.state))
                work.flush()
                raise Over
            work._watch = stack.enter_context(CancelWatch(place.log, stream, story.cursor))
            begun = {"message": f"Started, attempt {work.attempt}", "percent": 0, "task_type": name}
            work.tell(STARTED, {**begun, "worker": lease.lease.owner, "executor": EXECUTOR})
            work.flush()  # counted before the task can cost us the process
            work._stack = stack.pop_all()
        return work

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody has cancelled it."""
        return self._watch is not None and self._watch.is_cancelled()

    def check(self) -> None:
        """Raise `TaskCancelled` if it is cancelled."""
        if self.is_cancelled:
            raise TaskCancelled

    def tell(self, step: str, fields: dict[str, Any]) -> None:
        """Tell one step; see `ProgressPublisher.publish`. Without a percent it is as far as it was.

        Raises:
            InvalidEvent, TooLarge: a value cannot be; names it.
        """
        data = {"percent": self._percent, "attempt": self.attempt, **fields}
        writer_for(Settings.from_env(os.environ)).write(new_publish(self._stream, step, data), self._lease)
        if step not in {STARTED, COMPLETED, FAILED, RETRYING}:
            self._percent = int(data["percent"] or 0)

    def tell_cancelled(self) -> None:
        """Tell that it ends because it was cancelled."""
        watch = self._watch
        by, reason = (watch.by, watch.reason) if watch else (None, None)
        self.tell(FAILED, end_of(by, reason, self._percent))

    def flush(self) -> None:
        """Wait until what was told is stored, before Celery acknowledges the task or replaces the process."""
        writer_for(Settings.from_env(os.environ)).flush(FLUSH_S)

    def leave(self) -> None:
        """Let another process have it. Idempotent."""
        self._stack.close()


def tell_end(task_id: str, message: str, *, cancelled: bool = False) -> None:
    """Tell that a task has ended which cannot say so itself: from a worker's main process; nothing if it has.

    It waits until that is stored, for some seconds at most.
    """
    try:
        log, stream = workplace().log, task_stream(task_id)
        state, is_sealed = read_story(log, stream).state, log.info(stream).ended
    except LogError as error:
        logger.warning("the end of the task %s is lost: %s", task_id, error)
        return
    if state.is_over or is_sealed:  # in a sealed stream it would begin another run
        return
    work = Work(task_id, max(state.attempt, 1), state.percent)
    told = {"message": message, "error": True, **({"status": CANCELLED} if cancelled else {})}
    work.tell(FAILED, end_of_state(state) if state.cancel else told)
    work.flush()


def _next_attempt(story: Story, *, again: bool) -> int:
    if not story.state.is_over:
        return story.state.attempt + 1
    if again:
        raise Over
    return 1
