"""What one process allows its clients, as both of uvicorn's protocols see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from runcast.config import Settings
from runcast.errors import Refused
from runcast.transport.turns import Turns

LIMITS: Final = "runcast.limits"
"""In the lifespan's state: the `ClientLimits` of the app that is served."""
_DEFAULTS: Final = "runcast.default_limits"


class TooSlow(Refused):
    """What a client began to send did not come in time."""

    code = "too_slow"
    retryable = True
    message = "What was begun did not come in time."


class ClientLimits:
    """The settings that bound a client before the app sees it, and what all connections share.

    `refused` counts refusals by their code. `idle` holds the connections that have no request under way, the
    longest first, each with what closes it. `turns` are taken by those who send much at once.
    """

    def __init__(self, settings: Settings, refused: Counter[str]) -> None:
        self.settings = settings
        self.refused = refused
        self.idle: dict[object, Callable[[], None]] = {}
        self.turns = Turns()
        self.address_max_bytes = min(settings.request_address_max_bytes, settings.request_head_max_bytes)

    def add_idle(self, connection: object, close: Callable[[], None]) -> None:
        """Remember an idle connection; of too many, the one that was idle longest is closed."""
        self.idle[connection] = close
        if len(self.idle) > self.settings.max_idle_connections:
            longest = next(iter(self.idle))
            self.idle.pop(longest)()


def limits_in(state: MutableMapping[str, Any]) -> ClientLimits:
    """The limits of a lifespan's state; for an app that is not one of ours the defaults, which are then kept there."""
    limits = state.get(LIMITS) or state.get(_DEFAULTS)
    if limits is None:
        limits = state[_DEFAULTS] = ClientLimits(Settings(), Counter())
    return limits
