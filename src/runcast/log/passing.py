"""Passing on what is not stored: what a log that many nodes share may offer beside its contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable


@runtime_checkable
class PassesOn(Protocol):
    """A log through which its processes can tell each other something that need not be kept.

    What is passed on comes at most once to each process that listens, in no order with events, and is lost for those
    that are cut off meanwhile.
    """

    def pass_on(self, text: str) -> None:
        """Tell all processes that listen, this one as well. Blocks for one round trip.

        Raises:
            LogError: it could not be told.
        """
        ...

    def listen(self, hear: Callable[[str], None]) -> None:
        """Call `hear` with what is passed on from now on, until the log is closed: in a thread, and it must return soon."""
        ...
