"""The bus of a class that was made without one: on the log that the environment names, or on one in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable

from runcast.config import Settings
from runcast.kinds.base import Kind
from runcast.live.bus import Bus
from runcast.log.open import open_log


def own_bus(kinds: Iterable[Kind], where: str | os.PathLike[str] | None = None) -> Bus:
    """A bus on `where` (a path or URL of a log), else on `RUNCAST_LOG`, else in memory. It starts lazily.

    Raises:
        ConfigError: a setting of the environment cannot be.
        LogError: the log cannot be opened.
    """
    settings = Settings.from_env(os.environ)
    return Bus(
        open_log(os.fspath(where) if where is not None else settings.log or "memory:"), kinds, settings
    )
