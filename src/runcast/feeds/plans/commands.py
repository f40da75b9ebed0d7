"""What the feed needs of whoever runs plans: to take a command and say what became of it."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from runcast.errors import Conflict


class CommandRefused(Conflict):
    """A command makes no sense for the plan as it is now; the message is the reason."""

    code: ClassVar[str] = "command_refused"
    message: ClassVar[str] = "The plan cannot do this now."


class GiveCommand(Protocol):
    """Gives commands to plans."""

    async def __call__(self, plan_id: str, command: str, *, by: str, **arguments: Any) -> dict[str, Any]:
        """Give a command for somebody; returns what an answer says of it: its `status`, `done` or `waiting`, and more.

        Raises:
            InvalidInput: the command or an argument cannot be; names it.
            StreamNotFound: there is no such plan.
            CommandRefused: it makes no sense now.
            LogError: the log could not be used.
        """
        ...
