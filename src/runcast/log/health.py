"""How a log on other machines fares: what one may tell beside its contract, for who watches over it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import msgspec


class LogHealth(msgspec.Struct, frozen=True, gc=False):
    """Counts since the log was opened in this process.

    `retries` are calls that were tried again, `unavailable` those that were given up. `probes` were sent to see whether
    wake-ups arrive, and `reopened` subscriptions did not hear theirs, or broke. `takeovers` says how often another
    server, or a restarted one, was noticed, and `streams_lost` how many streams had lost what was told of them.
    """

    retries: int
    unavailable: int
    probes: int
    reopened: int
    takeovers: int
    streams_lost: int


@runtime_checkable
class TellsHealth(Protocol):
    """A log that has a server, which may be away."""

    def health(self) -> LogHealth:
        """The counts; never blocks."""
        ...
