"""How what clients send too much of at once is worked through: a little at a time, so that nobody else waits for it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

TURN_S: Final = 0.0003
"""How long the loop works on what waits, before everybody else has their turn."""
GIVE_WAY_S: Final = 0.001
"""How long everybody else has it: the log's threads, too, which need the interpreter for their commits."""


class Turns:
    """Work of all connections of a process that waits, in the order in which it came. Belongs to one loop.

    Whoever has more to do after one piece waits again, behind the others: so many who send too much take no more
    of the loop than one does.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    def wait(self, act: Callable[[], None]) -> None:
        """Call `act`, which must take a fraction of a millisecond, when it is its turn."""
        self._waiting.append(act)
        if len(self._waiting) == 1:
            self._give_way()

    def _give_way(self) -> None:
        asyncio.get_running_loop().call_later(GIVE_WAY_S, self._go_on)

    def _go_on(self) -> None:
        try:
            self._take_turns()
        finally:
            if self._waiting:
                self._give_way()

    def _take_turns(self) -> None:
        until_s = time.perf_counter() + TURN_S
        for _ in range(len(self._waiting)):  # what waits again meanwhile is for the next time
            try:
                self._waiting[0]()
            finally:
                self._waiting.popleft()
            if time.perf_counter() > until_s:
                break
