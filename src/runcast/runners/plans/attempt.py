"""One attempt at a step, seen from both sides: the loop that may stop it, and the thread that works on it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from runcast.errors import LogError, StaleToken
from runcast.kinds.base import Publish
from runcast.log.base import Appended
from runcast.runners.claim import Claim
from runcast.runners.workflows.failure import Cancelled

logger = logging.getLogger("runcast.plans")

T = TypeVar("T")


class Spent:
    """What language models have cost; counted in the loop."""

    def __init__(self) -> None:
        self.calls = 0
        self.tokens = 0

    def add(self, tokens: int) -> None:
        """One more answer."""
        self.calls += 1
        self.tokens += tokens

    def take(self, other: Spent) -> None:
        """Count what `other` has counted, which begins anew."""
        self.calls += other.calls
        self.tokens += other.tokens
        other.calls = other.tokens = 0


class StepAttempt:
    """Attempt `number` at a step. Nothing is published for it once `stop` has returned."""

    def __init__(self, claim: Claim, step_id: str, number: int) -> None:
        self.claim = claim
        self.step_id = step_id
        self.number = number
        self.over_since: int | None = None
        """When it was stopped, in microseconds since the Unix epoch."""
        self.has_ended = False
        """Whether its thread is free again."""
        self.when_ended: Callable[[], None] = lambda: None
        self.spent = Spent()
        self._loop = asyncio.get_running_loop()
        self.begun_s = self._loop.time()
        self.timer: asyncio.TimerHandle | None = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._calls: set[Future[Any]] = set()
        self._lost_events = 0

    # In the loop

    @property
    def seconds(self) -> float:
        """Since it was begun."""
        return self._loop.time() - self.begun_s

    def stop(self, now_us: int) -> None:
        """Let it count no more. Its thread hears of it at its next call of the context. Idempotent."""
        if self.timer is not None:
            self.timer.cancel()
        with self._lock:
            if self._stopped.is_set():
                return
            self.over_since = now_us
            self._stopped.set()
            calls, self._calls = self._calls, set()
        for call in calls:
            call.cancel()

    # In the thread

    def check(self) -> None:
        """Go on only if the attempt still counts.

        Raises:
            Cancelled: it does not.
        """
        if self._stopped.is_set():
            raise Cancelled

    def wait(self, seconds: float) -> None:
        """Do nothing for so long.

        Raises:
            Cancelled: the attempt does not count any more; at once.
        """
        if self._stopped.wait(seconds):
            raise Cancelled

    def publish(self, event_type: str, data: dict[str, Any]) -> None:
        """Publish an event of this step, without waiting. One that finds the log busy is lost, and logged.

        Raises:
            Cancelled: the attempt does not count any more.
            InvalidEvent, TooLarge: nothing was stored.
        """
        event = Publish(
            stream=self.claim.stream, type=event_type, data={"step_id": self.step_id, "data": data}
        )
        with self._lock:  # so that whoever stops it knows that nothing comes any more
            self.check()
            try:
                self.claim.publish_soon(event).add_done_callback(self._note)
            except StaleToken:
                raise Cancelled from None
            except LogError as error:
                self._lose(error)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the loop, and wait for what it returns.

        Raises:
            Cancelled: the attempt does not count any more; `work` is cancelled.
        """
        with self._lock:
            if self._stopped.is_set():
                work.close()
                raise Cancelled
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
            self._calls.add(future)
        try:
            return future.result()
        except CancelledError:
            raise Cancelled from None
        finally:
            with self._lock:
                self._calls.discard(future)

    def _note(self, future: Future[list[Appended]]) -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, LogError) and not isinstance(error, StaleToken):
            self._lose(error)

    def _lose(self, error: LogError) -> None:
        self._lost_events += 1
        if self._lost_events == 1:
            logger.warning("events of %s in %s are lost: %s", self.step_id, self.claim.stream, error)
