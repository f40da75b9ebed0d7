"""Where the knowledge base is: beside the log, unless the settings say otherwise."""

from __future__ import annotations

from pathlib import Path

from runcast.config import Settings
from runcast.log.place import beside

IN_MEMORY = "memory:"


def knowledge_file(settings: Settings) -> Path | None:
    """The file of the knowledge base; None for one in memory.

    Raises:
        ConfigError: the log's name, beside which it would be, names none.
    """
    if settings.knowledge == IN_MEMORY:
        return None
    if settings.knowledge:
        return Path(settings.knowledge).expanduser()
    log = beside(settings.log)
    return None if log is None else log.with_name(f"{log.name}.knowledge")
