"""Being the one process that is at a task: a lease that a thread renews, and that a dead process gives up at once."""

from __future__ import annotations

import logging
import os
import re
import secrets
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Final, Self

from runcast.errors import LogError
from runcast.log import rules
from runcast.log.base import EventLog, Lease

logger = logging.getLogger("runcast.tasks")

POLL_S: Final = 0.2
RENEWALS_PER_LEASE: Final = 3
MARGIN_S: Final = 1.0
_OWNER: Final = re.compile(r"(?P<place>.+):(?P<pid>\d+):[0-9a-f]+")


def lease_name(stream: str) -> str:
    """What the lease of who is at work on a stream is called; whoever ends or clears the stream takes it away."""
    return rules.lease_name(stream, rules.WORK)


def new_owner() -> str:
    """A name for this process and one piece of work: `place:pid:random`."""
    return f"{_place()}:{os.getpid()}:{secrets.token_hex(4)}"


def has_died(owner: str) -> bool:
    """Whether the process that took this name is dead, as far as can be seen from here; others' may be alive."""
    match = _OWNER.fullmatch(owner)
    if match is None or match["place"] != _place() or sys.platform == "win32":
        return False
    try:
        os.kill(int(match["pid"]), 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is somebody else's
        return False
    return _is_zombie(int(match["pid"]))


def _is_zombie(pid: int) -> bool:
    """Whether it is dead, and nobody has taken note yet."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[:1] == ["Z"]
    except OSError:
        return False


def _place() -> str:
    """This machine, or this container: where process ids are the same ones."""
    try:
        space = os.readlink("/proc/self/ns/pid").strip("pid:[]")  # noqa: PTH115
    except OSError:
        space = ""
    return f"{socket.gethostname()}/{space}" if space else socket.gethostname()


def _inherit(log: EventLog, name: str, owner: str, ttl_s: float) -> None:
    """Give back what a process holds, by its name: whoever takes the lease next has a newer token."""
    lease = log.acquire(name, owner, ttl_s)
    if lease is not None:
        log.release(lease)


def take_away(log: EventLog, stream: str, worker: str, ttl_s: float) -> Lease | None:
    """The lease of a stream's work, taken from `worker`, who is to tell nothing more: the log refuses it from then on.

    None if somebody else has it, who was not known yet.

    Raises:
        LogError: the log cannot be used.
    """
    name = lease_name(stream)
    if worker:
        _inherit(log, name, worker, ttl_s)
    return log.acquire(name, new_owner(), ttl_s)


def kill(owner: str) -> None:
    """End the process that took this name, if it is on this machine. It must be known to be a process of its own."""
    match = _OWNER.fullmatch(owner)
    if match is not None and match["place"] == _place() and int(match["pid"]) != os.getpid():
        with suppress(OSError):
            os.kill(int(match["pid"]), signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)


class WorkLease:
    """The lease of one piece of work, renewed until it is left. Make it by `take`; use it in a `with`.

    `is_lost` is set when another process has it, or when it could not be renewed in time.
    """

    def __init__(self, log: EventLog, lease: Lease, ttl_s: float) -> None:
        self.lease = lease
        self.is_lost = threading.Event()
        self._log = log
        self._ttl_s = ttl_s
        self._is_left = threading.Event()
        self._renewed_s = time.monotonic()
        self._thread = threading.Thread(target=self._renew, name="runcast-lease", daemon=True)

    @classmethod
    def take(cls, log: EventLog, stream: str, ttl_s: float, *, last_owner: str = "") -> Self | None:
        """The lease, or None if another living process holds it; waits a little longer than a dead one could.

        Args:
            last_owner: who is known to have had it. If that process is seen to be dead, its lease is not waited for.

        Raises:
            LogError: the log cannot be used.
        """
        name, owner = lease_name(stream), new_owner()
        ends_s = time.monotonic() + ttl_s + MARGIN_S
        while True:
            began_s = time.monotonic()
            if last_owner and has_died(last_owner):
                _inherit(log, name, last_owner, ttl_s)
            lease = log.acquire(name, owner, ttl_s)
            if lease is not None:
                taken = cls(log, lease, ttl_s)
                taken._renewed_s = began_s
                return taken
            if time.monotonic() > ends_s:
                return None
            time.sleep(POLL_S)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_left.set()
        self._thread.join()
        with suppress(LogError):  # it ends by itself
            self._log.release(self.lease)

    def _renew(self) -> None:
        while not self._is_left.wait(self._ttl_s / RENEWALS_PER_LEASE):
            began_s = time.monotonic()
            try:
                lease = self._log.acquire(self.lease.name, self.lease.owner, self._ttl_s)
            except LogError as error:
                logger.warning("%s could not be renewed: %s", self.lease.name, error)
                if began_s - self._renewed_s > self._ttl_s:
                    self.is_lost.set()
                    return
                continue
            if lease is None or lease.token != self.lease.token:
                self.is_lost.set()
                if (
                    lease is not None
                ):  # another one had it and is through: this lease is a new one, and nobody's work
                    with suppress(LogError):
                        self._log.release(lease)
                return
            self._renewed_s = began_s
