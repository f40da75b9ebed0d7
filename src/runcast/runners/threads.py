"""Threads for synchronous code of users: a bounded number, begun when needed, which no end of the process waits for.

The standard library's pool waits at exit for whatever its threads are at. An agent in the midst of a long call
would keep a server from ending; what it has begun is run again elsewhere, and needs no end here.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

logger = logging.getLogger("runcast.runners")

T = TypeVar("T")

IDLE_S = 30.0
"""A thread without work ends after so long."""


class WorkThreads:
    """At most `limit` threads that do what is submitted, in order.

    What waits is bounded by who submits: each run waits for what it has begun.
    """

    def __init__(self, limit: int, name: str = "runcast-agent") -> None:
        self._limit = limit
        self._name = name
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._threads = 0
        self._idle = 0
        self._begun = 0

    @property
    def active(self) -> int:
        """How many are at work now."""
        with self._changed:
            return self._threads - self._idle

    @property
    def waiting(self) -> int:
        """How much waits for a thread."""
        with self._changed:
            return len(self._waiting)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Let a thread do `work`; from any thread. The future can be cancelled until it begins.

        Raises:
            RuntimeError: the system gives no thread, and there is none that could do it later.
        """
        future: Future[T] = Future()
        with self._changed:
            self._waiting.append((future, work))
            if self._idle >= len(self._waiting):
                self._changed.notify()
            elif self._threads < self._limit:
                self._begin()
        return future

    def _begin(self) -> None:
        self._begun += 1
        self._threads += 1
        try:
            threading.Thread(target=self._serve, name=f"{self._name}-{self._begun}", daemon=True).start()
        except RuntimeError as error:
            self._threads -= 1
            if not self._threads:
                self._waiting.pop()
                raise
            logger.warning("%s more threads than %d cannot be had: %s", self._name, self._threads, error)

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            _do(*job)
            del job  # it may hold much, and nothing may come for a while

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._changed:
            if not self._waiting:
                self._idle += 1
                self._changed.wait_for(lambda: self._waiting, IDLE_S)
                self._idle -= 1
            if self._waiting:
                return self._waiting.popleft()
            self._threads -= 1
            return None


def _do(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - a thread's root: whoever waits gets it
        future.set_exception(error)
    else:
        future.set_result(result)
