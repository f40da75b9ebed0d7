"""Retention: what has ended, or lain idle for long, is removed in small steps."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from runcast.core.event import DAY_US
from runcast.errors import LogError

if TYPE_CHECKING:
    from runcast.live.bus import Bus

logger = logging.getLogger("runcast.live")

STEP_ROWS = 1_000
BREATH_S = 0.05
"""Between two steps, so that publishers hardly notice."""


async def keep_clean(bus: Bus) -> None:
    """Sweep the log now and then, until cancelled. Several processes may do so on one log."""
    while True:
        await asyncio.sleep(bus.settings.sweep_interval_s)
        try:
            removed = await sweep_all(bus)
        except LogError as error:
            logger.warning("retention waits: %s", error)
        except Exception:  # a task's root: live delivery must not end with it
            logger.exception("retention failed")
        else:
            if removed:
                logger.info("retention removed %d rows", removed)


async def sweep_all(bus: Bus) -> int:
    """Remove all that retention allows now; returns how many rows went."""
    idle_since = bus.now_us() - round(bus.settings.retention_days * DAY_US)
    total = 0
    while removed := await bus.call(bus.log.sweep, idle_since=idle_since, limit=STEP_ROWS):
        total += removed
        await asyncio.sleep(BREATH_S)
    return total
