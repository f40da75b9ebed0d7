"""Small rules that hold for every log: what may be asked for, and how long a lease is its owner's."""

from __future__ import annotations

from typing import Final

from runcast.core.event import MICROSECONDS
from runcast.errors import InvalidInput
from runcast.log.base import PAGE_MAX_EVENTS

STREAMS_MAX = 1_000


RUNNER: Final = "runner"
"""Whoever brings a stream's run to its end."""
WORK: Final = "work"
"""Whoever works at a stream on behalf of its runner, in another process."""
ROLES: Final = (RUNNER, WORK)


def lease_name(stream: str, role: str = RUNNER) -> str:
    """What the lease of a stream's runner, or of another role, is called: `role:stream`.

    `end` and `clear` of the stream take those of all `ROLES` away.
    """
    return f"{role}:{stream}"


def lease_names(stream: str) -> tuple[str, ...]:
    """The leases that go with the run of a stream."""
    return tuple(lease_name(stream, role) for role in ROLES)


def place_of_lease(name: str) -> str:
    """What a lease is kept beside: its stream if it is one of a stream's, else its own name."""
    role, _, stream = name.partition(":")
    return stream if role in ROLES else name


def check_limit(limit: int, most: int = PAGE_MAX_EVENTS) -> int:
    """Return `limit` if so much may be asked for.

    Raises:
        InvalidInput: it is not 1 to `most`.
    """
    if not 1 <= limit <= most:
        raise InvalidInput(f"limit: 1 to {most}.", field="limit")
    return limit


def lease_holds(expires: int, ttl: int, now: int) -> bool:
    """Whether a lease is still its owner's. One with more time left than it was given saw the clock jump back."""
    return 0 < expires - now <= ttl


def check_keep(keep: int) -> int:
    """Return `keep` if a stream may be trimmed to so many events.

    Raises:
        InvalidInput: it is less than 1.
    """
    if keep < 1:
        raise InvalidInput("keep: at least 1.", field="keep")
    return keep


def ttl_us(ttl_s: float) -> int:
    """How long a lease holds, in microseconds.

    Raises:
        InvalidInput: it is no time at all.
    """
    if not ttl_s > 0:
        raise InvalidInput("ttl_s: more than 0 seconds.", field="ttl_s")
    return int(ttl_s * MICROSECONDS)
