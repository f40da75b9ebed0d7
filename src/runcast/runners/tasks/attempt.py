"""One attempt at a task, in this process: under a lease, from `started` to `completed`, `retrying` or `failed`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, cast

import msgspec

from runcast.config import Settings
from runcast.core.event import Cursor, Event, NewEvent
from runcast.errors import LogError, StaleToken
from runcast.kinds.base import accept
from runcast.kinds.stored import fields_of
from runcast.kinds.task import COMPLETED, FAILED, RETRYING, STARTED, TASK, check_own_step, task_stream
from runcast.kinds.task_state import TaskState, step
from runcast.log.base import Appended, EventLog
from runcast.runners.knowledge import KnowledgeBase
from runcast.runners.knowledge.place import knowledge_file
from runcast.runners.llm import make_model
from runcast.runners.model import LanguageModel
from runcast.runners.tasks import registry
from runcast.runners.tasks.cancelling import CancelWatch, end_of
from runcast.runners.tasks.context import TaskContext
from runcast.runners.tasks.failure import TaskCancelled, TaskLost, is_final, sentence_of
from runcast.runners.tasks.work_lease import WorkLease
from runcast.sources.progress import new_publish
from runcast.sources.redis_echo import Echo, echo_for

logger = logging.getLogger("runcast.tasks")

STORE_PATIENCE_S: Final = 30.0
STORE_PAUSE_S: Final = 0.1
LONGEST_BACKOFF_S: Final = 300.0
FLUSH_S: Final = 2.0


class Workplace:
    """What a process needs to work at tasks: the log, the settings, and whom to tell beside the log."""

    def __init__(self, log: EventLog, settings: Settings) -> None:
        self.log = log
        self.settings = settings
        self.echo: Echo | None = echo_for(settings)
        self._knowledge: KnowledgeBase | None = None

    def make_model(self) -> LanguageModel:
        """The configured model; raises `ConfigError`."""
        settings = msgspec.structs.replace(self.settings, log=self.log.url)
        if self._knowledge is None:
            self._knowledge = KnowledgeBase(knowledge_file(settings))
        return make_model(settings, self._knowledge)

    def flush(self) -> None:
        """Let what was told arrive elsewhere, too, before the process may end; for a short while."""
        if self.echo is not None:
            self.echo.flush(FLUSH_S)

    def close(self) -> None:
        """Let go of what was opened; the log is its owner's."""
        if self._knowledge is not None:
            self._knowledge.close()
        self.flush()


class Story:
    """A task as its stream tells it: its state, what it was begun with, and who was last at work on it."""

    def __init__(self) -> None:
        self.state = TaskState()
        self.params: dict[str, Any] = {}
        self.begun_by = ""
        """The id of the event that began it for a runner: of several `queued` the first."""
        self.worker = ""
        self.cursor: Cursor | None = None
        """Up to where it was read."""

    def take(self, event: Event) -> None:
        """Take one event in."""
        was_managed = self.state.managed
        step(self.state, event)
        if self.state.managed and not was_managed:
            self.begun_by = event.id
            params = fields_of(event).get("params")
            self.params = cast("dict[str, Any]", params) if isinstance(params, dict) else {}
        elif event.type == STARTED:
            self.worker = self.state.worker or self.worker


def read_story(log: EventLog, stream: str) -> Story:
    """All of the task's current run; raises `LogError`."""
    story, cursor = Story(), None
    while True:
        page = log.read(stream, cursor)
        if page.reset is not None:
            story = Story()
        for event in page.events:
            story.take(event)
        story.cursor = cursor = page.cursor
        if page.complete:
            return story


def make_attempt(place: Workplace, task_id: str, *, expected: int = 0) -> None:
    """Work at a task, if it is open and nobody else does.

    Returns when the attempt has ended, whatever has come of it: that is in the stream. A repeated delivery finds the task
    over, or in other hands, and does nothing.

    Args:
        expected: which attempt whoever hands the task over means; of one that is done already, nothing is repeated.

    Raises:
        LogError: the log cannot be used; the attempt counts if it was begun.
    """
    stream = task_stream(task_id)
    story = read_story(place.log, stream)
    if not _is_wanted(story.state, expected):
        return
    work = WorkLease.take(place.log, stream, place.settings.runner_lease_s, last_owner=story.worker)
    if work is None:
        return
    with work:
        story = read_story(place.log, stream)  # what happened before it was ours
        # Whoever seals or clears it from now on takes our lease; in a sealed run, `started` would begin another one.
        if _is_wanted(story.state, expected) and not place.log.info(stream).ended:
            _Attempt(place, task_id, story, work).make()


def _is_wanted(state: TaskState, expected: int) -> bool:
    """Whether an attempt is to be made; of one that is cancelled, or has used them up, its supervision tells the end."""
    done = state.attempt if state.status == "retrying" else state.attempt - 1
    return (
        state.is_open
        and not state.cancel
        and state.attempt < state.max_attempts
        and (not expected or expected > done)
    )


class _Attempt:
    def __init__(self, place: Workplace, task_id: str, story: Story, work: WorkLease) -> None:
        self._place = place
        self._task_id = task_id
        self._story = story
        self._work = work
        self._number = story.state.attempt + 1
        self._stream = task_stream(task_id)
        self._percent = 0
        self._is_stale = False
        self._cancel = CancelWatch(place.log, self._stream, story.cursor)

    def make(self) -> None:
        """From `started` to the end of the attempt."""
        state = self._story.state
        registered = registry.find(state.type or "")
        try:
            if registered is None:
                self._store(FAILED, {"message": f"There is no task {state.type} here.", "percent": 0})
                return
            begun = {"message": f"Started, attempt {self._number}", "percent": 0}
            self._store(STARTED, {**begun, "worker": self._work.lease.owner, "task_type": state.type})
            with self._cancel:
                self._run(registered)
        except (StaleToken, TaskLost):
            logger.warning("%s is not this process's any more", self._stream)

    def _run(self, registered: registry.Registered) -> None:
        place = self._place
        context = TaskContext(
            self._task_id,
            self._story.params,
            self._number,
            place.settings,
            tell=self._tell,
            is_lost=lambda: self._is_stale or self._work.is_lost.is_set(),
            is_cancelled=self._cancel.is_cancelled,
            make_model=place.make_model,
        )
        try:
            if registered.check is not None:
                registered.check(self._story.params)  # whoever may write to the stream may have begun it
            result = registered.function(context)
            done = {"message": _message_of(result), "percent": 100, "result": result}
            self._store(COMPLETED, done)
        except (StaleToken, LogError):
            raise
        except TaskCancelled:
            self._end_cancelled()
        except Exception as error:  # noqa: BLE001 - whatever a task raises is its failure
            self._fail(error, registered)

    def _end_cancelled(self) -> None:
        cancel = self._cancel
        self._store(FAILED, end_of(cancel.by, cancel.reason, self._percent))

    def _fail(self, error: Exception, registered: registry.Registered) -> None:
        if self._cancel.is_cancelled():  # whatever came of being stopped
            self._end_cancelled()
            return
        why = sentence_of(error, f"the task {self._story.state.type}")
        left = self._story.state.max_attempts - self._number
        if left <= 0 or is_final(error):
            self._store(FAILED, {"message": f"Failed: {why}", "percent": self._percent, "error": True})
            return
        pause_s = min(registered.backoff_s * 2 ** (self._number - 1), LONGEST_BACKOFF_S)
        due_at = time.time_ns() // 1000 + round(pause_s * 1e6)
        message = f"Attempt {self._number} failed: {why} Another one follows in {pause_s:g} s."
        self._store(RETRYING, {"message": message, "percent": self._percent, "due_at": due_at, "reason": why})

    def _tell(self, step_name: str, fields: dict[str, Any]) -> None:
        """Publish without waiting. A log that cannot take it costs the task nothing."""
        check_own_step(step_name)
        event = self._accept(step_name, fields)
        try:
            future, tell = self._append(event)
            future.add_done_callback(lambda future: self._told(future, tell))
        except StaleToken:
            self._is_stale = True
        except LogError as error:
            logger.warning("what %s tells is lost: %s", self._stream, error)

    def _store(self, step_name: str, fields: dict[str, Any]) -> None:
        """Publish and wait until it is stored; a log that is busy is waited for.

        Raises:
            StaleToken: the task is another's.
            LogError: the log could not be used for too long.
        """
        event = self._accept(step_name, fields)
        ends_s = time.monotonic() + STORE_PATIENCE_S
        while True:
            try:
                future, tell = self._append(event)
                future.result()
                tell()
                return
            except LogError as error:
                if not error.retryable or time.monotonic() > ends_s:
                    raise
            time.sleep(STORE_PAUSE_S)

    def _append(self, event: NewEvent) -> tuple[Future[list[Appended]], Callable[[], object]]:
        future = self._place.log.append_soon([event], lease=self._work.lease)
        echo = self._place.echo
        return future, (lambda: echo.tell(event)) if echo else (lambda: None)

    def _accept(self, step_name: str, fields: dict[str, Any]) -> NewEvent:
        """The event; how far the task is, is known only by what could be told. Raises `InvalidEvent`, `TooLarge`."""
        publish = new_publish(self._stream, step_name, {**fields, "attempt": self._number})
        event = accept(TASK, publish, time.time_ns() // 1000, self._place.settings.event_max_bytes)
        if step_name not in TASK.terminals:
            self._percent = int(publish.data.get("percent") or 0)
        return event

    def _told(self, future: Future[list[Appended]], tell: Callable[[], object]) -> None:
        error = future.exception()
        if error is None:
            tell()
        elif isinstance(error, StaleToken):
            self._is_stale = True
        else:
            logger.warning("what %s tells is lost: %s", self._stream, error)


def _message_of(result: object) -> str:
    """A result may have its own last words."""
    said = cast("dict[str, Any]", result).get("message") if isinstance(result, dict) else None
    return said if isinstance(said, str) and said else "Complete!"
