"""Asking the web for reports: by a provider that the user has named. None comes with Runcast."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Final

import msgspec

logger = logging.getLogger("runcast.tasks")

ENTRY_POINT_GROUP: Final = "runcast.search"


class Hit(msgspec.Struct, frozen=True):
    """One page that speaks of what was asked for; `is_report` if it reports a scam."""

    title: str
    url: str
    snippet: str = ""
    is_report: bool = False


Search = Callable[[str], list[Hit]]
"""Looks a number, a domain or an address up. Blocking; may raise anything, which costs this step only."""

_provider: list[Search] = []


def use_search(search: Search | None) -> None:
    """Ask this provider from now on, in this process; None for no one."""
    _provider[:] = [] if search is None else [search]


def provider() -> Search | None:
    """The provider that was named by `use_search`, else the first of an installed package (`runcast.search`)."""
    if not _provider:
        for point in entry_points(group=ENTRY_POINT_GROUP):
            try:
                use_search(point.load())
                break
            except Exception:  # a package's root: it is somebody else's code
                logger.exception("the search %s of an installed package cannot be loaded", point.name)
    return _provider[0] if _provider else None
