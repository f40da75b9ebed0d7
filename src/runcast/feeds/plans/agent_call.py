"""Calling somebody's agent: its `execute_step`, plain or async, with a progress callback if it takes one."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from typing import Any, Final, Protocol

from runcast.errors import InvalidInput, RuncastError

logger = logging.getLogger("runcast.plans")

NAMES: Final = ("progress_callback", "on_progress", "report_progress", "progress")
"""What an agent may call the parameter; a third one without a default counts, too, and `**kwargs` gets the first name."""
STEP_AND_CONTEXT: Final = 2

Report = Callable[[float, str], Future[Any]]
"""Stores a step's progress, from any thread, without waiting."""


class ReportProgress(Protocol):
    """What an agent is given: a fraction from 0 to 1, and what it is doing. May be called from any thread.

    What it returns may be awaited, and then the progress is stored.
    """

    def __call__(self, progress: float, message: str = "") -> Awaitable[None]:
        """Tell how far the step is."""
        ...


class _Told:
    """May be awaited or left alone."""

    def __init__(self, future: Future[Any] | None) -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, None]:
        if self._future is not None:
            yield from asyncio.wrap_future(self._future).__await__()


class Progress:
    """The callback of one step. After `close` it does nothing: a thread may go on when nobody waits for it."""

    def __init__(self, report: Report | None) -> None:
        self._report = report
        self._is_closed = False
        self.was_told = False
        """Whether the agent has reported anything."""

    def __call__(self, progress: float, message: str = "") -> Awaitable[None]:
        """See `ReportProgress`.

        Raises:
            InvalidEvent: `progress` is no number from 0 to 1. A log that is busy harms no agent: it is logged.
        """
        if self._report is None or self._is_closed:
            return _Told(None)
        self.was_told = True
        try:
            future = self._report(progress, message)
        except InvalidInput:
            raise
        except RuncastError as error:
            logger.warning("a step's progress was not stored: %s", error)
            return _Told(None)
        future.add_done_callback(_warn)
        return _Told(future)

    def close(self) -> None:
        """The agent has returned."""
        self._is_closed = True


class AgentCall:
    """How `agent.execute_step` wants to be called.

    Raises:
        InvalidInput: the agent has no such method.
    """

    def __init__(self, agent: object) -> None:
        method = getattr(agent, "execute_step", None)
        if not callable(method):
            raise InvalidInput("agent: it has no method execute_step(step, context).", field="agent")
        self._method: Callable[..., Any] = method
        self._is_async = inspect.iscoroutinefunction(method) or inspect.iscoroutinefunction(
            getattr(method, "__call__", None)  # noqa: B004 - a callable object may be async by its __call__
        )
        self._name, self._is_third = _progress_parameter(method)

    @property
    def takes_progress(self) -> bool:
        """Whether the agent may report progress itself."""
        return self._is_third or self._name is not None

    async def __call__(self, step: object, context: object, progress: ReportProgress) -> Any:
        """Let the agent do one step: a coroutine function here, any other in a thread.

        Cancelled, it leaves a thread alone: nobody can stop that. Raises whatever the agent raises.
        """
        positional = (step, context, progress) if self._is_third else (step, context)
        named = {} if self._name is None else {self._name: progress}
        if self._is_async:
            return await self._method(*positional, **named)
        result = await asyncio.to_thread(self._method, *positional, **named)
        return await result if inspect.isawaitable(result) else result


def _progress_parameter(method: Callable[..., Any]) -> tuple[str | None, bool]:
    """The name by which to give the callback, or whether it is the third positional argument."""
    try:
        parameters = inspect.signature(method).parameters
    except (TypeError, ValueError):  # a method that does not say, such as one in C
        return None, False
    for name in NAMES:
        if name in parameters:
            return name, False
    positional = [one for one in parameters.values() if one.kind in _POSITIONAL]
    third = positional[STEP_AND_CONTEXT : STEP_AND_CONTEXT + 1]
    if third and third[0].default is inspect.Parameter.empty:
        return None, True
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    return (NAMES[0] if takes_any else None), False


_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _warn(future: Future[Any]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        logger.warning("a step's progress was not stored: %s", error)
