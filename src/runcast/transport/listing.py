"""Lists of streams that show what may be read, and tell of nothing else: not even by where they go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from runcast.log.base import StreamInfo

CHUNK = 1_000
MOST_CHUNKS = 100
"""So many streams, by the thousand, are looked through for a page; a list ends there."""

ReadOn = Callable[[StreamInfo | None, int], Awaitable[Sequence[StreamInfo]]]
"""The next streams after one (or from where the list begins), and how many."""


async def readable(
    read_on: ReadOn, may_read: Callable[[str], bool], limit: int
) -> tuple[list[StreamInfo], bool]:
    """Up to `limit` streams that may be read, and whether there may be more after the last of them.

    Raises:
        LogError: the log could not be read.
    """
    found: list[StreamInfo] = []
    last: StreamInfo | None = None
    for _ in range(MOST_CHUNKS):
        size = limit if not found and last is None else CHUNK
        chunk = await read_on(last, size)
        for info in chunk:
            if may_read(info.stream):
                found.append(info)
                if len(found) == limit:
                    return found, True
        if len(chunk) < size:
            break
        last = chunk[-1]
    return found, False
