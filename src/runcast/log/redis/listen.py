"""The listener's thread: it hears wake-ups, and finds out when it does not hear them any more.

A subscription can go deaf without an error: the connection is half open, or somebody has killed it on the
server's side. So it is tried from end to end: a probe is published, and has to arrive. Every probe reads
what is there as well, so what a deaf subscription has missed is late by no more than that.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable

from runcast.errors import LogClosed, LogError
from runcast.log.redis.announce import Announcer
from runcast.log.redis.errors import FAILURES
from runcast.log.redis.server import Server
from runcast.log.redis.subscription import Subscription

_logger = logging.getLogger("runcast.log")

PASSED_ON = "!"
"""What stands before a text that is no wake-up, and is passed on to whoever listens."""
PAUSE_S = 0.2
"""After an error, before it is tried again."""


class Listener:
    """A thread that calls `announcer.catch_up` when something was committed. It begins with `start`."""

    def __init__(self, server: Server, announcer: Announcer) -> None:
        self._server = server
        self._announcer = announcer
        self._stop = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_failing = False
        self.reopened = 0
        """How often a subscription was found deaf or broken."""
        self.probes = 0
        """How often it was tried whether wake-ups arrive."""
        self.listeners: list[Callable[[str], None]] = []
        """Are called with what is passed on; none may raise."""

    def start(self) -> None:
        """Begin to listen, if it has not begun."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="runcast-log-listener", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the thread. Idempotent."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with Subscription(self._server) as subscription:
                    self._listen(subscription)
            except LogClosed:
                return
            except (*FAILURES, LogError) as error:
                self._failed(error)
            except Exception:
                _logger.exception("The log's listener met a fault of its own, and goes on.")
            self.reopened += 1
            self._stop.wait(PAUSE_S)

    def _listen(self, subscription: Subscription) -> None:
        """Hear of commits until the subscription fails, or is deaf."""
        self._announcer.catch_up()
        self._works()
        while not self._stop.is_set():
            probe = secrets.token_hex(8)
            self.probes += 1
            if not self._hear(subscription, probe, subscription.probe(probe)):
                if not self._stop.is_set():
                    _logger.warning(
                        "Redis' wake-ups do not arrive any more; the subscription is opened anew."
                    )
                return

    def _hear(self, subscription: Subscription, probe: str, times: int) -> bool:
        """Listen for as long as lies between two probes; returns whether `probe` has arrived so many times."""
        deadline = time.monotonic() + self._server.options.probe_s
        while not self._stop.is_set() and (left := deadline - time.monotonic()) > 0:
            message = subscription.next(min(left, 0.25))
            if message is None:
                continue
            if message == probe:
                times -= 1
                self._announcer.catch_up()
            elif message.isdecimal():
                self._announcer.woken(int(message))
            elif message.startswith(PASSED_ON):
                for hear in self.listeners:
                    hear(message.removeprefix(PASSED_ON))
        return times <= 0

    def _failed(self, error: Exception) -> None:
        if not self._is_failing:  # said once, not at every try
            _logger.warning("The log cannot be followed: %s. It is tried again.", str(error).rstrip("."))
        self._is_failing = True

    def _works(self) -> None:
        if self._is_failing:
            _logger.info("The log can be followed again.")
        self._is_failing = False
