"""What a task's function is given: its parameters, and the ways to tell how far it is and to ask a model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, NamedTuple

from runcast.config import Settings
from runcast.kinds.task import PROCESSING
from runcast.runners.model import Delta, LanguageModel, Message
from runcast.runners.tasks.failure import TaskCancelled, TaskLost

Tell = Callable[[str, dict[str, Any]], object]
"""Publishes one event of the task: its step, and its fields."""


class Answer(NamedTuple):
    """What a language model said, and which one."""

    text: str
    model: str


class TaskContext:
    """One attempt at one task. Any thread of the process may call it.

    `attempt` counts from 1; `params` are what the task was begun with.
    """

    def __init__(
        self,
        task_id: str,
        params: dict[str, Any],
        attempt: int,
        settings: Settings,
        *,
        tell: Tell,
        is_lost: Callable[[], bool],
        is_cancelled: Callable[[], bool] = lambda: False,
        make_model: Callable[[], LanguageModel],
    ) -> None:
        self.task_id = task_id
        self.params = params
        self.attempt = attempt
        self.settings = settings
        self._tell = tell
        self._is_lost = is_lost
        self._is_cancelled = is_cancelled
        self._make_model = make_model

    def publish(
        self,
        message: str,
        percent: float = 0,
        step: str = PROCESSING,
        tool: str | None = None,
        error: bool = False,
        **fields: Any,
    ) -> None:
        """Tell how far it is; see `ProgressPublisher.publish`. Never waits.

        Raises:
            InvalidEvent, TooLarge: a value cannot be; names it.
            TaskLost, TaskCancelled: see `check`.
        """
        self.check()
        self._tell(step, {"message": message, "percent": percent, "tool": tool, "error": error, **fields})

    def check(self) -> None:
        """See whether to go on: long computations should call it now and then. It costs next to nothing.

        A task that is cancelled and does not ask for two seconds is ended from outside, where it runs in a process.

        Raises:
            TaskLost: the task belongs to another process now.
            TaskCancelled: somebody has cancelled it.
        """
        if self._is_lost():
            raise TaskLost
        if self._is_cancelled():
            raise TaskCancelled

    def llm(self, prompt: str, *, system: str = "", max_tokens: int | None = None) -> Answer:
        """Ask the configured language model (the built-in extractive one without any), and wait for all of its answer.

        Raises:
            ModelError: it has not answered.
            TaskLost, TaskCancelled: see `check`.
        """
        self.check()
        messages = [*([Message("system", system)] if system else []), Message("user", prompt)]
        return asyncio.run(_ask(self._make_model(), messages, max_tokens))


async def _ask(model: LanguageModel, messages: list[Message], max_tokens: int | None) -> Answer:
    pieces: list[str] = []
    name = model.name
    stream: Any = model.stream(messages, max_tokens=max_tokens)
    async with aclosing(stream) as parts:
        async for part in parts:
            if isinstance(part, Delta):
                pieces.append(part.text)
            else:
                name = part.model
    await model.close()
    return Answer("".join(pieces), name)
