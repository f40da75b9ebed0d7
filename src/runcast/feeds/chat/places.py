"""Places in a conversation."""

from __future__ import annotations

from runcast.core.event import ANY_TAG, Cursor, cursor_of
from runcast.live.bus import Bus
from runcast.live.hub import START
from runcast.log.base import Appended


async def place_before(bus: Bus, place: Appended) -> str:
    """The cursor of what stands before an event; `start` if that is not kept.

    Raises:
        LogError: the conversation could not be read.
    """
    after = Cursor(place.epoch, place.seq - 2, ANY_TAG) if place.seq > 2 else None
    page = await bus.read(place.stream, after, limit=1)
    first = page.events[0] if page.events else None
    return str(cursor_of(first)) if first is not None and first.seq < place.seq else START
