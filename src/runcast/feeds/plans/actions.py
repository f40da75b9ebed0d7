"""What a client may say over its WebSocket: one JSON object with an `action`."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from runcast.core.event import START
from runcast.errors import InvalidInput
from runcast.feeds.plans.events import plan_stream

COMMANDS: Final = ("pause", "resume", "cancel", "retry_step", "skip_step")
"""What those who may write to a plan may ask its runner for."""
STEP_COMMANDS: Final = frozenset({"retry_step", "skip_step"})
ACTIONS: Final = ("subscribe", "unsubscribe", "ping", *COMMANDS)
MAX_ID_CHARS: Final = 200


class Action(msgspec.Struct):
    """One message. `id` is repeated by whatever answers it; other fields than these are left alone."""

    action: str
    plan_id: str | None = None
    step_id: str | None = None
    after: str | None = None
    reason: str | None = None
    timestamp: str | int | float | None = None
    id: str | int | None = None

    def plan(self) -> str:
        """The plan that it is about.

        Raises:
            InvalidInput: it names none, or none that can be.
        """
        if self.plan_id is None:
            raise InvalidInput(f"plan_id: which plan to {self.action} is missing.", field="plan_id")
        plan_stream(self.plan_id)
        return self.plan_id

    def place(self) -> str:
        """Where reading begins."""
        return self.after or START

    def answered(self) -> dict[str, Any]:
        """What an answer says of this message, so that the client knows what is answered."""
        said: dict[str, Any] = {"action": self.action}
        if self.id is not None:
            said["id"] = self.id
        return said


class _Named(msgspec.Struct):
    """What a message is called, even if the rest of it is wrong."""

    id: str | int | None = None


_decode_id = msgspec.json.Decoder(_Named).decode
_decode = msgspec.json.Decoder(Action).decode


def read_action(text: str) -> Action:
    """What a client says.

    Raises:
        InvalidInput: it is not understood; names the field.
    """
    try:
        action = _decode(text)
    except msgspec.ValidationError as error:
        raise _misread(str(error)) from None
    except (ValueError, RecursionError):
        raise InvalidInput("message: not valid JSON.", field="message") from None
    if action.action not in ACTIONS:
        raise InvalidInput(f"action: one of {', '.join(ACTIONS)}.", field="action")
    if isinstance(action.id, str) and len(action.id) > MAX_ID_CHARS:
        raise InvalidInput(f"id: at most {MAX_ID_CHARS} characters.", field="id")
    if action.action in STEP_COMMANDS and action.step_id is None:
        raise InvalidInput("step_id: which step is missing.", field="step_id")
    return action


def id_in(text: str) -> dict[str, Any]:
    """The `id` of a message that was not understood, so that its error can be told apart; nothing if it has none."""
    try:
        name = _decode_id(text).id
    except (ValueError, RecursionError):
        return {}
    return {} if name is None or len(str(name)) > MAX_ID_CHARS else {"id": name}


def _misread(reason: str) -> InvalidInput:
    """The decoder's own words name the place at their end: … - at `$.plan_id`."""
    problem, _, place = reason.partition(" - at `$")
    field = place.strip("`.")
    if "`action`" in reason:
        return InvalidInput(f"action: missing; one of {', '.join(ACTIONS)}.", field="action")
    if not field:
        return InvalidInput('message: a JSON object with an "action" is expected.', field="message")
    return InvalidInput(f"{field}: {problem}.", field=field)
