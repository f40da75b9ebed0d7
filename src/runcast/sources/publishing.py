"""Publishing what others wrote: one flawed record must not keep back its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from runcast.errors import InvalidInput

if TYPE_CHECKING:
    from concurrent.futures import Future

    from runcast.kinds.base import Publish
    from runcast.live.bus import Bus
    from runcast.log.base import Lease

AT_ONCE: Final = 100
"""Groups that are prepared together: the event loop does other things in between."""

T = TypeVar("T")


def find_flawed(items: Sequence[T], take: Callable[[Sequence[T]], object]) -> list[InvalidInput | None]:
    """Give `items` to `take`, all of them or, where it refuses some, half by half down to those that are to blame.

    For each item, in order: why it was refused, or None. What else `take` raises is passed on; some items may have
    been taken then.
    """
    if not items:
        return []
    try:
        take(items)
    except InvalidInput as error:
        if len(items) == 1:
            return [error]
        middle = len(items) // 2
        return [*find_flawed(items[:middle], take), *find_flawed(items[middle:], take)]
    return [None] * len(items)


async def publish_each(
    bus: Bus, groups: Sequence[Sequence[Publish]], *, lease: Lease | None = None
) -> list[InvalidInput | None]:
    """Publish groups of events, each all or none; returned means stored on disk.

    For each group, in order: why it cannot be stored, or None. With `lease`, nothing is stored once that has gone to
    another owner. When it is cancelled or raises, some groups may be stored: repeating it is harmless where the events
    have ids. Should one group of many be flawed, processors may see its neighbours several times.

    Raises:
        StaleToken: the lease was lost.
        LogError: the log cannot; `retryable` says whether to try again.
    """
    import asyncio  # noqa: PLC0415 - a hook, which needs `find_flawed` only, has no time for it

    pending: list[Future[Any]] = []
    flaws: list[InvalidInput | None] = []

    def take(some: Sequence[Sequence[Publish]]) -> None:
        pending.append(bus.publish_soon([event for group in some for event in group], lease=lease))

    try:
        for first in range(0, len(groups), AT_ONCE):
            flaws += find_flawed(groups[first : first + AT_ONCE], take)
            await asyncio.sleep(0)
    finally:  # those that are on their way are heard of, also when the log is too busy for the next
        outcomes = await asyncio.gather(*map(asyncio.wrap_future, pending), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return flaws
