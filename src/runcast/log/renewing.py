"""Renewing many leases at once: what a log may offer beside its contract, for a process that runs a thousand streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from runcast.log.base import Lease


@runtime_checkable
class RenewsMany(Protocol):
    """A log that renews many leases in one step; others renew one by one, by `acquire`."""

    def renew(self, leases: Sequence[Lease], ttl_s: float) -> list[bool]:
        """Hold `leases` for `ttl_s` seconds from now; for each, whether it is still its owner's.

        As with `acquire`, one that has ended and that nobody took meanwhile is held on.

        Raises:
            LogError: none of them was renewed.
        """
        ...
