"""What one process allows its clients, as both of uvicorn's protocols see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from runcast.config import Settings
from runcast.errors import Refused

LIMITS: Final = "runcast.limits"
"""In the lifespan's state: the `ClientLimits` of the app that is served."""


class TooSlow(Refused):
    """What a client began to send did not come in time."""

    code = "too_slow"
    retryable = True
    message = "What was begun did not come in time."


class ClientLimits:
    """The settings that bound a client before the app sees it, and what all connections share.

    `refused` counts refusals by their code. `idle` holds the connections that have no request under way, the
    longest first, each with what closes it.
    """

    def __init__(self, settings: Settings, refused: Counter[str]) -> None:
        self.settings = settings
        self.refused = refused
        self.idle: dict[object, Callable[[], None]] = {}

    def add_idle(self, connection: object, close: Callable[[], None]) -> None:
        """Remember an idle connection; of too many, the one that was idle longest is closed."""
        self.idle[connection] = close
        if len(self.idle) > self.settings.max_idle_connections:
            longest = next(iter(self.idle))
            self.idle.pop(longest)()


_OTHERS = ClientLimits(Settings(), Counter())


def limits_in(state: Mapping[str, Any]) -> ClientLimits:
    """The limits of a lifespan's state; the defaults for an app that is not one of ours."""
    return state.get(LIMITS, _OTHERS)
