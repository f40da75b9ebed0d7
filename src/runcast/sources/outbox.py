"""Handing things to a thread that sends them on: whoever puts them in never waits for a disk or a network.

Bounded in number and bytes. What cannot be sent is counted and logged, and never raised. What waits is sent before
the process ends; a child that is forked begins with an empty one.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

logger = logging.getLogger("runcast.progress")

MAX_ITEMS = 10_000
MAX_BYTES = 16 * 1024 * 1024
AT_ONCE = 200
"""So many are sent together at most."""
EXIT_S = 5.0
"""So long the end of the process waits for what is not sent yet."""
WARN_EVERY_S = 10.0
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0

T = TypeVar("T")


class NotNow(Exception):
    """What `send` raises if it may well succeed a little later."""


class Outbox(Generic[T]):
    """A bounded queue with a thread of its own that begins when it is needed.

    Args:
        name: of the thread, and in what is logged.
        send: takes up to `AT_ONCE` items, in order, and returns how many of them are refused for ever, if any. With `NotNow` the same ones are tried again until `patience_s` is
            over; with any other exception they are lost.
        patience_s: how long one batch is tried.
    """

    def __init__(self, name: str, send: Callable[[list[T]], int | None], *, patience_s: float = 30.0) -> None:
        self.lost = 0
        """Items that could not be sent, or found no room."""
        self.sent = 0
        self._name = name
        self._send = send
        self._patience_s = patience_s
        self._warned_s = -WARN_EVERY_S
        self._begin_anew()
        _outboxes.add(self)

    def put(self, item: T, size_bytes: int) -> bool:
        """Let it be sent; False if there is no room. Never waits, never raises."""
        with self._changed:
            fits = len(self._waiting) < MAX_ITEMS and self._bytes + size_bytes <= MAX_BYTES
            if fits:
                self._waiting.append((item, size_bytes))
                self._bytes += size_bytes
                self._begin_if_needed()
                self._changed.notify_all()
        if not fits:
            self._lose(1, "too much waits already")
        return fits

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything that was put in is sent or given up; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._sending, timeout_s)

    def end(self) -> None:
        """Before the process ends: send what waits, for a while; what fails then is tried no more."""
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
        if not self.flush(EXIT_S):
            self._lose(len(self._waiting), "the process ends")
        self._is_ending = False

    def _begin_anew(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[tuple[T, int]] = deque()
        self._bytes = self._sending = 0
        self._is_ending = False
        self._thread: threading.Thread | None = None

    def after_fork_in_child(self) -> None:
        """What the parent has in it is the parent's to send."""
        self._begin_anew()

    def _begin_if_needed(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        changed = self._changed
        while True:
            with changed:
                changed.wait_for(lambda: self._waiting)
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), AT_ONCE))]
                self._sending = len(batch)
            self._send_patiently([item for item, _ in batch])
            with changed:
                self._sending = 0
                self._bytes -= sum(size for _, size in batch)
                changed.notify_all()

    def _send_patiently(self, items: list[T]) -> None:
        deadline_s, pause_s = time.monotonic() + self._patience_s, FIRST_PAUSE_S
        while True:
            try:
                refused = self._send(items) or 0
            except NotNow as error:
                if time.monotonic() + pause_s < deadline_s and not self._is_ending:
                    self._pause(pause_s)
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                    continue
                self._lose(len(items), str(error))
            except Exception as error:  # a thread's root: what fails here must not reach the agent
                logger.debug("%s failed", self._name, exc_info=True)
                self._lose(len(items), str(error) or type(error).__name__)
            else:
                self.sent += len(items) - refused
                self._lose(refused, "refused")
            return

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_ending, seconds)

    def _lose(self, count: int, why: str) -> None:
        self.lost += count
        now_s = time.monotonic()
        if count and now_s - self._warned_s >= WARN_EVERY_S:
            self._warned_s = now_s
            logger.warning("%s: %d could not be sent so far: %s", self._name, self.lost, why)


_outboxes: weakref.WeakSet[Outbox[Any]] = weakref.WeakSet()


def end_all() -> None:
    """Send what waits anywhere in this process, for a few seconds at most."""
    for outbox in list(_outboxes):
        outbox.end()


def send_at_exit() -> None:
    """Let the end of the process wait for what is not sent; before the ends of all that is imported so far."""
    atexit.unregister(end_all)
    atexit.register(end_all)


def _after_fork_in_child() -> None:
    for outbox in list(_outboxes):
        outbox.after_fork_in_child()


if hasattr(os, "register_at_fork"):  # where there are forks
    os.register_at_fork(after_in_child=_after_fork_in_child)
