"""Calls from the threads of a run into the event loop, until the run is over."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar, cast

from runcast.errors import LogError
from runcast.runners.workflows.failure import Cancelled

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]


class Portal:
    """The way of one run's threads into the loop. Closed, it raises `Cancelled` in whoever comes or waits.

    Args:
        group: where what is called for runs.
        give_up: told when the log fails or the lease is lost: that ends the run here, and is no error of the
            code that happened to publish.
    """

    def __init__(self, group: asyncio.TaskGroup, give_up: Callable[[LogError], object]) -> None:
        self._group = group
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._closed = False
        self._calls: set[Future[Any]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_closed(self) -> bool:
        """Whether the run is over here."""
        return self._closed

    def check(self) -> None:
        """Raise `Cancelled` if the run is over. From any thread."""
        if self._closed:
            raise Cancelled

    def call(self, work: Work[T]) -> T:
        """Run `work` in the loop and wait for it. From any thread but the loop's.

        Raises:
            Cancelled: the run was over before it was done.
            Exception: whatever `work` raises.
        """
        future: Future[T] = Future()
        with self._lock:
            self.check()
            self._calls.add(future)
        try:
            self._loop.call_soon_threadsafe(self._begin, work, future)
            return future.result()
        except (CancelledError, RuntimeError) as error:
            if self._closed or isinstance(error, CancelledError):
                raise Cancelled from None
            raise
        finally:
            with self._lock:
                self._calls.discard(future)

    def close(self) -> None:
        """End all that is called for. In the loop; what was published before is not taken back."""
        with self._lock:
            self._closed = True
            calls = list(self._calls)
        for task in tuple(self._tasks):
            task.cancel()
        for future in calls:
            future.cancel()

    def _begin(self, work: Work[Any], future: Future[Any]) -> None:
        if self._closed:
            future.cancel()
            return
        task = self._group.create_task(self._carry(work, future))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, work: Work[Any], future: Future[Any]) -> None:
        try:
            result = await work()
        except asyncio.CancelledError:
            future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - a task's root: whoever called gets it
            cause = _cause(error)
            if isinstance(cause, LogError):
                self._give_up(cause)
                future.cancel()
            elif not future.done():
                future.set_exception(cause)
        else:
            if not future.done():
                future.set_result(result)


def _cause(error: Exception) -> Exception:
    """What a task group wrapped: a failure of the log, if there is one, or else the first of its exceptions."""
    if not isinstance(error, ExceptionGroup):
        return error
    inner = [_cause(one) for one in cast("tuple[Exception, ...]", error.exceptions)]  # pyright: ignore[reportUnknownMemberType]
    return next((one for one in inner if isinstance(one, LogError)), inner[0])
