"""One attempt at a task, in this process: under a lease, from `started` to `completed`, `retrying` or `failed`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, cast

import msgspec

from runcast.config import Settings
from runcast.core.event import Event
from runcast.errors import InvalidInput, LogError, StaleToken
from runcast.kinds.base import Publish, accept
from runcast.kinds.task import COMPLETED, FAILED, QUEUED, RETRYING, STARTED, TASK, task_stream
from runcast.kinds.task_state import TaskState, step
from runcast.log.base import Appended, EventLog, Lease
from runcast.runners.knowledge import KnowledgeBase
from runcast.runners.knowledge.place import knowledge_file
from runcast.runners.llm import make_model
from runcast.runners.model import LanguageModel
from runcast.runners.tasks import registry
from runcast.runners.tasks.context import TaskContext
from runcast.runners.tasks.failure import TaskLost, is_final, sentence_of
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
        self.worker = ""

    def take(self, event: Event) -> None:
        """Take one event in."""
        step(self.state, event)
        if event.type in {QUEUED, STARTED}:
            fields = msgspec.json.decode(event.data)
            self.params = fields.get("params") or self.params
            self.worker = fields.get("worker") or self.worker


def read_story(log: EventLog, stream: str) -> Story:
    """All of the task's current run; raises `LogError`."""
    story, cursor = Story(), None
    while True:
        page = log.read(stream, cursor)
        if page.reset is not None:
            story = Story()
        for event in page.events:
            story.take(event)
        if page.complete:
            return story
        cursor = page.cursor


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
        if _is_wanted(story.state, expected):
            _Attempt(place, task_id, story, work).make()


def _is_wanted(state: TaskState, expected: int) -> bool:
    """Whether an attempt is to be made; of one that has used up its attempts, its supervision tells the end."""
    done = state.attempt if state.status == "retrying" else state.attempt - 1
    return state.is_open and state.attempt < state.max_attempts and (not expected or expected > done)


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
        except Exception as error:  # noqa: BLE001 - whatever a task raises is its failure
            self._fail(error, registered)

    def _fail(self, error: Exception, registered: registry.Registered) -> None:
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
        publish = self._publish(step_name, fields)
        if step_name in TASK.terminals:
            raise InvalidInput(f"step: {step_name} is told when the task's function ends.", field="step")
        try:
            future, tell = self._append(publish, self._work.lease)
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
        publish = self._publish(step_name, fields)
        ends_s = time.monotonic() + STORE_PATIENCE_S
        while True:
            try:
                future, tell = self._append(publish, self._work.lease)
                future.result()
                tell()
                return
            except LogError as error:
                if not error.retryable or time.monotonic() > ends_s:
                    raise
            time.sleep(STORE_PAUSE_S)

    def _append(self, publish: Publish, lease: Lease) -> tuple[Future[list[Appended]], Callable[[], object]]:
        place = self._place
        event = accept(TASK, publish, time.time_ns() // 1000, place.settings.event_max_bytes)
        future = place.log.append_soon([event], lease=lease)
        echo = place.echo
        return future, (lambda: echo.tell(event)) if echo else (lambda: None)

    def _publish(self, step_name: str, fields: dict[str, Any]) -> Publish:
        data = {**fields, "attempt": self._number}
        percent = data.get("percent")
        if isinstance(percent, int | float) and step_name not in TASK.terminals:
            self._percent = int(percent)
        return new_publish(self._stream, step_name, data)

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
