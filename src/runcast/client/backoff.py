"""How long to wait before trying again: longer each time, and never in step with others who wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runcast.chance import CHANCE

FIRST_S = 0.2
LONGEST_S = 10.0


def delays(
    first_s: float = FIRST_S, longest_s: float = LONGEST_S, chance: Callable[[], float] = CHANCE.random
) -> Iterator[float]:
    """Pauses in seconds, without an end: each is between half of a bound and the bound, which doubles."""
    bound = first_s
    while True:
        yield bound * (0.5 + 0.5 * chance())
        bound = min(bound * 2, longest_s)
